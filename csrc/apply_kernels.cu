#include "apply_kernels.hpp"
#include "cuda_launch.cuh"

namespace gencosmo {
namespace {

template <class T>
__global__ void __launch_bounds__(kThreads) apply_kernel(ApplyArgs a) {
  const int64_t area = a.height * a.width;
  for (int64_t b = blockIdx.y; b < a.count; b += gridDim.y) {
    const float *win = a.win + b * kFields * area, *local = a.local + b * 5 * area;
    for (int64_t i = first_item(); i < area; i += item_stride()) {
      if (win[area + i] == 0.0f) {  // exact: its neighbours and the network are not read
        a.mean[b * area + i] = win[i];
        a.var[b * area + i] = 0.0f;
        continue;
      }
      const RowColumn here = row_column(i, a.width);
      const int64_t y = here.row, x = here.col;
      const T* raw = static_cast<const T*>(a.raw) + b * a.window_stride + i * a.pixel_stride;
      float w[kTaps], centre = 0.0f, dot = 0.0f;
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
        w[k] = widen(raw[k * a.channel_stride]);
        centre += w[k];
      }
      centre = centre / static_cast<float>(kTaps);
      const float m = local[area + i], spread = local[2 * area + i];
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
        const int64_t row = clamp64(y + k / kSide - kReach, 0, a.height - 1);
        const int64_t col = clamp64(x + k % kSide - kReach, 0, a.width - 1);
        dot += (w[k] - centre) * deviation(local[row * a.width + col], m, spread);
      }
      const ApplyPixel p{win[i],   win[area + i],       win[2 * area + i],   win[4 * area + i],
                         local[i], local[2 * area + i], local[3 * area + i], local[4 * area + i]};
      apply_pixel(p, dot, widen(raw[kTaps * a.channel_stride]), widen(raw[(kTaps + 1) * a.channel_stride]),
                  widen(raw[(kTaps + 2) * a.channel_stride]), a.mean[b * area + i], a.var[b * area + i]);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) backward_kernel(ApplyBackwardArgs args) {
  const ApplyArgs& a = args.forward;
  const int64_t area = a.height * a.width;
  for (int64_t b = blockIdx.y; b < a.count; b += gridDim.y) {
    const float *win = a.win + b * kFields * area, *local = a.local + b * 5 * area;
    for (int64_t i = first_item(); i < area; i += item_stride()) {
      const RowColumn here = row_column(i, a.width);
      const int64_t y = here.row, x = here.col, at = b * a.window_stride + i * a.pixel_stride;
      const T* raw = static_cast<const T*>(a.raw) + at;
      T* out = static_cast<T*>(args.grad_raw) + at;
      const ApplyPixel p{win[i],   win[area + i],       win[2 * area + i],   win[4 * area + i],
                         local[i], local[2 * area + i], local[3 * area + i], local[4 * area + i]};
      const ApplySlopes s = apply_slopes(p, widen(raw[(kTaps + 2) * a.channel_stride]), args.grad_mean[b * area + i],
                                         args.grad_var[b * area + i]);
      float near[kTaps], centre = 0.0f;
#pragma unroll
      for (int k = 0; k < kTaps; ++k) {
        const int64_t row = clamp64(y + k / kSide - kReach, 0, a.height - 1);
        const float value = local[row * a.width + clamp64(x + k % kSide - kReach, 0, a.width - 1)];
        near[k] = deviation(value, local[area + i], local[2 * area + i]);
        centre += near[k];
      }
      centre = centre / static_cast<float>(kTaps);
#pragma unroll
      for (int k = 0; k < kTaps; ++k) narrow(s.dot * (near[k] - centre), out[k * a.channel_stride]);
      narrow(s.base_weight, out[kTaps * a.channel_stride]);
      narrow(s.residual, out[(kTaps + 1) * a.channel_stride]);
      narrow(s.log_var, out[(kTaps + 2) * a.channel_stride]);
    }
  }
}

}  // namespace

const char* apply_kernels_backward_cuda(const ApplyBackwardArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  const int64_t area = a.forward.height * a.forward.width;
  const dim3 grid(blocks(area, 4096), static_cast<unsigned>(clamp64(a.forward.count, 1, 65535)));
  if (a.forward.type == Float::f32) backward_kernel<float><<<grid, launch_threads(), 0, s>>>(a);
  if (a.forward.type == Float::bf16) backward_kernel<Bf16><<<grid, launch_threads(), 0, s>>>(a);
  if (a.forward.type == Float::f16) backward_kernel<F16><<<grid, launch_threads(), 0, s>>>(a);
  return cuda_error(cudaGetLastError());
}

const char* apply_kernels_cuda(const ApplyArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  const dim3 grid(blocks(a.height * a.width, 4096), static_cast<unsigned>(clamp64(a.count, 1, 65535)));
  if (a.type == Float::f32) apply_kernel<float><<<grid, launch_threads(), 0, s>>>(a);
  if (a.type == Float::bf16) apply_kernel<Bf16><<<grid, launch_threads(), 0, s>>>(a);
  if (a.type == Float::f16) apply_kernel<F16><<<grid, launch_threads(), 0, s>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
