#include "cuda_launch.cuh"
#include "moments.hpp"

namespace gencosmo {
namespace {

__global__ void __launch_bounds__(kThreads) moments_kernel(MomentsArgs a) {
  const float n = static_cast<float>(a.count[0] + 1);
  const bool lines = whole_line(a.mean) && whole_line(a.m2) && whole_line(a.value);
  const int64_t quads = lines ? a.pixels / 4 : 0;
  auto *means = reinterpret_cast<float4*>(a.mean), *m2s = reinterpret_cast<float4*>(a.m2);
  const auto* values = reinterpret_cast<const float4*>(a.value);
  for (int64_t i = first_item(); i < quads; i += item_stride()) {
    float4 mean = means[i], m2 = m2s[i];
    const float4 value = values[i];
    moments_update(n, value.x, mean.x, m2.x);
    moments_update(n, value.y, mean.y, m2.y);
    moments_update(n, value.z, mean.z, m2.z);
    moments_update(n, value.w, mean.w, m2.w);
    means[i] = mean;
    m2s[i] = m2;
  }
  for (int64_t i = 4 * quads + first_item(); i < a.pixels; i += item_stride()) {
    float mean = a.mean[i], m2 = a.m2[i];
    moments_update(n, a.value[i], mean, m2);
    a.mean[i] = mean;
    a.m2[i] = m2;
  }
}
__global__ void count_kernel(int64_t* count) { *count += 1; }

}  // namespace

const char* moments_cuda(const MomentsArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  moments_kernel<<<blocks(a.pixels / 4 + 1, 65536), launch_threads(), 0, s>>>(a);
  count_kernel<<<1, 1, 0, s>>>(a.count);  // after every thread has read it
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
