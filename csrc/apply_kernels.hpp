// apply_kernels: predicted 5x5 kernels over the filled neighbourhood, the residual, and the limits that hold whatever
// the network says; see gencosmo/ops/apply_kernels.py. No unfolded copy is made.
#pragma once
#include "canvas.hpp"
#include "elementary.hpp"
#include "half.hpp"
#include "isa.hpp"

namespace gencosmo {

constexpr int kReach = 2, kSide = 5, kTaps = 25, kRawChannels = 28;
constexpr float kDeviation = 8.0f, kEta = 0.2f, kLogVarMin = -12.0f, kLogVarMax = 18.0f;

struct ApplyArgs {
  const void* raw;     // (count, 28, height, width), strides below, in elements
  const float* win;    // (count, 5, height, width)
  const float* local;  // (count, 5, height, width): x0, m, s, d, gate
  float *mean, *var;   // (count, 1, height, width)
  int64_t count, height, width, window_stride, channel_stride, pixel_stride;  // strides of `raw`
  Float type;
};

// The way back: gradients of the outputs to gradients of `raw`; windows and local statistics are data.
struct ApplyBackwardArgs {
  ApplyArgs forward;                  // its mean and var are not used
  const float *grad_mean, *grad_var;  // (count, 1, height, width)
  void* grad_raw;                     // type and strides of `raw`
};

// A filled neighbour against the local mean, bounded in local spreads.
GC_HD float deviation(float value, float mean, float spread) {
  const float limit = kDeviation * spread;
  return at_most(at_least(value - mean, -limit), limit);
}

struct ApplyPixel {
  float z, sigma, base, smooth, x0, spread, rough, gate;
};
// Exact pixels come back as they are, whatever the network says: it need not be read there.
// `dot` is the sum of centred weights times deviations from the local mean; raw values of the last three channels.
GC_HD void apply_pixel(const ApplyPixel& p, float dot, float base_weight, float residual, float log_var, float& mean,
                       float& var) {
  float head = p.x0 + p.rough / p.spread * dot;
  head = head + base_weight * (p.base - p.smooth) + p.gate * p.rough * residual;
  const bool unknown = is_inf(p.sigma), exact = p.sigma == 0.0f;
  const float level2 = unknown ? 0.0f : p.sigma * p.sigma;
  const float pull = (kEta * p.rough) * (kEta * p.rough);
  const float share = unknown ? 1.0f : level2 / (pull + level2);
  const float datum = unknown ? 0.0f : p.z;
  mean = exact ? p.z : datum + share * (head - datum);
  const float spread = p.rough * p.rough * natural_exp(at_most(at_least(log_var, kLogVarMin), kLogVarMax));
  const float bounded = unknown ? spread : level2 * spread / (level2 + spread);
  var = exact ? 0.0f : bounded;
}

// What the chain rule needs of a pixel: d loss / d dot, / d base weight, / d residual, / d log variance.
struct ApplySlopes {
  float dot, base_weight, residual, log_var;
};
GC_HD ApplySlopes apply_slopes(const ApplyPixel& p, float log_var, float grad_mean, float grad_var) {
  const bool unknown = is_inf(p.sigma), exact = p.sigma == 0.0f;
  const float level2 = unknown ? 0.0f : p.sigma * p.sigma;
  const float pull = (kEta * p.rough) * (kEta * p.rough);
  const float head = exact ? 0.0f : grad_mean * (unknown ? 1.0f : level2 / (pull + level2));
  const float spread = p.rough * p.rough * natural_exp(at_most(at_least(log_var, kLogVarMin), kLogVarMax));
  const float share = unknown ? 1.0f : level2 / (level2 + spread);
  const bool clamped = (log_var < kLogVarMin) | (log_var > kLogVarMax);
  return ApplySlopes{head * (p.rough / p.spread), head * (p.base - p.smooth), head * p.gate * p.rough,
                     clamped | exact ? 0.0f : grad_var * share * share * spread};
}

GC_CPU_KERNEL(apply_kernels, ApplyArgs)
GC_CPU_KERNEL(apply_kernels_backward, ApplyBackwardArgs)
GC_CUDA_KERNEL(apply_kernels_backward, ApplyBackwardArgs)
GC_CUDA_KERNEL(apply_kernels, ApplyArgs)

}  // namespace gencosmo
