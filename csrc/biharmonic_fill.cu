#include "biharmonic_fill.hpp"
#include "cuda_launch.cuh"

namespace gencosmo {
namespace {

// Sum over the block in a fixed tree; every thread gets it.
__device__ double block_sum(double value, double* shared) {
  __syncthreads();
  shared[threadIdx.x] = value;
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (static_cast<int>(threadIdx.x) < half) shared[threadIdx.x] += shared[threadIdx.x + half];
    __syncthreads();
  }
  return shared[0];
}

__global__ void __launch_bounds__(kThreads) copy_kernel(BiharmonicArgs a) {
  for (int64_t i = first_item(); i < a.canvas; i += item_stride()) a.smooth[i] = a.base[i];
}

__global__ void __launch_bounds__(kThreads) clear_kernel(BiharmonicArgs a) {
  for (int64_t m = blockIdx.x; m < a.components; m += gridDim.x) {
    const Plane plane = a.layout[a.component_plane[m]];
    for (int64_t i = a.starts[m] + threadIdx.x; i < a.starts[m + 1]; i += kThreads) {
      clear_around(plane, a.direction, a.pixels[i]);
      a.border[i] = touches_border(plane, a.pixels[i]) ? 1u : 0u;
    }
  }
}

// One block per component; all its vectors stay in global memory, all decisions are uniform over the block.
__global__ void __launch_bounds__(kThreads) solve_kernel(BiharmonicArgs a) {
  __shared__ double shared[kThreads];
  for (int64_t m = blockIdx.x; m < a.components; m += gridDim.x) {
    const int64_t begin = a.starts[m], end = a.starts[m + 1];
    const Plane plane = a.layout[a.component_plane[m]];
    double sum = 0.0;
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
      const float r = -bilaplacian(plane, a.smooth, a.pixels[i], a.border[i] != 0);
      a.residual[i] = r;
      a.direction[a.pixels[i]] = r;
      sum += static_cast<double>(r * r);
    }
    double rr = block_sum(sum, shared);
    const double target = kResidualFloor * rr;
    for (int64_t k = 0; k < a.iterations && rr > target; ++k) {
      sum = 0.0;
      for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
        const float ap = bilaplacian(plane, a.direction, a.pixels[i], a.border[i] != 0);
        a.image[i] = ap;
        sum += static_cast<double>(a.direction[a.pixels[i]] * ap);
      }
      const double curvature = block_sum(sum, shared);
      if (!(curvature > 0.0)) break;
      const float alpha = static_cast<float>(rr / curvature);
      sum = 0.0;
      for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
        a.smooth[a.pixels[i]] += alpha * a.direction[a.pixels[i]];
        const float r = a.residual[i] - alpha * a.image[i];
        a.residual[i] = r;
        sum += static_cast<double>(r * r);
      }
      const double next = block_sum(sum, shared);
      const float beta = static_cast<float>(next / rr);
      for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
        a.direction[a.pixels[i]] = a.residual[i] + beta * a.direction[a.pixels[i]];
      }
      rr = next;
      __syncthreads();
    }
    __syncthreads();
    for (int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
      const int64_t at = a.pixels[i];
      a.smooth[at] = within(a.smooth[at], a.base[at], a.base_var[at], a.limit);
    }
    __syncthreads();
  }
}

}  // namespace

const char* biharmonic_fill_cuda(const BiharmonicArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  const auto grid = static_cast<unsigned>(clamp64(a.components, 1, 65535));
  copy_kernel<<<blocks(a.canvas, 65536), launch_threads(), 0, s>>>(a);
  clear_kernel<<<grid, kThreads, 0, s>>>(a);
  solve_kernel<<<grid, kThreads, 0, s>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
