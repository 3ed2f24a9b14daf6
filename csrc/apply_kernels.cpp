#include "apply_kernels.hpp"

namespace gencosmo::GC_ISA {
namespace {

constexpr int kPiece = 64;  // columns computed together; everything below fits in the first-level cache

// Raw channels of n pixels as float32, one row per channel, from any layout and type.
template <class T>
void stage(const ApplyArgs& a, int64_t b, int64_t pixel, int64_t n, float (*out)[kPiece]) {
  const T* raw = static_cast<const T*>(a.raw) + b * a.window_stride + pixel * a.pixel_stride;
  if (a.pixel_stride == 1) {
    for (int c = 0; c < kRawChannels; ++c) {
      const T* from = raw + c * a.channel_stride;
      for (int64_t j = 0; j < n; ++j) out[c][j] = widen(from[j]);
    }
    return;
  }
  for (int64_t j = 0; j < n; ++j) {
    const T* from = raw + j * a.pixel_stride;
    for (int c = 0; c < kRawChannels; ++c) out[c][j] = widen(from[c * a.channel_stride]);
  }
}

// sum_k (w_k - mean w) (x0_k - m) for n pixels of row y from column x; the window's edge is repeated.
void kernel_dot(const float (*w)[kPiece], const float* x0, const float* m, int64_t y, int64_t x, int64_t n, int64_t height,
                int64_t width, float* dot) {
  float near[kSide][kPiece + 2 * kReach], centre[kPiece];
  for (int i = 0; i < kSide; ++i) {
    const float* row = x0 + clamp64(y + i - kReach, 0, height - 1) * width;
    for (int64_t j = 0; j < n + 2 * kReach; ++j) near[i][j] = row[clamp64(x + j - kReach, 0, width - 1)];
  }
  for (int64_t j = 0; j < kPiece; ++j) centre[j] = dot[j] = 0.0f;
  for (int k = 0; k < kTaps; ++k) {
    for (int64_t j = 0; j < kPiece; ++j) centre[j] += w[k][j];
  }
  for (int64_t j = 0; j < kPiece; ++j) centre[j] = centre[j] / static_cast<float>(kTaps);
  for (int i = 0; i < kSide; ++i) {
    for (int l = 0; l < kSide; ++l) {
      const float *weight = w[i * kSide + l], *value = near[i] + l;
      for (int64_t j = 0; j < n; ++j) dot[j] += (weight[j] - centre[j]) * (value[j] - m[j]);
    }
  }
}

void apply_piece(const ApplyArgs& a, int64_t b, int64_t y, int64_t x, int64_t n) {
  const int64_t area = a.height * a.width, at = y * a.width + x;
  const float *win = a.win + b * kFields * area, *local = a.local + b * 5 * area;
  float raw[kRawChannels][kPiece] = {}, dot[kPiece];
  if (a.type == Float::f32) stage<float>(a, b, at, n, raw);
  if (a.type == Float::bf16) stage<Bf16>(a, b, at, n, raw);
  if (a.type == Float::f16) stage<F16>(a, b, at, n, raw);
  kernel_dot(raw, local, local + area + at, y, x, n, a.height, a.width, dot);
  const float *z = win + at, *sigma = z + area, *base = sigma + area, *smooth = base + 2 * area;
  const float *x0 = local + at, *spread = x0 + 2 * area, *rough = spread + area, *gate = rough + area;
  float *mean = a.mean + b * area + at, *var = a.var + b * area + at;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const ApplyPixel p{z[j], sigma[j], base[j], smooth[j], x0[j], spread[j], rough[j], gate[j]};
    apply_pixel(p, dot[j], raw[kTaps][j], raw[kTaps + 1][j], raw[kTaps + 2][j], mean[j], var[j]);
  }
}

}  // namespace

void apply_kernels(const ApplyArgs& a, int threads) {
  const int64_t rows = a.count * a.height;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 8)
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t x = 0; x < a.width; x += kPiece) {
      apply_piece(a, i / a.height, i % a.height, x, min64(kPiece, a.width - x));
    }
  }
}

}  // namespace gencosmo::GC_ISA
