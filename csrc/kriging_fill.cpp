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

// What the hidden pixels of a cell share: the covariance at squared distances, and the gradients around them.
struct Around {
  int64_t cell = -1;
  float covariance[kTable];
  double down[kBlock + 2 * kNearReach][kBlock + 2 * kNearReach], mixed[kBlock + 2 * kNearReach][kBlock + 2 * kNearReach];
  double right[kBlock + 2 * kNearReach][kBlock + 2 * kNearReach], known[kBlock + 2 * kNearReach][kBlock + 2 * kNearReach];
};

void tabulate(const KrigingArgs& a, int64_t cell, Around& around) {
  float* at = around.covariance;
  const float* law = a.law + cell * kTerms;
  for (int d = 0; d < kTable; ++d) at[d] = 0.0f;
  for (int t = 0; t + 1 < kTerms; ++t) {
    const float* shape = a.shapes + t * kTable;
    for (int d = 0; d < kTable; ++d) at[d] += law[t] * shape[d];
  }
}

// Products of central differences whose four pixels are trusted, at all pixels within reach of the cell.
void differentiate(const KrigingArgs& a, const Plane& plane, int64_t cell, Around& around) {
  constexpr int kWidth = kBlock + 2 * kNearReach;
  const int64_t top = a.cells[3 * cell + 1] * kBlock - kNearReach, left = a.cells[3 * cell + 2] * kBlock - kNearReach;
  double value[kWidth + 2][kWidth + 2];
  bool good[kWidth + 2][kWidth + 2];
  for (int r = 0; r < kWidth + 2; ++r) {
    for (int c = 0; c < kWidth + 2; ++c) {
      const int64_t y = top + r - 1, x = left + c - 1;
      const bool inside = y >= 0 && y < plane.height && x >= 0 && x < plane.width;
      const int64_t at = plane.offset + (inside ? y * plane.width + x : 0);
      good[r][c] = inside && trusted(a.z[at], a.sigma[at]);
      value[r][c] = good[r][c] ? static_cast<double>(a.z[at]) : 0.0;
    }
  }
  for (int r = 0; r < kWidth; ++r) {
    for (int c = 0; c < kWidth; ++c) {
      const bool all = good[r][c + 1] && good[r + 2][c + 1] && good[r + 1][c] && good[r + 1][c + 2];
      const double down = all ? value[r + 2][c + 1] - value[r][c + 1] : 0.0;
      const double right = all ? value[r + 1][c + 2] - value[r + 1][c] : 0.0;
      around.down[r][c] = down * down;
      around.mixed[r][c] = down * right;
      around.right[r][c] = right * right;
      around.known[r][c] = all ? 1.0 : 0.0;
    }
  }
}

// A lane for every column, then a tree over the lanes, as the threads of a warp add them.
Gradients gradients_near(const KrigingArgs& a, const Around& around, int row, int col) {
  constexpr int kSums = 32;
  double lanes[4][kSums] = {};
  for (int i = 0; i < kNearSide; ++i) {
    const double *down = around.down[row + i] + col, *mixed = around.mixed[row + i] + col;
    const double *right = around.right[row + i] + col, *known = around.known[row + i] + col;
    for (int j = 0; j < kNearSide; ++j) {
      const double weight = static_cast<double>(a.weights[i]) * static_cast<double>(a.weights[j]);
      lanes[0][j] += weight * down[j];
      lanes[1][j] += weight * mixed[j];
      lanes[2][j] += weight * right[j];
      lanes[3][j] += weight * known[j];
    }
  }
  for (int half = kSums / 2; half > 0; half /= 2) {
    for (auto& lane : lanes) {
      for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
    }
  }
  return Gradients{lanes[0][0], lanes[1][0], lanes[2][0], lanes[3][0]};
}

void find_candidates(const KrigingArgs& a, const Plane& plane, int64_t y, int64_t x, Candidates& found) {
  found.count = 0;
  const int wanted = wanted_candidates(a);
  for (int64_t k = 0; k < a.reach && found.count < wanted; ++k) {
    const int32_t down = a.offsets[2 * k], right = a.offsets[2 * k + 1];
    const int64_t row = y + down, col = x + right;
    if (row < 0 || row >= plane.height || col < 0 || col >= plane.width) continue;
    const int64_t at = plane.offset + row * plane.width + col;
    if (!trusted(a.z[at], a.sigma[at])) continue;
    found.at[found.count] = at;
    found.down[found.count] = down;
    found.right[found.count++] = right;
  }
}

void choose_neighbours(const KrigingArgs& a, const Metric& metric, Candidates& found, Neighbours& near) {
  near.count = found.count < kNear ? found.count : kNear;
  int64_t rank[kCandidates];  // as rank_of says, for all at once
  for (int i = 0; i < found.count; ++i) found.far[i] = squared(metric, found.down[i], found.right[i]);
  for (int i = 0; i < found.count; ++i) rank[i] = a.weights ? 0 : i;
  for (int j = 0; a.weights && j < found.count; ++j) {
    const double far = found.far[j];
    for (int i = 0; i <= j; ++i) rank[i] += far < found.far[i] ? 1 : 0;
    for (int i = j + 1; i < found.count; ++i) rank[i] += far <= found.far[i] ? 1 : 0;
  }
  for (int i = 0; i < found.count; ++i) take(found, i, static_cast<int>(rank[i]), near);
}

