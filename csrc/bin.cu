#include "bin.hpp"
#include "cuda_launch.cuh"

namespace gencosmo {
namespace {

__global__ void __launch_bounds__(kThreads) bin_kernel(BinArgs a) {
  for (int64_t row = blockIdx.y; row < a.images * a.height; row += gridDim.y) {
    for (int64_t x = first_item(); x < a.width; x += item_stride()) {
      a.to[row * a.width + x] = bin_pixel(a, row / a.height, row % a.height, x);
    }
  }
}
__global__ void __launch_bounds__(kThreads) bin_adjoint_kernel(BinArgs a) {
  const int64_t fine = a.width * a.factor;
  for (int64_t row = blockIdx.y; row < a.images * a.height * a.factor; row += gridDim.y) {
    for (int64_t x = first_item(); x < fine; x += item_stride()) {
      a.to[row * fine + x] = a.from[row / a.factor * a.width + x / a.factor];
    }
  }
}
dim3 row_grid(int64_t width, int64_t rows) {
  return dim3(blocks(width, 4096), static_cast<unsigned>(clamp64(rows, 1, 65535)));
}

}  // namespace

const char* bin_cuda(const BinArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  bin_kernel<<<row_grid(a.width, a.images * a.height), launch_threads(), 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

const char* bin_adjoint_cuda(const BinArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const dim3 grid = row_grid(a.width * a.factor, a.images * a.height * a.factor);
  bin_adjoint_kernel<<<grid, launch_threads(), 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
