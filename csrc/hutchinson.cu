#include "cuda_launch.cuh"
#include "hutchinson.hpp"

namespace gencosmo {
namespace {

__global__ void __launch_bounds__(kThreads) probe_kernel(ProbeArgs a) {
  for (int64_t p = blockIdx.y; p < a.planes; p += gridDim.y) {
    const Plane plane = a.layout[p];
    const NoiseKey key = noise_key(a.seed[p], plane.key, a.rng_step[0], kStreamProbe);
    const int64_t group0 = plane.col0 >> 2;
    const int64_t groups = plane.width > 0 ? ((plane.col0 + plane.width + 3) >> 2) - group0 : 0;
    for (int64_t i = first_item(); i < groups * plane.height; i += item_stride()) {
      const RowColumn at = row_column(i, groups);
      float s[4];
      signs(key, group0 + at.col, plane.row0 + at.row, s);
      store_columns(a.out + plane.offset + at.row * plane.width, 4 * (group0 + at.col) - plane.col0, plane.width, s);
    }
  }
}

// One block of 16 threads per chunk of rows; a thread owns four lanes, the columns that share a counter.
__global__ void __launch_bounds__(kGroups) chunk_kernel(HutchinsonArgs a) {
  __shared__ double lane[kRowLanes];
  const int mine = static_cast<int>(threadIdx.x);
  for (int64_t item = blockIdx.x; item < a.planes * kChunks; item += gridDim.x) {
    const int64_t p = item / kChunks;
    const Plane plane = a.layout[p];
    const NoiseKey key = noise_key(a.seed[p], plane.key, a.rng_step[0], kStreamProbe);
    const int64_t end = plane.col0 + plane.width;
    double sum[4] = {0.0, 0.0, 0.0, 0.0};
    for (int64_t row = item % kChunks; plane.width > 0 && row < plane.height; row += kChunks) {
      for (int64_t group = (plane.col0 >> 2) + mine; 4 * group < end; group += kGroups) {
        const int64_t first = 4 * group - plane.col0;
        float s[4], v[4];
        signs(key, group, plane.row0 + row, s);
        load_columns(a.product + plane.offset + row * plane.width, first, plane.width, 0.0f, v);
        for (int j = 0; j < 4; ++j) {
          if (first + j >= 0 && first + j < plane.width) sum[j] += static_cast<double>(s[j] * v[j]);
        }
      }
    }
    for (int j = 0; j < 4; ++j) lane[4 * mine + j] = sum[j];
    __syncthreads();
    for (int half = kRowLanes / 2; half > 0; half /= 2) {
      for (int i = mine; i < half; i += kGroups) lane[i] += lane[i + half];
      __syncthreads();
    }
    if (mine == 0) a.workspace[item] = lane[0];
    __syncthreads();
  }
}

__global__ void __launch_bounds__(kChunks) trace_kernel(HutchinsonArgs a) {
  __shared__ double lane[kChunks];
  const int mine = static_cast<int>(threadIdx.x);
  for (int64_t p = blockIdx.x; p < a.planes; p += gridDim.x) {
    lane[mine] = a.workspace[p * kChunks + mine];
    const double sum = tree_sum<kChunks>(lane, mine);
    if (mine == 0) a.trace[p] = sum;
    __syncthreads();
  }
}

}  // namespace

const char* probe_cuda(const ProbeArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  probe_kernel<<<plane_grid(a.pixels / 4, a.planes), launch_threads(), 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

const char* hutchinson_cuda(const HutchinsonArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  chunk_kernel<<<static_cast<unsigned>(clamp64(a.planes * kChunks, 1, 1 << 30)), kGroups, 0, s>>>(a);
  trace_kernel<<<static_cast<unsigned>(clamp64(a.planes, 1, 1 << 30)), kChunks, 0, s>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
