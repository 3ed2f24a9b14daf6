#include "precondition.hpp"

namespace gencosmo::GC_ISA {
namespace {

constexpr int64_t kPiece = 64;  // pixels whose features are formed together

// out[x] = sum of value(k) over |k - x| <= reach inside the row.
template <class Value>
void row_sums(int64_t width, int64_t reach, float* out, const Value& value) {
  const int64_t left = min64(reach, width), right = max64(left, width - reach);
  const auto edge = [&](int64_t x) {
    float sum = 0.0f;
    for (int64_t k = box_first(x, reach); k <= box_last(x, reach, width); ++k) sum += value(k);
    out[x] = sum;
  };
  for (int64_t x = 0; x < left; ++x) edge(x);
#pragma GCC ivdep
  for (int64_t x = left; x < right; ++x) {
    float sum = 0.0f;
    for (int64_t k = -reach; k <= reach; ++k) sum += value(x + k);
    out[x] = sum;
  }
  for (int64_t x = right; x < width; ++x) edge(x);
}
void column_sums(const float* sums, int64_t y, int64_t height, int64_t width, int64_t reach, int64_t x0, int64_t n,
                 float* out) {
  const int64_t first = box_first(y, reach), last = box_last(y, reach, height);
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
  row_sums(r.width, kBoxReach, r.sum0 + y * r.width, [=](int64_t k) { return base[k]; });
  row_sums(r.width, kBoxReach, r.sum1 + y * r.width, [=](int64_t k) { return at_most(var[k], prior_var); });
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
  row_sums(r.width, kBoxReach, r.sum2 + row, [=](int64_t k) { return (base[k] - mean[k]) * (base[k] - mean[k]); });
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

void pass_curve(const PreRow& r, int64_t y) {
  const int64_t row = y * r.width;
  float* curve = r.curve + row;
  for (int64_t x = 0; x < r.width; ++x) curve[x] = four_neighbours(r.x0, y, x, r.height, r.width);
  const float *sigma = r.sigma + row, *base = r.base + row, *smooth = r.smooth + row;
  row_sums(r.width, kBoxReach, r.sum0 + row,
           [=](int64_t k) { return (sigma[k] < kHoleSigma ? 1.0f : 0.0f) * curve[k] * curve[k]; });
  row_sums(r.width, kBoxReach, r.sum1 + row, [=](int64_t k) { return sigma[k] < kHoleSigma ? 1.0f : 0.0f; });
  row_sums(r.width, 1, r.sum2 + row, [=](int64_t k) { return (base[k] - smooth[k]) * (base[k] - smooth[k]); });
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

// The roughness of the quietest of five boxes for n <= kPiece pixels from x on, and what `values` are there. As
// `quietest` in precondition.hpp, a neighbour at a time.
void take_quietest(const PreRow& r, int64_t y, int64_t x, int64_t n, const float* values, float* quiet, float* taken) {
  const int64_t row = y * r.width, up = max64(y - kBoxReach, 0) * r.width;
  const int64_t down = min64(y + kBoxReach, r.height - 1) * r.width;
  const float* rough = r.rough;
  const auto take = [=](int64_t j, int64_t at) {
    const bool quieter = rough[at] < quiet[j];
    quiet[j] = quieter ? rough[at] : quiet[j];
    taken[j] = quieter ? values[at] : taken[j];
  };
  for (int64_t j = 0; j < n; ++j) quiet[j] = rough[row + x + j], taken[j] = values[row + x + j];
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) take(j, up + x + j);
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) take(j, down + x + j);
  // pixels whose neighbour to the left or to the right lies outside the row take the row's first or last
  const int64_t from = clamp64(kBoxReach - x, 0, n), to = clamp64(r.width - kBoxReach - x, 0, n);
  for (int64_t j = 0; j < from; ++j) take(j, row);
#pragma GCC ivdep
  for (int64_t j = from; j < n; ++j) take(j, row + x + j - kBoxReach);
#pragma GCC ivdep
  for (int64_t j = 0; j < to; ++j) take(j, row + x + j + kBoxReach);
  for (int64_t j = to; j < n; ++j) take(j, row + r.width - 1);
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
  row_sums(r.width, kBoxReach, r.sum0 + row, [=](int64_t k) { return (base[k] - mean[k]) * (base[k] - mean[k]); });
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
      for (int64_t j = 0; j < n; ++j) {
        for (int c = 0; c < kFeatures; ++c) narrow(f[c][j], out[(x + j) * a.pixel_stride + c * a.channel_stride]);
      }
    }
  }
}

}  // namespace

void precondition(const PreconditionArgs& a, int threads) {
  const int64_t rows = a.count * a.height;
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) pass_sums(pre_row(a, i / a.height), i % a.height, a.prior_var);
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) pass_mean(pre_row(a, i / a.height), i % a.height);
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) pass_spread(pre_row(a, i / a.height), i % a.height);
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) pass_curve(pre_row(a, i / a.height), i % a.height);
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) pass_rough(pre_row(a, i / a.height), i % a.height);
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) pass_quiet(pre_row(a, i / a.height), i % a.height);
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) pass_again(pre_row(a, i / a.height), i % a.height);
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < rows; ++i) {
      const PreRow r = pre_row(a, i / a.height);
      if (a.type == Float::f32) pass_features<float>(a, r, i / a.height, i % a.height);
      if (a.type == Float::bf16) pass_features<Bf16>(a, r, i / a.height, i % a.height);
      if (a.type == Float::f16) pass_features<F16>(a, r, i / a.height, i % a.height);
    }
  }
}

}  // namespace gencosmo::GC_ISA
