#include "precondition.hpp"

#include "channels.hpp"

namespace gencosmo::GC_ISA {
namespace {

// out[x] = sum of value(k) over |k - x| <= kSide inside the row. Values beyond it count as zeros, which change no sum.
template <int kSide, class Value>
void row_sums(int64_t width, float* out, const Value& value) {
  constexpr int64_t kStretch = 256;  // each value is computed once
  float near[kStretch + 2 * kSide];
  for (int64_t x = 0; x < width; x += kStretch) {
    const int64_t n = min64(kStretch, width - x), first = max64(kSide - x, 0);
    const int64_t last = min64(n + kSide, width - x) + kSide;
    for (int64_t j = 0; j < first; ++j) near[j] = 0.0f;
#pragma GCC ivdep
    for (int64_t j = first; j < last; ++j) near[j] = value(x + j - kSide);
    for (int64_t j = last; j < n + 2 * kSide; ++j) near[j] = 0.0f;
    float* to = out + x;
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      float sum = 0.0f;
      for (int64_t k = 0; k <= 2 * kSide; ++k) sum += near[j + k];
      to[j] = sum;
    }
  }
}
template <int kRows>
void add_rows(const float* rows, int64_t width, int64_t n, float* out) {
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    float sum = 0.0f;
    for (int k = 0; k < kRows; ++k) sum += rows[k * width + j];
    out[j] = sum;
  }
}
void column_sums(const float* sums, int64_t y, int64_t height, int64_t width, int64_t reach, int64_t x0, int64_t n,
                 float* out) {
  const int64_t first = box_first(y, reach), last = box_last(y, reach, height);
  if (last - first == 2 * kBoxReach) return add_rows<2 * kBoxReach + 1>(sums + first * width + x0, width, n, out);
  if (last - first == 2) return add_rows<3>(sums + first * width + x0, width, n, out);
  for (int64_t j = 0; j < n; ++j) out[j] = 0.0f;
  for (int64_t k = first; k <= last; ++k) {
    const float* row = sums + k * width + x0;
    for (int64_t j = 0; j < n; ++j) out[j] += row[j];
  }
}

// Pixels of the boxes around n <= kPiece pixels from x0 on.
void box_counts(int64_t y, int64_t x0, int64_t n, int64_t height, int64_t width, int64_t reach, float* out) {
  const int32_t rows = static_cast<int32_t>(box_last(y, reach, height) - box_first(y, reach) + 1);
  // how far the box of the first pixel reaches to either side before it is cut; both fit, being near the piece or cut
  const int32_t left = static_cast<int32_t>(min64(x0, kPiece)), side = static_cast<int32_t>(reach);
  const int32_t right = static_cast<int32_t>(min64(width - 1 - x0, 2 * kPiece));
#pragma GCC ivdep
  for (int32_t j = 0; j < static_cast<int32_t>(n); ++j) {
    const int32_t before = left + j < side ? left + j : side, after = right - j < side ? right - j : side;
    out[j] = static_cast<float>(rows * (before + after + 1));
  }
}

void pass_sums(const PreRow& r, int64_t y, float prior_var) {
  const float *base = r.base + y * r.width, *var = r.base_var + y * r.width;
  row_sums<kBoxReach>(r.width, r.sum0 + y * r.width, [=](int64_t k) { return base[k]; });
  row_sums<kBoxReach>(r.width, r.sum1 + y * r.width, [=](int64_t k) { return at_most(var[k], prior_var); });
}

// Mean of the base and of its bounded variance; sums of squared deviations along the row.
void pass_mean(const PreRow& r, int64_t y) {
  float total[kPiece], bounded[kPiece], count[kPiece];
  const int64_t row = y * r.width;
  for (int64_t x = 0; x < r.width; x += kPiece) {
    const int64_t n = min64(kPiece, r.width - x);
    column_sums(r.sum0, y, r.height, r.width, kBoxReach, x, n, total);
    column_sums(r.sum1, y, r.height, r.width, kBoxReach, x, n, bounded);
    box_counts(y, x, n, r.height, r.width, kBoxReach, count);
    float *mean = r.mean + row + x, *mean_var = r.bounded + row + x;
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      mean[j] = total[j] / count[j];
      mean_var[j] = bounded[j] / count[j];
    }
  }
  const float *base = r.base + row, *mean = r.mean + row;
  row_sums<kBoxReach>(r.width, r.sum2 + row, [=](int64_t k) { return (base[k] - mean[k]) * (base[k] - mean[k]); });
}

