#include "cuda_launch.cuh"
#include "fft_point.hpp"

namespace gencosmo {
namespace {

template <PointMode mode>
__global__ void __launch_bounds__(kThreads) point_kernel(FftPointArgs a) {
  for (int64_t image = blockIdx.y; image < a.images; image += gridDim.y) {
    const auto* from = reinterpret_cast<const float2*>(a.spectrum) + image * a.points;
    const auto* transfer = reinterpret_cast<const float2*>(a.transfer + image * a.transfer_stride);
    auto* to = reinterpret_cast<float2*>(a.out) + image * a.points;
    const float ridge = a.ridge[image * a.ridge_stride];
    for (int64_t i = first_item(); i < a.points; i += item_stride()) {
      const float2 f = from[i], h = transfer[i];
      float2 value;
      fft_point_value<mode>(f.x, f.y, h.x, h.y, ridge, value.x, value.y);
      to[i] = value;
    }
  }
}

}  // namespace

const char* fft_point_cuda(const FftPointArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  const dim3 grid(blocks(a.points, 16384), static_cast<unsigned>(clamp64(a.images, 1, 65535)));
  switch (a.mode) {
    case PointMode::forward:
      point_kernel<PointMode::forward><<<grid, launch_threads(), 0, s>>>(a);
      break;
    case PointMode::adjoint:
      point_kernel<PointMode::adjoint><<<grid, launch_threads(), 0, s>>>(a);
      break;
    case PointMode::normal:
      point_kernel<PointMode::normal><<<grid, launch_threads(), 0, s>>>(a);
      break;
    case PointMode::inverse:
      point_kernel<PointMode::inverse><<<grid, launch_threads(), 0, s>>>(a);
      break;
    case PointMode::solve:
      point_kernel<PointMode::solve><<<grid, launch_threads(), 0, s>>>(a);
      break;
  }
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
