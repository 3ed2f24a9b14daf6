#include "moments.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {

void moments(const MomentsArgs& a, int threads) {
  const float n = static_cast<float>(a.count[0] + 1);
  for_each_range(a.pixels, threads, [&](int64_t begin, int64_t end) {
    float *mean = a.mean, *m2 = a.m2;
    const float* value = a.value;
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) moments_update(n, value[i], mean[i], m2[i]);
  });
  a.count[0] += 1;
}

}  // namespace gencosmo::GC_ISA
