// Stands in for the CUDA runtime so that the .cu files can be compiled by a C++ compiler and run on a machine without a
// GPU. A block's threads are fibers of one thread of the host, run in an order that is drawn anew between two barriers:
// whoever reads what another thread writes without a barrier between gets other bytes in another order. Blocks run one
// after another, also in a drawn order. What this cannot show: speed, and what nvcc makes of the code.
#pragma once
#include <cstdint>
#include <functional>

#define __CUDACC__ 1
#define __host__
#define __device__
#define __global__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static  // blocks run one after another

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline float2 make_float2(float x, float y) { return float2{x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return float4{x, y, z, w}; }

using cudaStream_t = void*;
enum cudaError_t { cudaSuccess = 0, cudaErrorInsufficientDriver = 35, cudaErrorNoDevice = 100 };
inline cudaError_t cudaGetDevice(int* device) { return *device = 0, cudaSuccess; }
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "no error"; }

namespace gencosmo::emulated {

// What a launch in angle brackets becomes.
class Launch {
 public:
  Launch(dim3 grid, dim3 block, unsigned dynamic_bytes, cudaStream_t stream);
  void run(const std::function<void()>& kernel) const;

 private:
  dim3 grid_, block_;
};
extern dim3 block_index, block_size, grid_size, thread_index;
void wait_for_block();
void wait_for_warp();
unsigned ballot(unsigned lanes, bool vote);

}  // namespace gencosmo::emulated

#define blockIdx gencosmo::emulated::block_index
#define blockDim gencosmo::emulated::block_size
#define gridDim gencosmo::emulated::grid_size
#define threadIdx gencosmo::emulated::thread_index

inline void __syncthreads() { gencosmo::emulated::wait_for_block(); }
inline void __syncwarp() { gencosmo::emulated::wait_for_warp(); }
inline unsigned __ballot_sync(unsigned lanes, bool vote) { return gencosmo::emulated::ballot(lanes, vote); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
