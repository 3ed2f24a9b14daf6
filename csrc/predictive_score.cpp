#include "predictive_score.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

struct Lanes {
  double log_prob[kLanes], square[kLanes], count[kLanes];
};

// n <= 16 pixels from `i` on, each to its own lane.
template <Family family>
inline void score_few(const ScoreArgs& a, int64_t i, int n, double* log_lane, double* square_lane, double* count_lane) {
  for (int c = 0; c < n; ++c) {
    float z, log_prob;
    bool scored;
    score_pixel<family>(a, a.value[i + c], a.mean[i + c], a.var[i + c], a.ivar[i + c], z, log_prob, scored);
    a.z[i + c] = z;
    a.log_prob[i + c] = log_prob;
    log_lane[c] += static_cast<double>(log_prob);
    square_lane[c] += static_cast<double>(z) * static_cast<double>(z);
    count_lane[c] += scored ? 1.0 : 0.0;
  }
}
template <Family family>
inline void score_sixteen(const ScoreArgs& a, int64_t first, double* log_lane, double* square_lane,
                          double* count_lane) {
  const float *value = a.value + first, *mean = a.mean + first, *var = a.var + first, *ivar = a.ivar + first;
  float *z_out = a.z + first, *log_out = a.log_prob + first;
  float z[kTile], log_prob[kTile], count[kTile];
#pragma GCC ivdep
  for (int c = 0; c < kTile; ++c) {
    bool scored;
    score_pixel<family>(a, value[c], mean[c], var[c], ivar[c], z[c], log_prob[c], scored);
    count[c] = scored ? 1.0f : 0.0f;
    z_out[c] = z[c];
    log_out[c] = log_prob[c];
  }
  for (int c = 0; c < kTile; ++c) log_lane[c] += static_cast<double>(log_prob[c]);
  for (int c = 0; c < kTile; ++c) square_lane[c] += static_cast<double>(z[c]) * static_cast<double>(z[c]);
  for (int c = 0; c < kTile; ++c) count_lane[c] += static_cast<double>(count[c]);
}

template <Family family>
void score_tile(const ScoreArgs& a, int64_t tile) {
  const int64_t image = tile / (a.tile_rows * a.tile_cols), inside = tile % (a.tile_rows * a.tile_cols);
  const int64_t top = inside / a.tile_cols * a.tile, left = inside % a.tile_cols * a.tile;
  const int64_t bottom = min64(top + a.tile, a.height), right = min64(left + a.tile, a.width);
  Lanes lanes{};
  for (int64_t y = top; y < bottom; ++y) {
    const int64_t row = (image * a.height + y) * a.width, lane = (y - top) % kTile * kTile;
    double* target[] = {lanes.log_prob + lane, lanes.square + lane, lanes.count + lane};
    int64_t x = left;
    for (; x + kTile <= right; x += kTile) score_sixteen<family>(a, row + x, target[0], target[1], target[2]);
    if (x < right) score_few<family>(a, row + x, static_cast<int>(right - x), target[0], target[1], target[2]);
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
