// moments_: running mean and sum of squared deviations over samples (Welford 1962).
#pragma once
#include "host_device.hpp"
#include "isa.hpp"

namespace gencosmo {

struct MomentsArgs {
  int64_t* count;  // one number: samples seen before this one; incremented at the end
  float *mean, *m2;
  const float* value;
  int64_t pixels;
};

GC_HD void moments_update(float n, float value, float& mean, float& m2) {
  const float delta = value - mean;
  mean += delta / n;
  m2 += delta * (value - mean);
}

GC_CPU_KERNEL(moments, MomentsArgs)
GC_CUDA_KERNEL(moments, MomentsArgs)

}  // namespace gencosmo
