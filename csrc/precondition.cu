#include "cuda_launch.cuh"
#include "precondition.hpp"

namespace gencosmo {
namespace {

// The passes of precondition.cpp, one launch each; a thread owns a pixel. The order of additions is the same.
enum Pass { kSums, kMean, kSpread, kCurve, kRough, kQuiet, kAgain, kFeaturesOut };

__device__ void sums(const PreRow& r, int64_t i, int64_t y, int64_t x, float prior_var) {
  float base = 0.0f, var = 0.0f;
  for (int64_t k = box_first(x, kBoxReach); k <= box_last(x, kBoxReach, r.width); ++k) {
    base += r.base[y * r.width + k];
    var += at_most(r.base_var[y * r.width + k], prior_var);
  }
  r.sum0[i] = base;
  r.sum1[i] = var;
}
__device__ float column(const PreRow& r, const float* sums, int64_t y, int64_t x, int64_t reach) {
  return column_sum(sums, box_first(y, reach), box_last(y, reach, r.height), x, r.width);
}
__device__ void mean(const PreRow& r, int64_t i, int64_t y, int64_t x) {
  const float count = box_count(y, x, r.height, r.width, kBoxReach);
  r.mean[i] = column(r, r.sum0, y, x, kBoxReach) / count;
  r.bounded[i] = column(r, r.sum1, y, x, kBoxReach) / count;
}
__device__ float deviations(const PreRow& r, const float* mean, int64_t y, int64_t x) {
  float sum = 0.0f;
  for (int64_t k = box_first(x, kBoxReach); k <= box_last(x, kBoxReach, r.width); ++k) {
    const float d = r.base[y * r.width + k] - mean[y * r.width + k];
    sum += d * d;
  }
  return sum;
}
__device__ void spread(const PreRow& r, int64_t i, int64_t y, int64_t x) {
  const float contrast = column(r, r.sum2, y, x, kBoxReach) / box_count(y, x, r.height, r.width, kBoxReach);
  const float spread2 = spread_squared(contrast, r.bounded[i]);
  r.x0[i] = filled(r.z[i], r.sigma[i], r.smooth[i], spread2);
  r.spread[i] = root(spread2);
  r.gate[i] = contrast / (contrast + kGate);
}
__device__ void curve(const PreRow& r, int64_t i, int64_t y, int64_t x) {
  float curve2 = 0.0f, good = 0.0f, disagree = 0.0f;
  r.curve[i] = four_neighbours(r.x0, y, x, r.height, r.width);
  for (int64_t k = box_first(x, kBoxReach); k <= box_last(x, kBoxReach, r.width); ++k) {
    const float c = four_neighbours(r.x0, y, k, r.height, r.width);
    const float g = r.sigma[y * r.width + k] < kHoleSigma ? 1.0f : 0.0f;
    curve2 += g * c * c;
    good += g;
  }
  for (int64_t k = box_first(x, 1); k <= box_last(x, 1, r.width); ++k) {
    const float d = r.base[y * r.width + k] - r.smooth[y * r.width + k];
    disagree += d * d;
  }
  r.sum0[i] = curve2;
  r.sum1[i] = good;
  r.sum2[i] = disagree;
}
__device__ void rough(const PreRow& r, int64_t i, int64_t y, int64_t x) {
  const float count = box_count(y, x, r.height, r.width, kBoxReach), s = r.spread[i];
  r.rough[i] = root(
      roughness_squared(column(r, r.sum0, y, x, kBoxReach) / count, column(r, r.sum1, y, x, kBoxReach) / count, s * s));
}
__device__ void quiet(const PreRow& r, int64_t i, int64_t y, int64_t x) {
  const int64_t q = quietest(r.rough, y, x, r.height, r.width);
  const float share = own_share(r.rough[i], r.rough[q]);
  r.local_mean[i] = blended(share, r.mean[i], r.mean[q]);
  r.local_rough[i] = blended(share, r.rough[i], r.rough[q]);
}
__device__ void again(const PreRow& r, int64_t i, int64_t y, int64_t x) {
  const float contrast = column(r, r.sum0, y, x, kBoxReach) / box_count(y, x, r.height, r.width, kBoxReach);
  r.spread[i] = root(spread_squared(contrast, r.bounded[i]));
}
template <class T>
__device__ void features(const PreconditionArgs& a, const PreRow& r, int64_t b, int64_t i, int64_t y, int64_t x) {
  const int64_t q = quietest(r.rough, y, x, r.height, r.width);
  const float spread = blended(own_share(r.rough[i], r.rough[q]), r.spread[i], r.spread[q]);
  r.local_spread[i] = spread;
  const PrePixel p{r.sigma[i],       r.base[i],       r.base_var[i],
                   r.x0[i],          r.local_mean[i], spread,
                   r.local_rough[i], r.curve[i],      column(r, r.sum2, y, x, 1) / box_count(y, x, r.height, r.width, 1),
                   a.world[b]};
  float f[kFeatures];
  pre_features(p, f);
  T* out = static_cast<T*>(a.features) + b * a.window_stride + i * a.pixel_stride;
  for (int c = 0; c < kFeatures; ++c) narrow(f[c], out[c * a.channel_stride]);
}

template <class T, int P>
__global__ void __launch_bounds__(kThreads) pass_kernel(PreconditionArgs a) {
  for (int64_t b = blockIdx.y; b < a.count; b += gridDim.y) {
    const PreRow r = pre_row(a, b);
    for (int64_t i = first_item(); i < a.height * a.width; i += item_stride()) {
      const RowColumn here = row_column(i, a.width);
      const int64_t y = here.row, x = here.col;
      if (P == kSums) sums(r, i, y, x, a.prior_var);
      if (P == kMean) mean(r, i, y, x);
      if (P == kSpread) spread(r, i, y, x);
      if (P == kCurve) curve(r, i, y, x);
      if (P == kRough) rough(r, i, y, x);
      if (P == kQuiet) quiet(r, i, y, x);
      if (P == kAgain) again(r, i, y, x);
      if (P == kFeaturesOut) features<T>(a, r, b, i, y, x);
    }
  }
}
template <bool Local>
__global__ void __launch_bounds__(kThreads) deviations_kernel(PreconditionArgs a) {
  for (int64_t b = blockIdx.y; b < a.count; b += gridDim.y) {
    const PreRow r = pre_row(a, b);
    for (int64_t i = first_item(); i < a.height * a.width; i += item_stride()) {
      const RowColumn here = row_column(i, a.width);
      (Local ? r.sum0 : r.sum2)[i] = deviations(r, Local ? r.local_mean : r.mean, here.row, here.col);
    }
  }
}

}  // namespace

const char* precondition_cuda(const PreconditionArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  const dim3 grid(blocks(a.height * a.width, 4096), static_cast<unsigned>(clamp64(a.count, 1, 65535)));
  pass_kernel<float, kSums><<<grid, launch_threads(), 0, s>>>(a);
  pass_kernel<float, kMean><<<grid, launch_threads(), 0, s>>>(a);
  deviations_kernel<false><<<grid, launch_threads(), 0, s>>>(a);
  pass_kernel<float, kSpread><<<grid, launch_threads(), 0, s>>>(a);
  pass_kernel<float, kCurve><<<grid, launch_threads(), 0, s>>>(a);
  pass_kernel<float, kRough><<<grid, launch_threads(), 0, s>>>(a);
  pass_kernel<float, kQuiet><<<grid, launch_threads(), 0, s>>>(a);
  deviations_kernel<true><<<grid, launch_threads(), 0, s>>>(a);
  pass_kernel<float, kAgain><<<grid, launch_threads(), 0, s>>>(a);
  if (a.type == Float::f32) pass_kernel<float, kFeaturesOut><<<grid, launch_threads(), 0, s>>>(a);
  if (a.type == Float::bf16) pass_kernel<Bf16, kFeaturesOut><<<grid, launch_threads(), 0, s>>>(a);
  if (a.type == Float::f16) pass_kernel<F16, kFeaturesOut><<<grid, launch_threads(), 0, s>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
