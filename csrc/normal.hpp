// normal_: standard normal noise anchored to absolute pixel coordinates.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"
#include "philox.hpp"

namespace gencosmo {

struct NormalArgs {
  float* out;
  const Plane* layout;
  const int64_t* seed;               // one per plane
  const int64_t *rng_step, *stream;  // one number each
  int64_t planes, pixels;
};

GC_CPU_KERNEL(normal, NormalArgs)
GC_CUDA_KERNEL(normal, NormalArgs)

}  // namespace gencosmo
