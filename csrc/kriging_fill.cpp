#include "kriging_fill.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

constexpr int kLeft = 4, kAround = 6, kPatchRows = kBlock + kAround, kPatchCols = kLeft + kBlock + kAround;

// The pixels of a block and those that pair with them; what is not trusted or not there has weight zero.
struct Patch {
  float value[kPatchRows][kPatchCols], noise[kPatchRows][kPatchCols], counts[kPatchRows][kPatchCols];
};

void load_patch(const KrigingArgs& a, const Plane& plane, int64_t top, int64_t left, Patch& patch) {
  for (int r = 0; r < kPatchRows; ++r) {
    for (int c = 0; c < kPatchCols; ++c) {
      const int64_t y = top + r, x = left - kLeft + c;
      const bool inside = y < plane.height && x >= 0 && x < plane.width;
      const int64_t at = plane.offset + (inside ? y * plane.width + x : 0);
      const bool good = inside && trusted(a.z[at], a.sigma[at]);
      patch.value[r][c] = good ? a.z[at] : 0.0f;
      patch.noise[r][c] = good ? half_square(a.sigma[at]) : 0.0f;
      patch.counts[r][c] = good ? 1.0f : 0.0f;
    }
  }
}

void count_pairs(const KrigingArgs& a, const Plane& plane, int64_t row, int64_t col, float* out) {
  Patch patch;
  load_patch(a, plane, row * kBlock, col * kBlock, patch);
  float square[kLags][kBlock] = {}, count[kLags][kBlock] = {};
  for (int k = 0; k < kPairs; ++k) {
    const Pair pair = pair_of(k);
    float *sum = square[pair.lag], *number = count[pair.lag];
    for (int r = 0; r < kBlock; ++r) {
      const float *v = patch.value[r] + kLeft, *n = patch.noise[r] + kLeft, *w = patch.counts[r] + kLeft;
      const float* v2 = patch.value[r + pair.down] + kLeft + pair.right;
      const float* n2 = patch.noise[r + pair.down] + kLeft + pair.right;
      const float* w2 = patch.counts[r + pair.down] + kLeft + pair.right;
      for (int c = 0; c < kBlock; ++c) {
        const float both = w[c] * w2[c];
        sum[c] += pair_square(v[c], v2[c], n[c], n2[c], both);
        number[c] += both;
      }
    }
  }
  for (int g = 0; g < kLags; ++g) {
    out[g] = eight(square[g]);
    out[kLags + g] = eight(count[g]);
  }
}

// Covariance at squared distances, of the cell that the last pixel lay in.
struct Covariance {
  int64_t cell = -1;
  float at[kTable];
};

void tabulate(const KrigingArgs& a, int64_t cell, Covariance& cov) {
  if (cov.cell == cell) return;
  cov.cell = cell;
  const float* law = a.law + cell * kTerms;
  for (int64_t d = 0; d < a.table; ++d) cov.at[d] = 0.0f;
  for (int t = 0; t + 1 < kTerms; ++t) {
    const float* shape = a.shapes + t * a.table;
    for (int64_t d = 0; d < a.table; ++d) cov.at[d] += law[t] * shape[d];
  }
}

void find_neighbours(const KrigingArgs& a, const Plane& plane, int64_t y, int64_t x, Neighbours& near) {
  near.count = 0;
  for (int64_t k = 0; k < a.reach && near.count < kNear; ++k) {
    const int32_t down = a.offsets[2 * k], right = a.offsets[2 * k + 1];
    const int64_t row = y + down, col = x + right;
    if (row < 0 || row >= plane.height || col < 0 || col >= plane.width) continue;
    const int64_t at = plane.offset + row * plane.width + col;
    if (!trusted(a.z[at], a.sigma[at])) continue;
    near.at[near.count] = at;
    near.down[near.count] = down;
    near.right[near.count++] = right;
  }
}

// False where the covariance is none.
bool eliminate(System& s, int n, double& estimate) {
  double ones = 0.0, mean = 0.0;
  double factor[kNear];
  for (int j = 0; j < n; ++j) {
    const double pivot = s.column[j][j];
    if (!(pivot > 0.0)) return false;
    for (int i = j + 1; i < n; ++i) factor[i] = s.column[j][i] / pivot;
    for (int k = j + 1; k < n; ++k) {
      const double by = s.column[j][k];
      for (int i = k; i < n; ++i) s.column[k][i] -= factor[i] * by;
    }
    for (int i = j + 1; i < n; ++i) {
      s.value[i] -= factor[i] * s.value[j];
      s.one[i] -= factor[i] * s.one[j];
      s.pull[i] -= factor[i] * s.pull[j];
    }
    ones += s.one[j] * s.one[j] / pivot;
    mean += s.value[j] * s.one[j] / pivot;
  }
  estimate = ordinary_kriging(s, n, mean, ones);
  return true;
}

void estimate(const KrigingArgs& a, int64_t hidden, Covariance& cov) {
  const int64_t cell = a.cell_of[hidden], at = a.pixels[hidden];
  if (!(a.law[cell * kTerms] >= 0.0f)) return;
  const Plane plane = a.layout[a.cells[3 * cell]];
  Neighbours near;
  find_neighbours(a, plane, (at - plane.offset) / plane.width, (at - plane.offset) % plane.width, near);
  if (near.count < kLeastNear) return;
  tabulate(a, cell, cov);
  System s;
  const float own = a.law[cell * kTerms + kTerms - 1];
  for (int i = 0; i < near.count; ++i) set_row(a, near, cov.at, own, i, s);
  double found;
  if (!eliminate(s, near.count, found)) return;
  put(a, at, among_nearest(a, near, found));
}

}  // namespace

void kriging_fill(const KrigingArgs& a, int threads) {
  if (a.holes == 0) return;
  for (int64_t p = 0; p < a.planes; ++p) {
    const Plane plane = a.layout[p];
    const int64_t cols = block_cols(plane);
    float* sums = a.sums + a.blocks[p] * (2 * kLags);
    for_each_item(block_rows(plane) * cols, 16 * kBlock * kBlock, threads, [&](int64_t b) {
      count_pairs(a, plane, b / cols, b % cols, sums + b * (2 * kLags));
    });
  }
  for_each_item(a.count, 4096, threads, [&](int64_t cell) {
    if (!fit_law(a, cell, a.law + cell * kTerms)) a.law[cell * kTerms] = -1.0f;
  });
  const int64_t piece = 64, pieces = (a.holes + piece - 1) / piece;
  for_each_item(pieces, 64 * piece, threads, [&](int64_t i) {
    Covariance cov;
    for (int64_t k = i * piece; k < min64(a.holes, (i + 1) * piece); ++k) estimate(a, k, cov);
  });
}

}  // namespace gencosmo::GC_ISA