void pass_spread(const PreRow& r, int64_t y) {
  float total[kPiece], count[kPiece];
  const int64_t row = y * r.width;
  for (int64_t x = 0; x < r.width; x += kPiece) {
    const int64_t n = min64(kPiece, r.width - x);
    column_sums(r.sum2, y, r.height, r.width, kBoxReach, x, n, total);
    box_counts(y, x, n, r.height, r.width, kBoxReach, count);
    const int64_t i = row + x;
    const float *z = r.z + i, *sigma = r.sigma + i, *smooth = r.smooth + i, *bounded = r.bounded + i;
    float *x0 = r.x0 + i, *spread = r.spread + i, *gate = r.gate + i;
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      const float contrast = total[j] / count[j];
      const float spread2 = spread_squared(contrast, bounded[j]);
      x0[j] = filled(z[j], sigma[j], smooth[j], spread2);
      spread[j] = root(spread2);
      gate[j] = contrast / (contrast + kGate);
    }
  }
}

// Laplacian of a row; away from the window's edges as `four_neighbours`, without its questions.
void row_curve(const float* u, int64_t y, int64_t height, int64_t width, float* out) {
  const float* c = u + y * width;
  const int64_t last = y > 0 && y + 1 < height ? width - 1 : 1;
  out[0] = four_neighbours(u, y, 0, height, width);
#pragma GCC ivdep
  for (int64_t x = 1; x < last; ++x) {
    float sum = 0.0f + (c[x + width] - c[x]);
    sum -= c[x] - c[x - width];
    sum += c[x + 1] - c[x];
    out[x] = sum - (c[x] - c[x - 1]);
  }
  for (int64_t x = max64(last, 1); x < width; ++x) out[x] = four_neighbours(u, y, x, height, width);
}

void pass_curve(const PreRow& r, int64_t y) {
  const int64_t row = y * r.width;
  float* curve = r.curve + row;
  row_curve(r.x0, y, r.height, r.width, curve);
  const float *sigma = r.sigma + row, *base = r.base + row, *smooth = r.smooth + row;
  row_sums<kBoxReach>(r.width, r.sum0 + row,
           [=](int64_t k) { return (sigma[k] < kHoleSigma ? 1.0f : 0.0f) * curve[k] * curve[k]; });
  row_sums<kBoxReach>(r.width, r.sum1 + row, [=](int64_t k) { return sigma[k] < kHoleSigma ? 1.0f : 0.0f; });
  row_sums<1>(r.width, r.sum2 + row, [=](int64_t k) { return (base[k] - smooth[k]) * (base[k] - smooth[k]); });
}

void pass_rough(const PreRow& r, int64_t y) {
  float curve2[kPiece], good[kPiece], count[kPiece];
  for (int64_t x = 0; x < r.width; x += kPiece) {
    const int64_t n = min64(kPiece, r.width - x);
    column_sums(r.sum0, y, r.height, r.width, kBoxReach, x, n, curve2);
    column_sums(r.sum1, y, r.height, r.width, kBoxReach, x, n, good);
    box_counts(y, x, n, r.height, r.width, kBoxReach, count);
    const float* spread = r.spread + y * r.width + x;
    float* rough = r.rough + y * r.width + x;
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      rough[j] = root(roughness_squared(curve2[j] / count[j], good[j] / count[j], spread[j] * spread[j]));
    }
  }
}

// The roughness of the quietest of five boxes for n <= kPiece pixels from x on, and what `values` are there; as
// `quietest` in precondition.hpp.
void take_quietest(const PreRow& r, int64_t y, int64_t x, int64_t n, const float* values, float* quiet, float* taken) {
  const int64_t row = y * r.width, up = max64(y - kBoxReach, 0) * r.width;
  const int64_t down = min64(y + kBoxReach, r.height - 1) * r.width;
  const float* rough = r.rough;
  const auto take = [=](int64_t j, int64_t left, int64_t right) {
    float least = rough[row + x + j], found = values[row + x + j];
    const int64_t others[] = {up + x + j, down + x + j, row + left, row + right};
    for (int k = 0; k < 4; ++k) {
      const float other = rough[others[k]], value = values[others[k]];
      found = other < least ? value : found;
      least = other < least ? other : least;
    }
    quiet[j] = least;
    taken[j] = found;
  };
  const int64_t from = clamp64(kBoxReach - x, 0, n), to = clamp64(r.width - kBoxReach - x, from, n);
  for (int64_t j = 0; j < from; ++j) take(j, 0, min64(x + j + kBoxReach, r.width - 1));
#pragma GCC ivdep
  for (int64_t j = from; j < to; ++j) take(j, x + j - kBoxReach, x + j + kBoxReach);
  for (int64_t j = to; j < n; ++j) take(j, max64(x + j - kBoxReach, 0), r.width - 1);
}

