// probe_ and hutchinson_: random signs anchored to absolute pixels, and their dot product with J v per plane.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"
#include "philox.hpp"
#include "reduce.hpp"

namespace gencosmo {

constexpr int64_t kStreamProbe = 3;

struct ProbeArgs {
  float* out;
  const Plane* layout;
  const int64_t* seed;      // one per plane
  const int64_t* rng_step;  // one number
  int64_t planes, pixels;
};
struct HutchinsonArgs {
  double* trace;         // one per plane
  const float* product;  // J v
  const Plane* layout;
  const int64_t* seed;
  const int64_t* rng_step;
  double* workspace;  // (planes, 256)
  int64_t planes, pixels;
};

GC_CPU_KERNEL(probe, ProbeArgs)
GC_CUDA_KERNEL(probe, ProbeArgs)
GC_CPU_KERNEL(hutchinson, HutchinsonArgs)
GC_CUDA_KERNEL(hutchinson, HutchinsonArgs)

}  // namespace gencosmo
