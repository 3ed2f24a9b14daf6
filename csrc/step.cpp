#include "step.hpp"

#include "parallel.hpp"
#include "philox_block.hpp"

namespace gencosmo::GC_ISA {
namespace {

bool any_moves(const float* clock, int64_t n) {
  int32_t moving = 0;
  for (int64_t j = 0; j < n; ++j) moving |= clock[j] > 0.0f ? 1 : 0;
  return moving != 0;
}

// Whether a pixel of [i, i + n) moves by the stochastic update.
bool any_draws(const StepArgs& a, const StepRow s, int64_t i, int64_t n) {
  if (s.mode != kModeFlow) return true;
  int32_t draws = 0;
  for (int64_t j = i; j < i + n; ++j) {
    const float sigma = a.sigma[j], target = step_target(s, a.sigma_obs[j], a.clock[j]);
    const bool moves = (a.clock[j] > 0.0f) & (target < sigma);
    draws |= moves & !step_flows(s, sigma, target, a.sigma_obs[j]) ? 1 : 0;
  }
  return draws != 0;
}

// Pixels [i, end) of the canvas, which lie in one row of a plane; noise[0] belongs to pixel i.
void advance(const StepArgs& a, const StepRow s, int64_t i, int64_t end, const float* noise) {
  const int64_t n = end - i;
  float* z = a.z + i;
  float* sigma = a.sigma + i;
  float* previous = a.previous + i;
  const float *mean = a.mean + i, *var = a.var + i, *observed = a.sigma_obs + i, *clock = a.clock + i;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const float target = step_target(s, observed[j], clock[j]), d = mean[j];
    const bool moves = (clock[j] > 0.0f) & (target < sigma[j]);
    const float next = step_value(s, z[j], sigma[j], target, observed[j], d, var[j], previous[j], noise[j]);
    z[j] = moves ? next : z[j];
    sigma[j] = moves ? target : sigma[j];
    previous[j] = clock[j] > 0.0f ? d : previous[j];
  }
}

}  // namespace

void step(const StepArgs& a, int threads) {
  for_each_row(a.layout, a.planes, threads, [&](int64_t p, const Plane& plane, int64_t row) {
    const StepRow s = step_row(a, p);
    const RowKeys keys = row_keys(noise_key(a.seed[p], plane.key, s.rng_step, s.stream), plane.row0 + row);
    const int64_t begin = plane.offset + row * plane.width, end = plane.col0 + plane.width;
    float noise[kBlock] = {};
    for (int64_t group = plane.col0 >> 2; 4 * group < end; group += kGroups) {
      const int64_t col = max64(4 * group, plane.col0), last = min64(4 * group + kBlock, end);
      const int64_t i = begin + col - plane.col0, n = last - col;
      if (!any_moves(a.clock + i, n)) continue;  // most of an image never moves and draws no noise
      if (any_draws(a, s, i, n)) normal_block(keys, group, noise);
      advance(a, s, i, i + n, noise + (col - 4 * group));
    }
  });
}

}  // namespace gencosmo::GC_ISA
