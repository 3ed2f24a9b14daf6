// precondition: windows to network features and local statistics; the constants and formulas are those of
// gencosmo/ops/precondition.py. Box means are separable: sums along rows into scratch, then along columns.
#pragma once
#include "canvas.hpp"
#include "elementary.hpp"
#include "half.hpp"
#include "isa.hpp"

namespace gencosmo {

constexpr int kFeatures = 12, kLocals = 5, kScratch = 8;
constexpr int kBoxReach = 3;  // box of 7
constexpr float kContrast = 4.0f;
constexpr float kHoleSigma = 4.0f, kScaleFloor = 0.01f, kBrightness = 8.0f, kGate = 1e-3f;
constexpr float kLaplacianGain = 20.0f, kLaplacianRoot = 4.47213595f, kSpreadShare = 1e-4f;

struct PreconditionArgs {
  const float* win;    // (count, 5, height, width)
  const float* world;  // (count,)
  void* features;      // (count, 12, height, width), strides below, in elements
  float* local;        // (count, 5, height, width)
  float* scratch;      // (count, 8, height, width)
  int64_t count, height, width, window_stride, channel_stride, pixel_stride;  // strides of `features`
  float prior_var;
  Float type;
};

// One window, for the row passes below.
struct PreRow {
  const float *z, *sigma, *base, *base_var, *smooth;  // the window's planes
  float *x0, *local_mean, *local_spread, *local_rough, *gate;
  float *sum0, *sum1, *sum2, *curve;
  float *mean, *spread, *rough, *bounded;  // of the box around each pixel; the local ones are blends of these
  int64_t height, width;
};
GC_HD PreRow pre_row(const PreconditionArgs& a, int64_t b) {
  const int64_t n = a.height * a.width;
  const float* w = a.win + b * kFields * n;
  float *l = a.local + b * kLocals * n, *s = a.scratch + b * kScratch * n;
  return PreRow{w,         w + n,     w + 2 * n, w + 3 * n, w + 4 * n, l,         l + n,     l + 2 * n, l + 3 * n,
                l + 4 * n, s,         s + n,     s + 2 * n, s + 3 * n, s + 4 * n, s + 5 * n, s + 6 * n, s + 7 * n,
                a.height,  a.width};
}

GC_HD int64_t box_first(int64_t i, int64_t reach) { return max64(i - reach, 0); }
GC_HD int64_t box_last(int64_t i, int64_t reach, int64_t n) { return min64(i + reach, n - 1); }
GC_HD float box_count(int64_t y, int64_t x, int64_t h, int64_t w, int64_t reach) {
  const int64_t rows = box_last(y, reach, h) - box_first(y, reach) + 1;
  return static_cast<float>(rows * (box_last(x, reach, w) - box_first(x, reach) + 1));
}
GC_HD float column_sum(const float* sums, int64_t first, int64_t last, int64_t x, int64_t width) {
  float total = 0.0f;
  for (int64_t k = first; k <= last; ++k) total += sums[k * width + x];
  return total;
}

GC_HD float spread_squared(float contrast, float bounded) { return contrast + bounded + kScaleFloor; }
GC_HD float filled(float z, float sigma, float smooth, float spread2) {
  const float gain = is_inf(sigma) ? 0.0f : spread2 / (spread2 + sigma * sigma);
  return smooth + gain * (z - smooth);
}
// Sum over the neighbours inside the window of their difference to the pixel.
GC_HD float four_neighbours(const float* u, int64_t y, int64_t x, int64_t h, int64_t w) {
  const float* c = u + y * w + x;
  float sum = 0.0f;
  if (y + 1 < h) sum += c[w] - c[0];
  if (y > 0) sum -= c[0] - c[-w];
  if (x + 1 < w) sum += c[1] - c[0];
  if (x > 0) sum -= c[0] - c[-1];
  return sum;
}
GC_HD float roughness_squared(float curve2, float good, float spread2) {
  return (curve2 * (1.0f / kLaplacianGain) + kSpreadShare * spread2) / (good + kSpreadShare);
}
// The quietest of the box around a pixel and the four that lie a reach above, below, left and right of it.
GC_HD int64_t quieter(const float* rough, int64_t there, int64_t best) { return rough[there] < rough[best] ? there : best; }
GC_HD int64_t quietest(const float* rough, int64_t y, int64_t x, int64_t h, int64_t w) {
  int64_t best = quieter(rough, max64(y - kBoxReach, 0) * w + x, y * w + x);
  best = quieter(rough, min64(y + kBoxReach, h - 1) * w + x, best);
  best = quieter(rough, y * w + max64(x - kBoxReach, 0), best);
  return quieter(rough, y * w + min64(x + kBoxReach, w - 1), best);
}
// How much of the own box's statistics a pixel keeps, and the blend.
GC_HD float own_share(float rough, float quiet) {
  const float ratio = at_most(kContrast * quiet / rough, 1.0f);
  return ratio * ratio;
}
GC_HD float blended(float share, float own, float quiet) { return share < 1.0f ? quiet + share * (own - quiet) : own; }
GC_HD float clip(float x, float low, float high) { return at_most(at_least(x, low), high); }
GC_HD float bounded_log(float x, float low, float high) { return clip(natural_log(at_least(x, 1e-20f)), low, high); }

struct PrePixel {
  float sigma, base, base_var, x0, mean, spread, rough, curve, disagree, world;
};
GC_HD void pre_features(const PrePixel& p, float* f) {
  const bool unknown = is_inf(p.sigma);
  const float level = unknown ? 1.0f : p.sigma;
  const float per_spread = 1.0f / p.spread, per_rough = 1.0f / p.rough, third = 1.0f / 3.0f, sixth = 1.0f / 6.0f;
  f[0] = clip((p.x0 - p.mean) * per_spread, -8.0f, 8.0f);
  f[1] = clip((p.base - p.mean) * per_spread, -8.0f, 8.0f);
  f[2] = clip(p.curve * (1.0f / kLaplacianRoot) * per_rough, -8.0f, 8.0f);
  f[3] = natural_log(p.spread) * third;
  f[4] = bounded_log(p.rough * per_spread, -6.0f, 3.0f) / 2.0f;
  f[5] = area_sinh(p.mean / kBrightness) * third;
  f[6] = bounded_log(p.base_var * per_spread * per_spread + 1e-4f, -10.0f, 5.0f) * sixth;
  f[7] = bounded_log(p.disagree * per_rough * per_rough + 1e-3f, -8.0f, 12.0f) * sixth;
  f[8] = (unknown ? 5.0f : bounded_log(level * per_spread, -6.0f, 5.0f)) / 4.0f;
  f[9] = (unknown ? 5.0f : bounded_log(level * per_rough, -6.0f, 5.0f)) / 4.0f;
  f[10] = unknown ? 1.0f : 0.0f;
  f[11] = p.world;
}

GC_CPU_KERNEL(precondition, PreconditionArgs)
GC_CUDA_KERNEL(precondition, PreconditionArgs)

}  // namespace gencosmo
