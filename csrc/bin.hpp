// bin and bin_adjoint: sums over k x k pixels, and the same matrix transposed.
#pragma once
#include "host_device.hpp"
#include "isa.hpp"

namespace gencosmo {

struct BinArgs {
  const float* from;
  float* to;
  int64_t images, height, width, factor;  // height and width of the coarse image
};

GC_HD float bin_pixel(const BinArgs& a, int64_t image, int64_t y, int64_t x) {
  const int64_t stride = a.width * a.factor;
  const float* corner = a.from + (image * a.height + y) * a.factor * stride + x * a.factor;
  float sum = 0.0f;
  for (int64_t i = 0; i < a.factor; ++i) {
    for (int64_t j = 0; j < a.factor; ++j) sum += corner[i * stride + j];
  }
  return sum;
}

GC_CPU_KERNEL(bin, BinArgs)
GC_CUDA_KERNEL(bin, BinArgs)
GC_CPU_KERNEL(bin_adjoint, BinArgs)
GC_CUDA_KERNEL(bin_adjoint, BinArgs)

}  // namespace gencosmo
