// What a formula header needs to be compiled for a CPU instruction set or for CUDA with the same bits: only IEEE
// operations whose result is fixed (add, multiply, explicit fma, correctly rounded sqrt and division). Build flags
// forbid contraction (-ffp-contract=off, -fmad=false). Everything has internal linkage, because each instruction set
// compiles its own copy and the linker must not mix them.
#pragma once
#include <cstdint>

#include "lanes.hpp"

#if defined(__CUDACC__)
#define GC_HD static __host__ __device__ __forceinline__
#else
#define GC_HD static inline __attribute__((always_inline))
#endif

namespace gencosmo {

GC_HD float fused(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}
GC_HD float root(float a) {
#if defined(__CUDA_ARCH__)
  return __fsqrt_rn(a);
#else
  return __builtin_sqrtf(a);
#endif
}
GC_HD uint32_t bits_of(float f) {
#if defined(__CUDA_ARCH__)
  return __float_as_uint(f);
#else
  uint32_t u;
  __builtin_memcpy(&u, &f, 4);
  return u;
#endif
}
GC_HD float float_of(uint32_t u) {
#if defined(__CUDA_ARCH__)
  return __uint_as_float(u);
#else
  float f;
  __builtin_memcpy(&f, &u, 4);
  return f;
#endif
}
GC_HD int32_t signed_of(uint32_t u) { return static_cast<int32_t>(u); }
GC_HD float to_float(int32_t i) { return static_cast<float>(i); }
template <class T>
GC_HD T select(bool where, T a, T b) {
  return where ? a : b;
}
GC_HD float infinity() { return float_of(0x7f800000u); }
GC_HD bool is_inf(float f) { return (bits_of(f) & 0x7fffffffu) == 0x7f800000u; }
GC_HD bool is_finite(float f) { return (bits_of(f) & 0x7f800000u) != 0x7f800000u; }
// One compare and one select, so that every backend treats NaN alike: a NaN argument `a` is returned.
GC_HD float at_least(float a, float low) { return a < low ? low : a; }
GC_HD float at_most(float a, float high) { return a > high ? high : a; }
// Like torch.minimum: NaN if either is NaN.
GC_HD float minimum(float a, float b) { return a < b || a != a ? a : b; }
// Like torch.maximum: NaN if either is NaN.
GC_HD float maximum(float a, float b) { return a > b || a != a ? a : b; }
GC_HD int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
GC_HD int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }
GC_HD int64_t clamp64(int64_t a, int64_t low, int64_t high) { return max64(low, min64(a, high)); }

}  // namespace gencosmo
