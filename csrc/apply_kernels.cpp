#include "apply_kernels.hpp"

#include "channels.hpp"

namespace gencosmo::GC_ISA {
namespace {

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
  from_pixels<kRawChannels>(raw, n, out);
}

// The 5x5 neighbours of n pixels of row y from column x, as five padded rows; the window's edge is repeated.
using Near = float[kSide][kPiece + 2 * kReach];
void neighbours(const float* x0, int64_t y, int64_t x, int64_t n, int64_t height, int64_t width, Near& near) {
  for (int i = 0; i < kSide; ++i) {
    const float* row = x0 + clamp64(y + i - kReach, 0, height - 1) * width;
    const int64_t inner = clamp64(kReach - x, 0, n + 2 * kReach),
                  outer = clamp64(width - x + kReach, inner, n + 2 * kReach);
    const float* from = row + x - kReach;
    for (int64_t j = 0; j < inner; ++j) near[i][j] = row[0];
    for (int64_t j = inner; j < outer; ++j) near[i][j] = from[j];
    for (int64_t j = outer; j < n + 2 * kReach; ++j) near[i][j] = row[width - 1];
  }
}

// sum_k (w_k - mean w) deviation_k for n pixels.
void kernel_dot(const float (*w)[kPiece], const Near& near, const float* m, const float* s, int64_t n, float* dot) {
  float centre[kPiece];
  for (int64_t j = 0; j < kPiece; ++j) centre[j] = dot[j] = 0.0f;
  for (int k = 0; k < kTaps; ++k) {
    for (int64_t j = 0; j < kPiece; ++j) centre[j] += w[k][j];
  }
  for (int64_t j = 0; j < kPiece; ++j) centre[j] = centre[j] / static_cast<float>(kTaps);
  for (int i = 0; i < kSide; ++i) {
    for (int l = 0; l < kSide; ++l) {
      const float *weight = w[i * kSide + l], *value = near[i] + l;
      for (int64_t j = 0; j < n; ++j) dot[j] += (weight[j] - centre[j]) * deviation(value[j], m[j], s[j]);
    }
  }
}

// Pixels of a piece that are not exact lie in [first, end).
struct Range {
  int64_t first, end;
};
Range inexact(const float* sigma, int64_t n) {
  int32_t found = 0;
  for (int64_t j = 0; j < n; ++j) found |= sigma[j] == 0.0f ? 0 : 1;
  if (found == 0) return Range{0, 0};  // most pieces of an image with holes
  Range r{0, n};
  while (sigma[r.first] == 0.0f) ++r.first;
  while (sigma[r.end - 1] == 0.0f) --r.end;
  return r;
}

void apply_piece(const ApplyArgs& a, int64_t b, int64_t y, int64_t x, int64_t n) {
  const int64_t area = a.height * a.width, at = y * a.width + x;
  const float *win = a.win + b * kFields * area, *local = a.local + b * 5 * area;
  float raw[kRawChannels][kPiece], dot[kPiece];
  for (int c = 0; c < kTaps && n < kPiece; ++c) {
    for (int64_t j = n; j < kPiece; ++j) raw[c][j] = 0.0f;
  }
  if (a.type == Float::f32) stage<float>(a, b, at, n, raw);
  if (a.type == Float::bf16) stage<Bf16>(a, b, at, n, raw);
  if (a.type == Float::f16) stage<F16>(a, b, at, n, raw);
  Near near;
  neighbours(local, y, x, n, a.height, a.width, near);
  kernel_dot(raw, near, local + area + at, local + 2 * area + at, n, dot);
  const float *z = win + at, *sigma = z + area, *base = sigma + area, *smooth = base + 2 * area;
  const float *x0 = local + at, *spread = x0 + 2 * area, *rough = spread + area, *gate = rough + area;
  float *mean = a.mean + b * area + at, *var = a.var + b * area + at;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const ApplyPixel p{z[j], sigma[j], base[j], smooth[j], x0[j], spread[j], rough[j], gate[j]};
    apply_pixel(p, dot[j], raw[kTaps][j], raw[kTaps + 1][j], raw[kTaps + 2][j], mean[j], var[j]);
  }
}

