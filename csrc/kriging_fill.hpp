// kriging_fill_: the best linear estimate of every hidden pixel from its nearest trusted neighbours, under the
// covariance that the pixels around it show; see gencosmo/ops/kriging_fill.py, whose constants these are.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"

namespace gencosmo {

constexpr int kBlock = 8;          // side of the squares over which pairs of pixels are counted
constexpr int kLags = 10;          // distances between the pixels of a pair
constexpr int kPairs = 26;         // offsets of a pair
constexpr int kTerms = 21;         // correlation shapes, and one for what neighbours do not share
constexpr int kNear = 32;          // most neighbours of an estimate
constexpr int kLeastNear = 12;     // with fewer the pixel is left as it is
constexpr int kNearest = 8;        // of these an estimate stays within twice the range
constexpr int kRegion = 4;         // blocks to each side whose law holds where a pixel's own surroundings say little
constexpr int kSweeps = 60;        // of coordinate descent
constexpr int kFine = 8, kFineEnd = 16, kFarthest = 400;  // squared distances in eighths up to 16, then in ones
constexpr int kTable = (kFine - 1) * kFineEnd + kFarthest + 1;
constexpr int kNearReach = 10, kNearSide = 2 * kNearReach + 1;  // gradients that tell the metric of a pixel are so near
constexpr int kCandidates = 2 * kNear;  // an ellipse twice as long as wide lies in a circle of twice its area
constexpr double kMostStretch = 2.0;    // of squared distances, along and across
constexpr double kOwnGradients = 4.0;   // times what pixels do not share is added to both ends of a gradient
constexpr double kShrink = 30.0;   // pairs that the region's law counts for
constexpr double kMostSquare = 1e30;
constexpr double kOwnFloor = 0.003;  // least share of the nearest pairs' squares that is a pixel's own
constexpr double kMostPairs = 300.0, kAddedPairs = 5.0, kJitter = 1e-5, kTiny = 1e-9;
constexpr float kTrusted = 4.0f;  // pixels with less noise are neighbours

struct Pair {
  int8_t lag, down, right;
};
GC_HD Pair pair_of(int k) {
  constexpr Pair pairs[kPairs] = {
      {0, 0, 1},  {0, 1, 0}, {1, 1, 1},  {1, 1, -1}, {2, 0, 2}, {2, 2, 0}, {3, 1, 2},  {3, 2, 1},  {3, 1, -2},
      {3, 2, -1}, {4, 2, 2}, {4, 2, -2}, {5, 0, 3},  {5, 3, 0}, {6, 2, 3}, {6, 3, 2},  {6, 2, -3}, {6, 3, -2},
      {7, 0, 4},  {7, 4, 0}, {8, 3, 4},  {8, 4, 3},  {8, 3, -4}, {8, 4, -3}, {9, 0, 6}, {9, 6, 0}};
  return pairs[k];
}
GC_HD int squared_distance(int lag) {
  constexpr int squares[kLags] = {1, 2, 4, 5, 8, 9, 13, 16, 25, 36};
  return squares[lag];
}

// Where a squared distance stands in the tables.
GC_HD int table_row(int squared) { return squared < kFineEnd ? kFine * squared : (kFine - 1) * kFineEnd + squared; }

struct KrigingArgs {
  const float *z, *sigma, *base_var;
  float *base, *smooth;
  const Plane* layout;
  const int64_t* blocks;           // (planes,) number of each plane's first block
  const int64_t *pixels, *cell_of;  // (holes,) hidden pixels, and the cell of each
  const int64_t* cells;            // (count, 3) plane, row and column of blocks that hold hidden pixels
  const int32_t* offsets;          // (reach, 2) down and right, nearest first
  const float* shapes;             // (kTerms - 1, kTable) correlation at squared distances
  const float* weights;            // (kNearSide,) of gradients by their offset along an axis; null: one metric for all
  float *sums, *law;               // (all blocks, 2 kLags) pairs; (count, kTerms) covariance of each cell
  int64_t planes, holes, count, reach, all_blocks;
  float limit;
};

GC_HD int64_t block_rows(const Plane& p) { return (p.height + kBlock - 1) / kBlock; }
GC_HD int64_t block_cols(const Plane& p) { return (p.width + kBlock - 1) / kBlock; }
GC_HD bool trusted(float z, float sigma) {
  return sigma < kTrusted && is_finite(sigma) && is_finite(z);
}
// Half the squared difference of a pair, without what their noise explains; zero unless both count.
GC_HD float pair_square(float a, float b, float noise_a, float noise_b, float both) {
  const float d = a - b;
  return both * (0.5f * (d * d) - (noise_a + noise_b));
}
GC_HD float half_square(float sigma) { return 0.5f * (sigma * sigma); }
GC_HD float eight(const float* v) { return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])); }
GC_HD double square_root(double x) {
#if defined(__CUDA_ARCH__)
  return __dsqrt_rn(x);
#else
  return __builtin_sqrt(x);
#endif
}

