#include "cuda_launch.cuh"
#include "normal.hpp"

namespace gencosmo {
namespace {

__global__ void __launch_bounds__(kThreads) normal_kernel(NormalArgs a) {
  for (int64_t p = blockIdx.y; p < a.planes; p += gridDim.y) {
    const Plane plane = a.layout[p];
    const NoiseKey key = noise_key(a.seed[p], plane.key, a.rng_step[0], a.stream[0]);
    const int64_t group0 = plane.col0 >> 2;
    const int64_t groups = plane.width > 0 ? ((plane.col0 + plane.width + 3) >> 2) - group0 : 0;
    for (int64_t i = first_item(); i < groups * plane.height; i += item_stride()) {
      const RowColumn at = row_column(i, groups);
      float n[4];
      normals(key, group0 + at.col, plane.row0 + at.row, n[0], n[1], n[2], n[3]);
      store_columns(a.out + plane.offset + at.row * plane.width, 4 * (group0 + at.col) - plane.col0, plane.width, n);
    }
  }
}

}  // namespace

const char* normal_cuda(const NormalArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  normal_kernel<<<plane_grid(a.pixels / 4, a.planes), launch_threads(), 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
