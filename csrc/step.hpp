// step_: one update of every moving pixel; see gencosmo/ops/step.py for the formulas and their sources.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"
#include "philox.hpp"

namespace gencosmo {

constexpr int kCoefColumns = 5;
constexpr int kModeFlow = 1;

struct StepArgs {
  float *z, *sigma;  // read and written
  const float *mean, *var, *sigma_obs, *clock;
  float* previous;
  const Plane* layout;
  const int64_t* seed;  // one per plane
  const float* coef;    // (steps, 5)
  const int64_t* index;
  int64_t planes, pixels, steps, index_stride;  // index_stride 0: one row for all planes
};

struct StepRow {  // one row of `coef`
  float tau, mode, extrapolate;
  int64_t stream, rng_step;
};
GC_HD StepRow step_row(const StepArgs& a, int64_t plane) {
  const float* c = a.coef + clamp64(a.index[plane * a.index_stride], 0, a.steps - 1) * kCoefColumns;
  return StepRow{c[0], c[1], c[2], static_cast<int64_t>(c[3]), static_cast<int64_t>(c[4])};
}

GC_HD float step_target(const StepRow& s, float sigma_obs, float clock) { return minimum(sigma_obs, s.tau * clock); }

// Whether a pixel takes the flow, which needs no noise.
GC_HD bool step_flows(const StepRow& s, float sigma, float target, float sigma_obs) {
  return (s.mode == kModeFlow) & is_inf(sigma_obs) & !is_inf(sigma) & (target > 0.0f);
}

// The new z of a pixel that moves from `sigma` to `target` < sigma.
GC_HD float step_value(const StepRow& s, float z, float sigma, float target, float sigma_obs, float mean, float var,
                       float previous, float noise) {
  const float a = is_inf(sigma) ? 0.0f : target / sigma;
  const float r = a * a, q = (1.0f - a) * (1.0f + a);
  const float spread = root(target * target * q + q * q * at_least(var, 0.0f));
  const float stochastic = r * z + q * mean + spread * noise;
  const float flow = a * z + (1.0f - a) * (mean + s.extrapolate * (mean - previous));
  return step_flows(s, sigma, target, sigma_obs) ? flow : stochastic;
}

GC_CPU_KERNEL(step, StepArgs)
GC_CUDA_KERNEL(step, StepArgs)

}  // namespace gencosmo
