#include "calibrate.hpp"
#include "cuda_launch.cuh"

namespace gencosmo {
namespace {

__global__ void __launch_bounds__(kThreads) calibrate_kernel(CalibrateArgs a) {
  const int64_t columns = a.scale_edges + 1;
  for (int64_t b = blockIdx.y; b < a.count; b += gridDim.y) {
    const float *win = a.win + b * kFields * a.area, *sigmas = win + kSigma * a.area;
    const float* spreads = a.local + (b * 5 + 2) * a.area;
    for (int64_t i = first_item(); i < a.area; i += item_stride()) {
      const float sigma = sigmas[i];
      if (!(sigma > 0.0f)) continue;
      const float spread = spreads[i], rough = spreads[a.area + i], gate = spreads[2 * a.area + i];
      int32_t row = unknown_above(sigma), column = 0;
      for (int64_t k = 0; k < a.level_edges; ++k) row += level_above(sigma, rough, a.levels[k]);
      for (int64_t k = 0; k < a.scale_edges; ++k) column += scale_above(spread, a.scales[k]);
      const int64_t bin = row * columns + column;
      const CalibratePixel p{sigma, win[kBase * a.area + i], win[kBaseVar * a.area + i], win[kSmooth * a.area + i],
                             spread, rough, gate};
      calibrate_pixel(p, a.factors[bin], a.shifts[bin], a.mean[b * a.area + i], a.var[b * a.area + i]);
    }
  }
}

}  // namespace

const char* calibrate_cuda(const CalibrateArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const dim3 grid(blocks(a.area, 4096), static_cast<unsigned>(clamp64(a.count, 1, 65535)));
  calibrate_kernel<<<grid, launch_threads(), 0, static_cast<cudaStream_t>(stream)>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
