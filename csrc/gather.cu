#include "cuda_launch.cuh"
#include "gather.hpp"

namespace gencosmo {
namespace {

__global__ void __launch_bounds__(kThreads) gather_kernel(GatherArgs a) {
  const int64_t area = a.height * a.width;
  for (int64_t task = blockIdx.y; task < a.count * kFields; task += gridDim.y) {
    const Window w = a.windows[task / kFields];
    const int field = static_cast<int>(task % kFields);
    const Plane plane = a.layout[w.plane];
    for (int64_t i = first_item(); i < area; i += item_stride()) {
      const RowColumn at = row_column(i, a.width);
      a.out[task * area + i] = gather_pixel(a.fields + field * a.pixels, plane, field, w.row + at.row, w.col + at.col);
    }
  }
}

}  // namespace

const char* gather_cuda(const GatherArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const dim3 grid(blocks(a.height * a.width, 4096), static_cast<unsigned>(clamp64(a.count * kFields, 1, 65535)));
  gather_kernel<<<grid, launch_threads(), 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
