#include "cuda_launch.cuh"
#include "predictive_score.hpp"

namespace gencosmo {
namespace {

// One block per tile; thread t owns lane t, as on the CPU: row t / 16 and column t % 16 modulo 16.
template <Family family>
__global__ void __launch_bounds__(kLanes) score_kernel(ScoreArgs a) {
  __shared__ double lane[kLanes];
  const int mine = static_cast<int>(threadIdx.x);
  const int64_t tiles = a.images * a.tile_rows * a.tile_cols;
  for (int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const int64_t image = tile / (a.tile_rows * a.tile_cols), inside = tile % (a.tile_rows * a.tile_cols);
    const int64_t top = inside / a.tile_cols * a.tile, left = inside % a.tile_cols * a.tile;
    const int64_t bottom = min64(top + a.tile, a.height), right = min64(left + a.tile, a.width);
    double sums[kScoreSums] = {0.0, 0.0, 0.0};
    for (int64_t y = top + mine / kTile; y < bottom; y += kTile) {
      for (int64_t x = left + mine % kTile; x < right; x += kTile) {
        const int64_t i = (image * a.height + y) * a.width + x;
        float z, log_prob;
        const float scored = score_pixel<family>(a.parameter, a.constant, a.value[i], a.mean[i], a.var[i], a.ivar[i], z,
                                                 log_prob);
        a.z[i] = z;
        a.log_prob[i] = log_prob;
        sums[0] += static_cast<double>(log_prob);
        sums[1] += static_cast<double>(z) * static_cast<double>(z);
        sums[2] += static_cast<double>(scored);
      }
    }
    for (int k = 0; k < kScoreSums; ++k) {
      lane[mine] = sums[k];
      const double sum = tree_sum<kLanes>(lane, mine);
      if (mine == 0) a.sums[tile * kScoreSums + k] = sum;
      __syncthreads();
    }
  }
}

}  // namespace

const char* predictive_score_cuda(const ScoreArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  const auto grid = static_cast<unsigned>(clamp64(a.images * a.tile_rows * a.tile_cols, 1, 1 << 30));
  if (a.family == Family::gaussian) {
    score_kernel<Family::gaussian><<<grid, kLanes, 0, s>>>(a);
  } else if (a.family == Family::student_t) {
    score_kernel<Family::student_t><<<grid, kLanes, 0, s>>>(a);
  } else {
    score_kernel<Family::poisson_gaussian><<<grid, kLanes, 0, s>>>(a);
  }
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
