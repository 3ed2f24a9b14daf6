// biharmonic_fill_: the smoothest surface through the surroundings of each hole, by conjugate gradients per component;
// see gencosmo/ops/biharmonic_fill.py.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"

namespace gencosmo {

constexpr double kResidualFloor = 1e-12;

struct BiharmonicArgs {
  const float *base, *base_var;
  float* smooth;
  const Plane* layout;
  const int64_t *pixels, *starts, *component_plane;
  float* direction;         // (canvas,) search direction; zero around the holes
  float *residual, *image;  // (holes,) and A times the direction
  uint32_t* border;         // (holes,) 1 where the stencil meets the edge of the plane
  int64_t planes, canvas, holes, components, iterations;
  float limit;
};

GC_HD float degree(const Plane& p, int64_t y, int64_t x) {
  return static_cast<float>((y > 0) + (y + 1 < p.height) + (x > 0) + (x + 1 < p.width));
}
GC_HD float laplacian_at(const Plane& p, const float* u, int64_t y, int64_t x) {
  const float* c = u + y * p.width + x;
  float sum = degree(p, y, x) * c[0];
  if (y > 0) sum -= c[-p.width];
  if (y + 1 < p.height) sum -= c[p.width];
  if (x > 0) sum -= c[-1];
  if (x + 1 < p.width) sum -= c[1];
  return sum;
}
// (L L u) where the stencil meets an edge; `u` is the plane's first pixel.
GC_HD float bilaplacian_border(const Plane& p, const float* u, int64_t y, int64_t x) {
  float sum = degree(p, y, x) * laplacian_at(p, u, y, x);
  if (y > 0) sum -= laplacian_at(p, u, y - 1, x);
  if (y + 1 < p.height) sum -= laplacian_at(p, u, y + 1, x);
  if (x > 0) sum -= laplacian_at(p, u, y, x - 1);
  if (x + 1 < p.width) sum -= laplacian_at(p, u, y, x + 1);
  return sum;
}
// (L L u) where all 13 pixels of the stencil and their neighbours exist: `c` points at the pixel.
GC_HD float bilaplacian_inner(const float* c, int64_t w) {
  const float beside = c[-1] + c[1] + c[-w] + c[w];
  const float diagonal = c[-w - 1] + c[-w + 1] + c[w - 1] + c[w + 1];
  const float two_away = c[-2] + c[2] + c[-2 * w] + c[2 * w];
  return 20.0f * c[0] - 8.0f * beside + 2.0f * diagonal + two_away;
}
GC_HD bool touches_border(const Plane& p, int64_t pixel) {
  const int64_t y = (pixel - p.offset) / p.width, x = (pixel - p.offset) % p.width;
  return y < 2 || x < 2 || y + 2 >= p.height || x + 2 >= p.width;
}
GC_HD float bilaplacian(const Plane& p, const float* canvas, int64_t pixel, bool border) {
  if (!border) return bilaplacian_inner(canvas + pixel, p.width);
  const int64_t i = pixel - p.offset;
  return bilaplacian_border(p, canvas + p.offset, i / p.width, i % p.width);
}
// Zeroes the direction wherever the stencil of a hole pixel reaches.
GC_HD void clear_around(const Plane& p, float* canvas, int64_t pixel) {
  const int64_t y = (pixel - p.offset) / p.width, x = (pixel - p.offset) % p.width;
  for (int64_t dy = -2; dy <= 2; ++dy) {
    const int64_t reach = 2 - (dy < 0 ? -dy : dy);
    if (y + dy < 0 || y + dy >= p.height) continue;
    const int64_t last = min64(x + reach, p.width - 1);
    for (int64_t c = max64(x - reach, 0); c <= last; ++c) canvas[p.offset + (y + dy) * p.width + c] = 0.0f;
  }
}
GC_HD float within(float u, float base, float base_var, float limit) {
  const float reach = limit * root(base_var);
  const float low = base - reach, high = base + reach;
  if (!(low <= high)) return low + high;  // NaN like torch.minimum of NaN
  return at_most(at_least(u, low), high);
}

GC_CPU_KERNEL(biharmonic_fill, BiharmonicArgs)
GC_CUDA_KERNEL(biharmonic_fill, BiharmonicArgs)

}  // namespace gencosmo
