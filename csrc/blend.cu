#include "blend.hpp"
#include "cuda_launch.cuh"

namespace gencosmo {
namespace {

constexpr int kNear = 512;  // overlapping windows that fit in the list; more are found by scanning all windows again

// True when the weighted parts of two windows share a pixel (a window overlaps itself).
__device__ bool overlaps(const BlendArgs& a, const Window& v, const Window& w) {
  const int64_t reach_y = a.height - 2 * (a.halo - a.ramp), reach_x = a.width - 2 * (a.halo - a.ramp);
  const int64_t dy = v.row - w.row, dx = v.col - w.col;
  return v.plane == w.plane && dy < reach_y && -dy < reach_y && dx < reach_x && -dx < reach_x;
}
__device__ float weight_at(const BlendArgs& a, const Window& w, int64_t y, int64_t x) {
  const int64_t i = y - w.row, j = x - w.col, edge = a.halo - a.ramp;
  if (i < edge || i >= a.height - edge || j < edge || j >= a.width - edge) return 0.0f;
  return blend_weight(i, a.height, a.halo, a.ramp) * blend_weight(j, a.width, a.halo, a.ramp);
}

// One block row per window b. Among the windows that cover a pixel the first one owns it and adds all of them in
// order: no atomics, one writer per pixel.
__global__ void __launch_bounds__(kThreads) blend_kernel(BlendArgs a) {
  __shared__ int64_t list[kNear];
  __shared__ int found;
  __shared__ bool here[kThreads];
  for (int64_t b = blockIdx.y; b < a.count; b += gridDim.y) {
    const Window own = a.windows[b];
    const Plane plane = a.layout[own.plane];
    if (threadIdx.x == 0) found = 0;
    for (int64_t base = 0; base < a.count; base += kThreads) {
      const int64_t c = base + threadIdx.x;
      __syncthreads();
      here[threadIdx.x] = c < a.count && overlaps(a, a.windows[c], own);
      __syncthreads();
      if (threadIdx.x == 0) {
        for (int k = 0; k < kThreads; ++k) {
          if (!here[k]) continue;
          if (found < kNear) list[found] = base + k;
          ++found;
        }
      }
    }
    __syncthreads();
    const bool listed = found <= kNear;
    const int64_t candidates = listed ? found : a.count;
    for (int64_t item = first_item(); item < a.height * a.width; item += item_stride()) {
      const int64_t y = own.row + item / a.width, x = own.col + item % a.width;
      if (y < 0 || y >= plane.height || x < 0 || x >= plane.width) continue;
      if (weight_at(a, own, y, x) <= 0.0f) continue;
      const int64_t out = plane.offset + y * plane.width + x;
      float mean = a.mean[out], var = a.var[out], weight = a.weight[out];
      bool mine = false;
      for (int64_t k = 0; k < candidates; ++k) {
        const int64_t c = listed ? list[k] : k;
        const Window w = a.windows[c];
        if (w.plane != own.plane) continue;
        const float share = weight_at(a, w, y, x);
        if (share <= 0.0f) continue;
        if (!mine && c != b) break;  // an earlier window owns this pixel
        mine = true;
        const int64_t in = (c * a.height + y - w.row) * a.width + x - w.col;
        mean += share * a.mean_in[in];
        var += share * a.var_in[in];
        weight += share;
      }
      if (!mine) continue;
      a.mean[out] = mean;
      a.var[out] = var;
      a.weight[out] = weight;
    }
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kThreads) blend_finish_kernel(BlendFinishArgs a) {
  for (int64_t i = first_item(); i < a.pixels; i += item_stride()) {
    const float w = a.weight[i] > 0.0f ? a.weight[i] : 1.0f;
    a.mean[i] = a.mean[i] / w;
    a.var[i] = a.var[i] / w;
  }
}

}  // namespace

const char* blend_cuda(const BlendArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const dim3 grid(blocks(a.height * a.width, 64), static_cast<unsigned>(clamp64(a.count, 1, 65535)));
  blend_kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

const char* blend_finish_cuda(const BlendFinishArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  blend_finish_kernel<<<blocks(a.pixels, 65536), launch_threads(), 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
