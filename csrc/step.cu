#include "cuda_launch.cuh"
#include "step.hpp"

namespace gencosmo {
namespace {

// A thread owns the four columns that share a noise counter.
__global__ void __launch_bounds__(kThreads) step_kernel(StepArgs a) {
  for (int64_t p = blockIdx.y; p < a.planes; p += gridDim.y) {
    const Plane plane = a.layout[p];
    const StepRow s = step_row(a, p);
    const NoiseKey key = noise_key(a.seed[p], plane.key, s.rng_step, s.stream);
    const int64_t group0 = plane.col0 >> 2;
    const int64_t groups = plane.width > 0 ? ((plane.col0 + plane.width + 3) >> 2) - group0 : 0;
    for (int64_t item = first_item(); item < groups * plane.height; item += item_stride()) {
      const RowColumn at = row_column(item, groups);
      const int64_t group = group0 + at.col, first = 4 * group - plane.col0;
      const int64_t row = plane.offset + at.row * plane.width;
      float clock[4];
      load_columns(a.clock + row, first, plane.width, 0.0f, clock);
      if (!(clock[0] > 0.0f || clock[1] > 0.0f || clock[2] > 0.0f || clock[3] > 0.0f)) continue;
      float z[4], sigma[4], mean[4], previous[4], observed[4], var[4], n[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      load_columns(a.z + row, first, plane.width, 0.0f, z);
      load_columns(a.sigma + row, first, plane.width, 0.0f, sigma);
      load_columns(a.mean + row, first, plane.width, 0.0f, mean);
      load_columns(a.var + row, first, plane.width, 0.0f, var);
      load_columns(a.sigma_obs + row, first, plane.width, 0.0f, observed);
      load_columns(a.previous + row, first, plane.width, 0.0f, previous);
      bool draws = false;
      float target[4];
      for (int j = 0; j < 4; ++j) {
        target[j] = step_target(s, observed[j], clock[j]);
        draws |= clock[j] > 0.0f && target[j] < sigma[j] && !step_flows(s, sigma[j], target[j], observed[j]);
      }
      if (draws) normals(key, group, plane.row0 + at.row, n[0], n[1], n[2], n[3]);
      for (int j = 0; j < 4; ++j) {
        if (!(clock[j] > 0.0f)) continue;
        if (target[j] < sigma[j]) {
          z[j] = step_value(s, z[j], sigma[j], target[j], observed[j], mean[j], var[j], previous[j], n[j]);
          sigma[j] = target[j];
        }
        previous[j] = mean[j];
      }
      store_columns(a.z + row, first, plane.width, z);
      store_columns(a.sigma + row, first, plane.width, sigma);
      store_columns(a.previous + row, first, plane.width, previous);
    }
  }
}

}  // namespace

const char* step_cuda(const StepArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  step_kernel<<<plane_grid(a.pixels / 4, a.planes), launch_threads(), 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