// Columns of the covariance, rows in vectors.
#if defined(GC_LANES)
constexpr int kLanes = kWidth / 2;
#else
constexpr int kLanes = 2;
#endif
constexpr int kEight = 8;
typedef double Doubles __attribute__((vector_size(8 * kLanes)));
inline Doubles load_some(const double* from) {
  Doubles v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
inline void store_some(double* to, Doubles v) { __builtin_memcpy(to, &v, sizeof v); }
struct Square {
  alignas(64) double column[kNear][kNear];
};

// A column at a time, in whole vectors, each step in a loop of its own: compilers put these into vectors, gathers of the
// table included. Above the diagonal and beyond the last neighbour there are zeros, which nobody reads.
void set_system(const KrigingArgs& a, const Neighbours& near, const Metric& m, const float* table, float own, System& s,
                Square& square) {
  double down[kNear] = {}, right[kNear] = {}, place[kNear];  // pixels from the hidden one
  int row[kNear];
  for (int i = 0; i < near.count; ++i) down[i] = near.down[i], right[i] = near.right[i];
  for (int j = 0; j < near.count; ++j) {
    set_own(a, near, m, table, own, j, s);
    const int first = j / kEight * kEight;
    for (int i = first; i < kNear; ++i) {
      const double y = down[i] - down[j], x = right[i] - right[j];
      place[i] = place_of((m.down * (y * y) + m.right * (x * x)) + m.mixed * (y * x));
    }
    for (int i = first; i < kNear; ++i) row[i] = row_of(place[i]);
    double* column = square.column[j];
    for (int i = first; i < kNear; ++i) column[i] = between(table, place[i], row[i]);
    for (int i = first; i < j; ++i) column[i] = 0.0;
    for (int i = near.count; i < kNear; ++i) column[i] = 0.0;
    column[j] = s.column[j][j];
  }
}

struct Sums {
  double mean = 0.0, ones = 0.0;
};

// Columns kEight kFirst to kEight (kFirst + 1), whose rows begin there: each waits for what all columns before take from
// it, in their order, in registers. False where the covariance is none.
template <int kFirst>
bool eliminate_columns(System& s, Square& square, Square& factor, int n, Sums& sums) {
  constexpr int kSkip = kFirst * kEight, kVectors = (kNear - kSkip) / kLanes;
  for (int k = kSkip; k < n && k < kSkip + kEight; ++k) {
    Doubles column[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) column[v] = load_some(square.column[k] + kSkip + v * kLanes);
    for (int j = 0; j < k; ++j) {
      const double by = square.column[j][k], *taken = factor.column[j] + kSkip;
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) column[v] -= load_some(taken + v * kLanes) * by;
    }
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) store_some(square.column[k] + kSkip + v * kLanes, column[v]);
    const double pivot = square.column[k][k];
    if (!(pivot > 0.0)) return false;
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) store_some(factor.column[k] + kSkip + v * kLanes, column[v] / pivot);
    const double* by = factor.column[k];
    const double value = s.value[k], one = s.one[k], pull = s.pull[k];
    for (int i = k + 1; i < n; ++i) {
      s.value[i] -= by[i] * value;
      s.one[i] -= by[i] * one;
      s.pull[i] -= by[i] * pull;
    }
    s.column[k][k] = pivot;
    sums.ones += one * one / pivot;
    sums.mean += value * one / pivot;
  }
  return true;
}

bool eliminate(System& s, Square& square, int n, double& estimate) {
  Square factor;
  Sums sums;
  static_assert(kNear == 4 * kEight);
  if (!eliminate_columns<0>(s, square, factor, n, sums) || !eliminate_columns<1>(s, square, factor, n, sums) ||
      !eliminate_columns<2>(s, square, factor, n, sums) || !eliminate_columns<3>(s, square, factor, n, sums)) {
    return false;
  }
  estimate = ordinary_kriging(s, n, sums.mean, sums.ones);
  return true;
}

void estimate(const KrigingArgs& a, int64_t hidden, Around& around) {
  const int64_t cell = a.cell_of[hidden], at = a.pixels[hidden];
  if (!(a.law[cell * kTerms] >= 0.0f)) return;
  const Plane plane = a.layout[a.cells[3 * cell]];
  const int64_t y = (at - plane.offset) / plane.width, x = (at - plane.offset) % plane.width;
  Candidates found;
  find_candidates(a, plane, y, x, found);
  if (found.count < kLeastNear) return;
  if (around.cell != cell) {
    around.cell = cell;
    tabulate(a, cell, around);
    if (a.weights) differentiate(a, plane, cell, around);
  }
  const float own = a.law[cell * kTerms + kTerms - 1];
  Metric metric = plain_metric();
  if (a.weights) {
    metric = metric_of(gradients_near(a, around, static_cast<int>(y % kBlock), static_cast<int>(x % kBlock)), own);
  }
  Neighbours near;
  choose_neighbours(a, metric, found, near);
  System s;
  Square square;
  set_system(a, near, metric, around.covariance, own, s, square);
  double value;
  if (!eliminate(s, square, near.count, value)) return;
  put(a, at, among_nearest(a, near, value));
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
    Around around;
    for (int64_t k = i * piece; k < min64(a.holes, (i + 1) * piece); ++k) estimate(a, k, around);
  });
}

}  // namespace gencosmo::GC_ISA
