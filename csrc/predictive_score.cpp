#include "predictive_score.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

struct Lanes {
  double log_prob[kLanes], square[kLanes], count[kLanes];
};

constexpr int kBuffer = 8 * kTile;  // pixels at a time; the loop over them is long enough to be vectorised

// n <= kBuffer pixels of a row from `first` on, a multiple of 16 columns from the tile's edge.
template <Family family>
void score_pixels(const ScoreArgs& a, int64_t first, int n, Lanes& lanes, int64_t lane) {
  const float *value = a.value + first, *mean = a.mean + first, *var = a.var + first, *ivar = a.ivar + first;
  float *z_out = a.z + first, *log_out = a.log_prob + first;
  const float parameter = a.parameter, constant = a.constant;
  float z[kBuffer], log_prob[kBuffer], count[kBuffer];
#pragma GCC ivdep
  for (int c = 0; c < n; ++c) {
    count[c] = score_pixel<family>(parameter, constant, value[c], mean[c], var[c], ivar[c], z[c], log_prob[c]);
    z_out[c] = z[c];
    log_out[c] = log_prob[c];
  }
  double *log_lane = lanes.log_prob + lane, *square_lane = lanes.square + lane, *count_lane = lanes.count + lane;
  int c = 0;
  for (; c + kTile <= n; c += kTile) {
    for (int k = 0; k < kTile; ++k) {
      log_lane[k] += static_cast<double>(log_prob[c + k]);
      square_lane[k] += static_cast<double>(z[c + k]) * static_cast<double>(z[c + k]);
      count_lane[k] += static_cast<double>(count[c + k]);
    }
  }
  for (int k = 0; c + k < n; ++k) {
    log_lane[k] += static_cast<double>(log_prob[c + k]);
    square_lane[k] += static_cast<double>(z[c + k]) * static_cast<double>(z[c + k]);
    count_lane[k] += static_cast<double>(count[c + k]);
  }
}

template <Family family>
void score_tile(const ScoreArgs& a, int64_t tile) {
  const int64_t image = tile / (a.tile_rows * a.tile_cols), inside = tile % (a.tile_rows * a.tile_cols);
  const int64_t top = inside / a.tile_cols * a.tile, left = inside % a.tile_cols * a.tile;
  const int64_t bottom = min64(top + a.tile, a.height), right = min64(left + a.tile, a.width);
  Lanes lanes{};
  for (int64_t y = top; y < bottom; ++y) {
    const int64_t row = (image * a.height + y) * a.width, lane = (y - top) % kTile * kTile;
    for (int64_t x = left; x < right; x += kBuffer) {
      score_pixels<family>(a, row + x, static_cast<int>(min64(kBuffer, right - x)), lanes, lane);
    }
  }
  double* sums = a.sums + tile * kScoreSums;
  sums[0] = tree_sum<kLanes>(lanes.log_prob);
  sums[1] = tree_sum<kLanes>(lanes.square);
  sums[2] = tree_sum<kLanes>(lanes.count);
}

template <Family family>
void score(const ScoreArgs& a, int threads) {
  const int64_t tiles = a.images * a.tile_rows * a.tile_cols;
  for_each_item(tiles, min64(a.tile, a.height) * min64(a.tile, a.width), threads,
                [&](int64_t tile) { score_tile<family>(a, tile); });
}

}  // namespace

void predictive_score(const ScoreArgs& a, int threads) {
  if (a.family == Family::gaussian) return score<Family::gaussian>(a, threads);
  if (a.family == Family::student_t) return score<Family::student_t>(a, threads);
  score<Family::poisson_gaussian>(a, threads);
}

}  // namespace gencosmo::GC_ISA
