#include "biharmonic_fill.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

// Sum of products in float64, in eight lanes and a fixed tree: the same for every instruction set.
double dot(const float* a, const float* b, int64_t n) {
  double lane[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int k = 0; k < 8; ++k) lane[k] += static_cast<double>(a[i + k] * b[i + k]);
  }
  for (int k = 0; i < n; ++i, ++k) lane[k] += static_cast<double>(a[i] * b[i]);
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}
double dot_at(const float* canvas, const int64_t* pixels, const float* b, int64_t n) {
  double lane[8] = {0, 0, 0, 0, 0, 0, 0, 0};
  for (int64_t i = 0; i < n; ++i) lane[i & 7] += static_cast<double>(canvas[pixels[i]] * b[i]);
  return ((lane[0] + lane[1]) + (lane[2] + lane[3])) + ((lane[4] + lane[5]) + (lane[6] + lane[7]));
}

void solve(const BiharmonicArgs& a, int64_t m) {
  const int64_t begin = a.starts[m], n = a.starts[m + 1] - begin;
  const Plane plane = a.layout[a.component_plane[m]];
  const int64_t* pixels = a.pixels + begin;
  const uint32_t* border = a.border + begin;
  float *r = a.residual + begin, *ap = a.image + begin, *p = a.direction, *u = a.smooth;
  for (int64_t i = 0; i < n; ++i) r[i] = -bilaplacian(plane, u, pixels[i], border[i] != 0);
  for (int64_t i = 0; i < n; ++i) p[pixels[i]] = r[i];
  double rr = dot(r, r, n);
  const double target = kResidualFloor * rr;
  for (int64_t k = 0; k < a.iterations && rr > target; ++k) {
    for (int64_t i = 0; i < n; ++i) ap[i] = bilaplacian(plane, p, pixels[i], border[i] != 0);
    const double curvature = dot_at(p, pixels, ap, n);
    if (!(curvature > 0.0)) break;
    const float alpha = static_cast<float>(rr / curvature);
    for (int64_t i = 0; i < n; ++i) {
      u[pixels[i]] += alpha * p[pixels[i]];
      r[i] -= alpha * ap[i];
    }
    const double next = dot(r, r, n);
    const float beta = static_cast<float>(next / rr);
    for (int64_t i = 0; i < n; ++i) p[pixels[i]] = r[i] + beta * p[pixels[i]];
    rr = next;
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = pixels[i];
    u[at] = within(u[at], a.base[at], a.base_var[at], a.limit);
  }
}

}  // namespace

void biharmonic_fill(const BiharmonicArgs& a, int threads) {
  for_each_range(a.canvas, threads, [&](int64_t begin, int64_t end) {
    __builtin_memcpy(a.smooth + begin, a.base + begin, static_cast<uint64_t>(end - begin) * sizeof(float));
  });
  // Zones around different components may share pixels, so all are cleared before any is used.
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
#pragma omp for schedule(dynamic, 16)
    for (int64_t m = 0; m < a.components; ++m) {
      const Plane plane = a.layout[a.component_plane[m]];
      for (int64_t i = a.starts[m]; i < a.starts[m + 1]; ++i) {
        clear_around(plane, a.direction, a.pixels[i]);
        a.border[i] = touches_border(plane, a.pixels[i]) ? 1u : 0u;
      }
    }
#pragma omp for schedule(dynamic, 4)
    for (int64_t m = 0; m < a.components; ++m) solve(a, m);
  }
}

}  // namespace gencosmo::GC_ISA
