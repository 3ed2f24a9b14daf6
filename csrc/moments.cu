#include "cuda_launch.cuh"
#include "moments.hpp"

namespace gencosmo {
namespace {

__global__ void __launch_bounds__(kThreads) moments_kernel(MomentsArgs a) {
  const float n = static_cast<float>(a.count[0] + 1);
  for (int64_t i = first_item(); i < a.pixels; i += item_stride()) {
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
  moments_kernel<<<blocks(a.pixels, 65536), launch_threads(), 0, s>>>(a);
  count_kernel<<<1, 1, 0, s>>>(a.count);  // after every thread has read it
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