// Local mean and roughness; sums of squared deviations from this mean along the row.
void pass_quiet(const PreRow& r, int64_t y) {
  float quiet[kPiece], taken[kPiece];
  const int64_t row = y * r.width;
  for (int64_t x = 0; x < r.width; x += kPiece) {
    const int64_t n = min64(kPiece, r.width - x);
    take_quietest(r, y, x, n, r.mean, quiet, taken);
    const float *mean = r.mean + row + x, *rough = r.rough + row + x;
    float *local_mean = r.local_mean + row + x, *local_rough = r.local_rough + row + x;
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      const float share = own_share(rough[j], quiet[j]);
      local_mean[j] = blended(share, mean[j], taken[j]);
      local_rough[j] = blended(share, rough[j], quiet[j]);
    }
  }
  const float *base = r.base + row, *mean = r.local_mean + row;
  row_sums<kBoxReach>(r.width, r.sum0 + row, [=](int64_t k) { return (base[k] - mean[k]) * (base[k] - mean[k]); });
}

// Spread around the local means.
void pass_again(const PreRow& r, int64_t y) {
  float total[kPiece], count[kPiece];
  for (int64_t x = 0; x < r.width; x += kPiece) {
    const int64_t n = min64(kPiece, r.width - x);
    column_sums(r.sum0, y, r.height, r.width, kBoxReach, x, n, total);
    box_counts(y, x, n, r.height, r.width, kBoxReach, count);
    const float* bounded = r.bounded + y * r.width + x;
    float* spread = r.spread + y * r.width + x;
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) spread[j] = root(spread_squared(total[j] / count[j], bounded[j]));
  }
}

template <class T>
void pass_features(const PreconditionArgs& a, const PreRow& r, int64_t b, int64_t y) {
  float disagree[kPiece], near[kPiece], quiet[kPiece], taken[kPiece], f[kFeatures][kPiece];
  const int64_t row = y * r.width;
  T* out = static_cast<T*>(a.features) + b * a.window_stride + row * a.pixel_stride;
  for (int64_t x = 0; x < r.width; x += kPiece) {
    const int64_t n = min64(kPiece, r.width - x);
    column_sums(r.sum2, y, r.height, r.width, 1, x, n, disagree);
    box_counts(y, x, n, r.height, r.width, 1, near);
    take_quietest(r, y, x, n, r.spread, quiet, taken);
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      const int64_t i = row + x + j;
      const float spread = blended(own_share(r.rough[i], quiet[j]), r.spread[i], taken[j]);
      r.local_spread[i] = spread;
      const PrePixel p{r.sigma[i],       r.base[i],       r.base_var[i],
                       r.x0[i],          r.local_mean[i], spread,
                       r.local_rough[i], r.curve[i],      disagree[j] / near[j],
                       a.world[b]};
      float g[kFeatures];
      pre_features(p, g);
      for (int c = 0; c < kFeatures; ++c) f[c][j] = g[c];
    }
    if (a.pixel_stride == 1) {
      for (int c = 0; c < kFeatures; ++c) {
        for (int64_t j = 0; j < n; ++j) narrow(f[c][j], out[c * a.channel_stride + x + j]);
      }
    } else {
      to_pixels<kFeatures>(f, n, out + x * kFeatures);
    }
  }
}

// Each reads rows up to a reach below of what the one before it has made, and overwrites none that it still reads.
constexpr int kPasses = 8;
template <class T>
void pass(int k, const PreconditionArgs& a, int64_t b, int64_t y) {
  const PreRow r = pre_row(a, b);
  switch (k) {
    case 0: return pass_sums(r, y, a.prior_var);
    case 1: return pass_mean(r, y);
    case 2: return pass_spread(r, y);
    case 3: return pass_curve(r, y);
    case 4: return pass_rough(r, y);
    case 5: return pass_quiet(r, y);
    case 6: return pass_again(r, y);
    default: return pass_features<T>(a, r, b, y);
  }
}

// All passes over a window, each a reach behind the one before it, so that rows are read while they are in a cache.
template <class T>
void sweep(const PreconditionArgs& a, int64_t b) {
  for (int64_t i = 0; i < a.height + (kPasses - 1) * kBoxReach; ++i) {
    for (int k = 0; k < kPasses; ++k) {
      const int64_t y = i - k * kBoxReach;
      if (y >= 0 && y < a.height) pass<T>(k, a, b, y);
    }
  }
}

template <class T>
void all_passes(const PreconditionArgs& a, int threads) {
  if (a.count >= threads) {
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 1)
    for (int64_t b = 0; b < a.count; ++b) sweep<T>(a, b);
    return;
  }
  const int64_t rows = a.count * a.height;
#pragma omp parallel num_threads(threads)
  for (int k = 0; k < kPasses; ++k) {
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) pass<T>(k, a, i / a.height, i % a.height);
  }
}

}  // namespace

void precondition(const PreconditionArgs& a, int threads) {
  if (a.type == Float::f32) all_passes<float>(a, threads);
  if (a.type == Float::bf16) all_passes<Bf16>(a, threads);
  if (a.type == Float::f16) all_passes<F16>(a, threads);
}

}  // namespace gencosmo::GC_ISA
