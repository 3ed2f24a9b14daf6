// calibrate_: measured corrections of a predicted mean and variance, from tables by the pixel's level over the local
// roughness and by the local spread; see gencosmo/ops/calibrate.py.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"

namespace gencosmo {

struct CalibrateArgs {
  float *mean, *var;             // (count, 1, height, width)
  const float* win;              // (count, 5, height, width)
  const float* local;            // (count, 5, height, width): x0, m, s, d, gate
  const float *levels, *scales;  // edges: level over roughness, spread
  const float *factors, *shifts;  // (level_edges + 2, scale_edges + 1)
  int64_t count, area, level_edges, scale_edges;
};

// The pixel's place in the tables is `row * (scale_edges + 1) + column`; the last row holds the unknown.
GC_HD int32_t level_above(float sigma, float rough, float edge) { return sigma > edge * rough ? 1 : 0; }
GC_HD int32_t scale_above(float spread, float edge) { return spread > edge ? 1 : 0; }
GC_HD int32_t unknown_above(float sigma) { return sigma == infinity() ? 1 : 0; }

struct CalibratePixel {
  float sigma, base, base_var, smooth, spread, rough, gate;
};

// Two witnesses of an unknown pixel: what lies beyond both surfaces through the pixels seen, and half a noise, is shared
// between the network and the nearest of them by their variances; the less, the smoother the pixels around are.
constexpr float kRoom = 0.5f, kSmoothest = 0.4f, kRoughest = 0.8f;
GC_HD float shared_mean(const CalibratePixel& p, float mean, float var) {
  const float room = kRoom * at_most(p.rough, 1.0f);
  const float low = minimum(p.base, p.smooth) - room, high = maximum(p.base, p.smooth) + room;
  const float kept = at_most(at_least(mean, low), high), rest = mean - kept + (low - low);  // NaN if a bound is
  const float ragged = (p.rough - kSmoothest * p.spread) / ((kRoughest - kSmoothest) * p.spread);
  const float doubt = at_most(at_least(ragged, 0.0f), 1.0f) * var;
  const float part = kept + rest * (p.base_var / (p.base_var + doubt));
  return (rest == 0.0f) | (doubt == 0.0f) ? mean : part;
}

// Of pixels that are not exact: the variance stays within the level's, the shift counts in corrected deviations and, as
// the residual, not at all where nothing is known.
GC_HD void calibrate_pixel(const CalibratePixel& p, float factor, float shift, float& mean, float& var) {
  const float own = minimum(at_least(var, 0.0f) * factor, p.sigma * p.sigma);
  const float moved = mean + p.gate * shift * root(own);
  const float shared = shared_mean(p, moved, own);  // of every pixel: a lane of a vector cannot turn off
  const float found = is_inf(p.sigma) ? shared : moved;
  mean = p.sigma > 0.0f ? found : mean;
  var = p.sigma > 0.0f ? own : var;
}

GC_CPU_KERNEL(calibrate, CalibrateArgs)
GC_CUDA_KERNEL(calibrate, CalibrateArgs)

}  // namespace gencosmo
