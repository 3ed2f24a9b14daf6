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

// Signs of absolute columns 4 group .. 4 group + 3: the highest bit of each word.
GC_HD void signs(const NoiseKey& k, int64_t group, int64_t row, float* s) {
  const Counter o =
      philox(Counter{static_cast<uint32_t>(group), static_cast<uint32_t>(row), k.sample_channel, k.step_stream},
             k.seed_low, k.seed_high);
  const uint32_t words[4] = {o.x, o.y, o.z, o.w};
  for (int j = 0; j < 4; ++j) s[j] = float_of(0x3f800000u | (words[j] & 0x80000000u));
}

GC_CPU_KERNEL(probe, ProbeArgs)
GC_CUDA_KERNEL(probe, ProbeArgs)
GC_CPU_KERNEL(hutchinson, HutchinsonArgs)
GC_CUDA_KERNEL(hutchinson, HutchinsonArgs)

}  // namespace gencosmo
