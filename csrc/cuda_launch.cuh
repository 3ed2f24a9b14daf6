// What every CUDA launcher shares: the device guard, launch sizes and the words for an error.
#pragma once
#include <cuda_runtime.h>

#include "host_device.hpp"
#include "isa.hpp"

namespace gencosmo {

constexpr int kThreads = 256;  // most threads of a block

// Threads per block of the kernels that loop with first_item and item_stride.
static inline int launch_threads() { return static_cast<int>(tuning().threads); }

static inline const char* cuda_error(cudaError_t e) {
  if (e == cudaSuccess) return nullptr;
  if (e == cudaErrorInsufficientDriver || e == cudaErrorNoDevice) {
    return "no usable NVIDIA driver for the CUDA runtime that gencosmo was built with (CUDA 13 needs driver >= 580)";
  }
  return cudaGetErrorString(e);
}

// Makes `device` current for one launcher.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device) {
    error_ = cudaGetDevice(&previous_);
    if (error_ == cudaSuccess && previous_ != device) {
      error_ = cudaSetDevice(device);
      restore_ = error_ == cudaSuccess;
    }
  }
  ~DeviceGuard() {
    if (restore_) cudaSetDevice(previous_);
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  cudaError_t error() const { return error_; }

 private:
  int previous_ = 0;
  bool restore_ = false;
  cudaError_t error_ = cudaSuccess;
};

static inline unsigned blocks(int64_t items, int64_t limit) {
  const int64_t n = (items + launch_threads() - 1) / launch_threads();
  return static_cast<unsigned>(clamp64(n, 1, limit));
}
// Blocks over (pixels of a plane, planes). Plane sizes live on the device, so the first number is only a guess from
// the mean; kernels loop over what is left.
static inline dim3 plane_grid(int64_t pixels, int64_t planes) {
  const int64_t mean = planes > 0 ? pixels / planes + 1 : 1;
  return dim3(blocks(mean, 16384), static_cast<unsigned>(clamp64(planes, 1, 65535)));
}

// First element and stride of the loop over pixels that follows from plane_grid.
__device__ __forceinline__ int64_t first_item() { return blockIdx.x * static_cast<int64_t>(blockDim.x) + threadIdx.x; }
__device__ __forceinline__ int64_t item_stride() { return static_cast<int64_t>(gridDim.x) * blockDim.x; }

// Row and column of an item in rows of n. 32-bit division, where the numbers allow it, because 64-bit division is a
// subroutine of some forty instructions.
struct RowColumn {
  int64_t row, col;
};
__device__ __forceinline__ RowColumn row_column(int64_t item, int64_t n) {
  if (((item | n) >> 32) == 0) {
    const uint32_t i = static_cast<uint32_t>(item), m = static_cast<uint32_t>(n);
    return RowColumn{i / m, i % m};
  }
  return RowColumn{item / n, item % n};
}

// Whether four floats from here on are one 16-byte access.
__device__ __forceinline__ bool whole_line(const float* p) { return (reinterpret_cast<uintptr_t>(p) & 15u) == 0; }

// Stores the columns first .. first + 3 of a row, those of them that exist.
__device__ __forceinline__ void store_columns(float* row, int64_t first, int64_t width, const float* v) {
  if (first >= 0 && first + 4 <= width && whole_line(row + first)) {
    *reinterpret_cast<float4*>(row + first) = make_float4(v[0], v[1], v[2], v[3]);
    return;
  }
  for (int j = 0; j < 4; ++j) {
    if (first + j >= 0 && first + j < width) row[first + j] = v[j];
  }
}
// Loads them; columns that do not exist get `other`.
__device__ __forceinline__ void load_columns(const float* row, int64_t first, int64_t width, float other, float* v) {
  if (first >= 0 && first + 4 <= width && whole_line(row + first)) {
    const float4 four = *reinterpret_cast<const float4*>(row + first);
    v[0] = four.x, v[1] = four.y, v[2] = four.z, v[3] = four.w;
    return;
  }
  for (int j = 0; j < 4; ++j) v[j] = first + j >= 0 && first + j < width ? row[first + j] : other;
}

}  // namespace gencosmo