// The covariance of one cell: a mixture of correlation shapes through the squares of pairs around it. Returns false
// where there are no pairs.
GC_HD bool fit_law(const KrigingArgs& a, int64_t cell, float* law) {
  const int64_t p = a.cells[3 * cell], row = a.cells[3 * cell + 1], col = a.cells[3 * cell + 2];
  const Plane plane = a.layout[p];
  const int64_t rows = block_rows(plane), cols = block_cols(plane);
  double near_sum[kLags], near_count[kLags], wide_sum[kLags], wide_count[kLags];
  for (int g = 0; g < kLags; ++g) near_sum[g] = near_count[g] = wide_sum[g] = wide_count[g] = 0.0;
  for (int64_t y = max64(row - kRegion, 0); y <= min64(row + kRegion, rows - 1); ++y) {
    for (int64_t x = max64(col - kRegion, 0); x <= min64(col + kRegion, cols - 1); ++x) {
      const float* s = a.sums + (a.blocks[p] + y * cols + x) * (2 * kLags);
      const int64_t dy = y < row ? row - y : y - row, dx = x < col ? col - x : x - col;
      const double share = dy > 1 || dx > 1 ? 0.0 : dy + dx == 0 ? 1.0 : dy + dx == 1 ? 0.5 : 0.25;
      double total = 0.0, pairs = 0.0;
      for (int g = 0; g < kLags; ++g) {
        total += static_cast<double>(s[g]);
        pairs += static_cast<double>(s[kLags + g]);
      }
      if (!(pairs > 0.0)) continue;
      const double scale = total / pairs;
      for (int g = 0; g < kLags; ++g) {
        if (share > 0.0) {
          near_sum[g] += share * static_cast<double>(s[g]);
          near_count[g] += share * static_cast<double>(s[kLags + g]);
        }
        if (scale > kTiny) {
          wide_sum[g] += static_cast<double>(s[g]) / scale;
          wide_count[g] += static_cast<double>(s[kLags + g]);
        }
      }
    }
  }
  double top = 0.0, under = 0.0, seen = 0.0;
  for (int g = 0; g < kLags; ++g) {
    wide_sum[g] = wide_count[g] > 0.0 ? wide_sum[g] / wide_count[g] : 1.0;
    top += near_sum[g];
    under += near_count[g] * wide_sum[g];
    seen += near_count[g];
  }
  if (!(seen > 0.0)) return false;
  const double scale = (top > 0.0 ? top : 0.0) / (under > kTiny ? under : kTiny) + kTiny;
  double law_of[kLags], highest = 0.0;
  for (int g = 0; g < kLags; ++g) {
    law_of[g] = (near_sum[g] + kShrink * scale * wide_sum[g]) / (near_count[g] + kShrink);
    if (!(law_of[g] < kMostSquare)) return false;
    law_of[g] = law_of[g] > kTiny ? law_of[g] : kTiny;  // the stated noise may explain all there is
    if (law_of[g] > highest) highest = law_of[g];
  }
  // Nonnegative least squares of relative errors by coordinate descent, from nothing, long shapes first.
  double rest[kLags], weight[kLags], column[kTerms][kLags], x[kTerms], norm[kTerms];
  for (int g = 0; g < kLags; ++g) {
    const double value = law_of[g] > 1e-4 * highest ? law_of[g] : 1e-4 * highest;
    const double pairs = near_count[g] < kMostPairs ? near_count[g] : kMostPairs;
    // (pairs + 5)^1/4 over the fourth root of the distance
    weight[g] = square_root(square_root((pairs + kAddedPairs) / square_root(static_cast<double>(squared_distance(g))))) / value;
    rest[g] = weight[g] * value;
  }
  for (int t = 0; t < kTerms; ++t) {
    x[t] = 0.0;
    norm[t] = 0.0;
    for (int g = 0; g < kLags; ++g) {
      const double shape = t + 1 < kTerms ? 1.0 - static_cast<double>(a.shapes[t * kTable + table_row(squared_distance(g))]) : 1.0;
      column[t][g] = weight[g] * shape;
      norm[t] += column[t][g] * column[t][g];
    }
  }
  for (int sweep = 0; sweep < kSweeps; ++sweep) {
    for (int u = 0; u < kTerms; ++u) {
      const int t = u + 1 < kTerms ? kTerms - 2 - u : u;  // Gaussians, Matern shapes, what pixels do not share
      double slope = 0.0;
      for (int g = 0; g < kLags; ++g) slope += column[t][g] * rest[g];
      double next = x[t] + slope / norm[t];
      next = next > 0.0 ? next : 0.0;
      const double change = next - x[t];
      for (int g = 0; g < kLags; ++g) rest[g] -= change * column[t][g];
      x[t] = next;
    }
  }
  x[kTerms - 1] += kOwnFloor * law_of[0];
  for (int t = 0; t < kTerms; ++t) law[t] = static_cast<float>(x[t]);
  return true;
}

