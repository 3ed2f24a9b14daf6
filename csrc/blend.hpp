// blend_: windows back to the canvas with separable trapezoid weights. A pixel's additions happen in the order of the
// windows, whatever the number of threads and however the windows are split into calls.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"

namespace gencosmo {

struct BlendArgs {
  const float *mean_in, *var_in;  // (count, 1, height, width)
  const Window* windows;
  const Plane* layout;
  float *mean, *var, *weight;  // (pixels,)
  int64_t planes, pixels, count, height, width, halo, ramp;
};
struct BlendFinishArgs {
  float *mean, *var;
  const float* weight;
  int64_t pixels;
};

// Weight along one axis of window pixel i; `size` is the window's, its core is size - 2 halo. Neighbours sum to one.
GC_HD float blend_weight(int64_t i, int64_t size, int64_t halo, int64_t ramp) {
  const int64_t core = size - 2 * halo;
  if (ramp <= 0) return i >= halo && i < halo + core ? 1.0f : 0.0f;
  const float x = static_cast<float>(i - halo) + 0.5f, r = static_cast<float>(ramp), c = static_cast<float>(core);
  const float rise = at_most(at_least((x + r) / (2.0f * r), 0.0f), 1.0f);
  const float fall = at_most(at_least((c + r - x) / (2.0f * r), 0.0f), 1.0f);
  return rise * fall;
}

GC_CPU_KERNEL(blend, BlendArgs)
GC_CUDA_KERNEL(blend, BlendArgs)
GC_CPU_KERNEL(blend_finish, BlendFinishArgs)
GC_CUDA_KERNEL(blend_finish, BlendFinishArgs)

}  // namespace gencosmo
