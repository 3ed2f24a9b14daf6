// gather: windows of many planes into one batch. Outside the plane nothing is known (z = 0, sigma = inf) and the
// bases continue with the value of the nearest pixel.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"

namespace gencosmo {

struct GatherArgs {
  const float* fields;  // (5, pixels)
  const Plane* layout;
  const Window* windows;
  float* out;  // (count, 5, height, width)
  int64_t planes, pixels, count, height, width;
};

GC_HD float gather_pixel(const float* row, const Plane& plane, int field, int64_t y, int64_t x) {
  const bool inside = y >= 0 && y < plane.height && x >= 0 && x < plane.width;
  if (!inside && field == kZ) return 0.0f;
  if (!inside && field == kSigma) return infinity();
  if (plane.height <= 0 || plane.width <= 0) return 0.0f;
  return row[plane.offset + clamp64(y, 0, plane.height - 1) * plane.width + clamp64(x, 0, plane.width - 1)];
}

GC_CPU_KERNEL(gather, GatherArgs)
GC_CUDA_KERNEL(gather, GatherArgs)

}  // namespace gencosmo