GC_HD float within_reach(float value, float base, float base_var, float limit) {
  const float reach = limit * root(base_var), low = base - reach, high = base + reach;
  if (!(low <= high)) return low + high;  // NaN like torch.minimum of NaN
  return at_most(at_least(value, low), high);
}

// Squared distances from a pixel and between its neighbours, shorter along an edge than across it.
struct Metric {
  double down, right, mixed;
};
GC_HD double squared(const Metric& m, int32_t down, int32_t right) {
  const double y = static_cast<double>(down), x = static_cast<double>(right);
  return (m.down * (y * y) + m.right * (x * x)) + m.mixed * (y * x);
}
GC_HD Metric plain_metric() { return Metric{1.0, 1.0, 0.0}; }
// Sums of the products of gradients around a pixel, and of their weights.
struct Gradients {
  double down, mixed, right, weight;
};
// The fourth root of the ratio of both ends of the tensor of gradients, what is a pixel's own (`own`, a variance) added to
// both, stretches squared distances along one axis and shrinks them along the other.
GC_HD Metric metric_of(const Gradients& g, float own) {
  const double half = 0.5 * (g.down - g.right), middle = 0.5 * (g.down + g.right);
  const double apart = square_root(half * half + g.mixed * g.mixed);
  const double noise = kOwnGradients * static_cast<double>(own) * g.weight;
  const double low = (middle > apart ? middle - apart : 0.0) + noise, ratio = (middle + apart + noise) / low;
  if (!(apart > 0.0) || !(ratio > 1.0) || !(middle < kMostSquare)) return plain_metric();
  const double root = square_root(square_root(ratio)), stretch = root < kMostStretch ? root : kMostStretch;
  const double mean = 0.5 * (stretch + 1.0 / stretch), turn = 0.5 * (stretch - 1.0 / stretch) / apart;
  return Metric{mean + turn * half, mean - turn * half, 2.0 * turn * g.mixed};
}
// A covariance between the rows of its table: where a distance stands among the rows, the row before, and their mix.
GC_HD double place_of(double distance) {
  const double far = distance < kFarthest ? distance : static_cast<double>(kFarthest);
  return far < kFineEnd ? kFine * far : (kFine - 1) * kFineEnd + far;
}
GC_HD int row_of(double place) {
  const int whole = static_cast<int>(place);
  return whole < kTable - 2 ? whole : kTable - 2;
}
GC_HD double between(const float* table, double place, int row) {
  const double low = static_cast<double>(table[row]), high = static_cast<double>(table[row + 1]);
  return low + (place - row) * (high - low);
}
GC_HD double covariance_at(const float* table, double distance) {
  const double place = place_of(distance);
  return between(table, place, row_of(place));
}