void apply_or_keep(const ApplyArgs& a, int64_t b, int64_t y, int64_t x, int64_t n) {
  const int64_t area = a.height * a.width, at = y * a.width + x;
  const float *z = a.win + b * kFields * area + at, *sigma = z + area;
  float *mean = a.mean + b * area + at, *var = a.var + b * area + at;
  for (int64_t j = 0; j < n; ++j) mean[j] = z[j];
  for (int64_t j = 0; j < n; ++j) var[j] = 0.0f;
  const Range r = inexact(sigma, n);
  if (r.first < r.end) apply_piece(a, b, y, x + r.first, r.end - r.first);
}

template <class T>
void unstage(const ApplyArgs& a, int64_t b, int64_t pixel, int64_t n, const float (*values)[kPiece], void* to) {
  T* out = static_cast<T*>(to) + b * a.window_stride + pixel * a.pixel_stride;
  if (a.pixel_stride == 1) {
    for (int c = 0; c < kRawChannels; ++c) {
      for (int64_t j = 0; j < n; ++j) narrow(values[c][j], out[c * a.channel_stride + j]);
    }
    return;
  }
  to_pixels<kRawChannels>(values, n, out);
}

template <class T>
void backward_piece(const ApplyBackwardArgs& args, int64_t b, int64_t y, int64_t x, int64_t n) {
  const ApplyArgs& a = args.forward;
  const int64_t area = a.height * a.width, at = y * a.width + x;
  const float *win = a.win + b * kFields * area, *local = a.local + b * 5 * area;
  const T* log_var =
      static_cast<const T*>(a.raw) + b * a.window_stride + at * a.pixel_stride + (kTaps + 2) * a.channel_stride;
  const float *z = win + at, *sigma = z + area, *base = sigma + area, *smooth = base + 2 * area;
  const float *x0 = local + at, *m = x0 + area, *spread = m + area, *rough = spread + area, *gate = rough + area;
  const float *grad_mean = args.grad_mean + b * area + at, *grad_var = args.grad_var + b * area + at;
  float out[kRawChannels][kPiece] = {}, dot[kPiece] = {}, centre[kPiece] = {};
  for (int64_t j = 0; j < n; ++j) {
    const ApplyPixel p{z[j], sigma[j], base[j], smooth[j], x0[j], spread[j], rough[j], gate[j]};
    const ApplySlopes s = apply_slopes(p, widen(log_var[j * a.pixel_stride]), grad_mean[j], grad_var[j]);
    dot[j] = s.dot;
    out[kTaps][j] = s.base_weight;
    out[kTaps + 1][j] = s.residual;
    out[kTaps + 2][j] = s.log_var;
  }
  Near near;
  neighbours(local, y, x, n, a.height, a.width, near);
  for (int k = 0; k < kTaps; ++k) {
    const float* value = near[k / kSide] + k % kSide;
    for (int64_t j = 0; j < n; ++j) centre[j] += out[k][j] = deviation(value[j], m[j], spread[j]);
  }
  for (int64_t j = 0; j < n; ++j) centre[j] = centre[j] / static_cast<float>(kTaps);
  for (int k = 0; k < kTaps; ++k) {
    for (int64_t j = 0; j < n; ++j) out[k][j] = dot[j] * (out[k][j] - centre[j]);
  }
  unstage<T>(a, b, at, n, out, args.grad_raw);
}

template <class Piece>
void for_each_piece(const ApplyArgs& a, int threads, const Piece& piece) {
  const int64_t rows = a.count * a.height;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 8)
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t x = 0; x < a.width; x += kPiece) piece(i / a.height, i % a.height, x, min64(kPiece, a.width - x));
  }
}

}  // namespace

void apply_kernels_backward(const ApplyBackwardArgs& a, int threads) {
  for_each_piece(a.forward, threads, [&](int64_t b, int64_t y, int64_t x, int64_t n) {
    if (a.forward.type == Float::f32) backward_piece<float>(a, b, y, x, n);
    if (a.forward.type == Float::bf16) backward_piece<Bf16>(a, b, y, x, n);
    if (a.forward.type == Float::f16) backward_piece<F16>(a, b, y, x, n);
  });
}

void apply_kernels(const ApplyArgs& a, int threads) {
  for_each_piece(a, threads, [&](int64_t b, int64_t y, int64_t x, int64_t n) { apply_or_keep(a, b, y, x, n); });
}

}  // namespace gencosmo::GC_ISA
