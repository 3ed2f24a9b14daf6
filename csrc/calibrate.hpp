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

// Of pixels that are not exact: the variance stays within the level's, the shift counts in corrected deviations and, as
// the residual, not at all where nothing is known.
GC_HD void calibrate_pixel(float sigma, float gate, float factor, float shift, float& mean, float& var) {
  const float own = minimum(at_least(var, 0.0f) * factor, sigma * sigma);
  const float moved = mean + gate * shift * root(own);
  mean = sigma > 0.0f ? moved : mean;
  var = sigma > 0.0f ? own : var;
}

GC_CPU_KERNEL(calibrate, CalibrateArgs)
GC_CUDA_KERNEL(calibrate, CalibrateArgs)

}  // namespace gencosmo
