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
      const int64_t row = item / groups, group = group0 + item % groups;
      const int64_t first = 4 * group - plane.col0;
      float n[4] = {0.0f, 0.0f, 0.0f, 0.0f};
      bool drawn = false;
      for (int j = 0; j < 4; ++j) {
        const int64_t col = first + j;
        if (col < 0 || col >= plane.width) continue;
        const int64_t i = plane.offset + row * plane.width + col;
        const float clock = a.clock[i];
        if (!(clock > 0.0f)) continue;
        const float sigma = a.sigma[i], observed = a.sigma_obs[i], mean = a.mean[i];
        const float target = step_target(s, observed, clock);
        if (target < sigma) {
          if (!drawn && !step_flows(s, sigma, target, observed)) {
            normals(key, group, plane.row0 + row, n[0], n[1], n[2], n[3]);
            drawn = true;
          }
          a.z[i] = step_value(s, a.z[i], sigma, target, observed, mean, a.var[i], a.previous[i], n[j]);
          a.sigma[i] = target;
        }
        a.previous[i] = mean;
      }
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