// Trusted pixels in the order of the offsets, and how far they are in the pixel's metric.
struct Candidates {
  int count;
  int64_t at[kCandidates];
  int32_t down[kCandidates], right[kCandidates];
  double far[kCandidates];
};
GC_HD int wanted_candidates(const KrigingArgs& a) { return a.weights ? kCandidates : kNear; }
// How many candidates come before one of them.
GC_HD int rank_of(const Candidates& c, int i) {
  int rank = 0;
  for (int j = 0; j < c.count; ++j) rank += c.far[j] < c.far[i] || (j < i && c.far[j] == c.far[i]) ? 1 : 0;
  return rank;
}
// Nearest first.
struct Neighbours {
  int count;
  int64_t at[kNear];
  int32_t down[kNear], right[kNear];
};
GC_HD void take(const Candidates& c, int i, int place, Neighbours& near) {
  if (place >= kNear) return;
  near.at[place] = c.at[i];
  near.down[place] = c.down[i];
  near.right[place] = c.right[i];
}
// Columns of the covariance of the neighbours, and the three right-hand sides: their values, ones, and their covariances
// with the hidden pixel. A column is one longer than it has entries, so that lanes of a warp do not meet in a bank.
struct System {
  double column[kNear][kNear + 1], value[kNear], one[kNear], pull[kNear];
};
// A neighbour's own place in the system: all of its row but its covariances with the other neighbours.
GC_HD void set_own(const KrigingArgs& a, const Neighbours& near, const Metric& m, const float* table, float own, int i,
                   System& s) {
  const double total = static_cast<double>(table[0]) + static_cast<double>(own);
  const double noise = static_cast<double>(a.sigma[near.at[i]]);
  s.column[i][i] = total + kJitter * total + noise * noise;
  s.value[i] = static_cast<double>(a.z[near.at[i]]);
  s.one[i] = 1.0;
  s.pull[i] = covariance_at(table, squared(m, near.down[i], near.right[i]));
}
// After an elimination C = L D L', which has applied L^-1 to the right-hand sides: ordinary kriging, from sums of products
// over D. `mean` is that of values and ones, `ones` that of ones.
GC_HD double ordinary_kriging(const System& s, int n, double mean, double ones) {
  mean /= ones;
  double found = mean;
  for (int j = 0; j < n; ++j) found += s.pull[j] * (s.value[j] - mean * s.one[j]) / s.column[j][j];
  return found;
}

// No farther beyond the values of the nearest neighbours than these lie apart: next to the step of a saturated column
// the covariance is the step's, and weights far from the pixel can carry it across.
GC_HD double among_nearest(const KrigingArgs& a, const Neighbours& near, double estimate) {
  float low = a.z[near.at[0]], high = low;
  for (int j = 1; j < kNearest; ++j) {
    const float value = a.z[near.at[j]];
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
  const double apart = static_cast<double>(high) - static_cast<double>(low);
  const double least = static_cast<double>(low) - apart, most = static_cast<double>(high) + apart;
  return estimate < least ? least : estimate > most ? most : estimate;
}

// The estimate becomes the surface, and what the surface was becomes the base: the pyramid's value has had its say.
GC_HD void put(const KrigingArgs& a, int64_t at, double estimate) {
  const float bridge = a.smooth[at];
  a.smooth[at] = within_reach(static_cast<float>(estimate), a.base[at], a.base_var[at], a.limit);
  a.base[at] = bridge;
}

GC_CPU_KERNEL(kriging_fill, KrigingArgs)
GC_CUDA_KERNEL(kriging_fill, KrigingArgs)

}  // namespace gencosmo
