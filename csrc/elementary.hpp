// log, exp and asinh from explicit fma: the same bits on every instruction set and on CUDA, and loops over them
// vectorise. Within about one ulp. Polynomials: Cephes (Moshier).
#pragma once
#include "host_device.hpp"

namespace gencosmo {

// ln((1 + f) 2^e) for f from sqrt(1/2) - 1 to sqrt(2) - 1.
template <class F>
GC_HD F log_of_parts(F e, F f) {
  F p = fused(7.0376836292e-2f, f, -1.1514610310e-1f);
  p = fused(p, f, 1.1676998740e-1f);
  p = fused(p, f, -1.2420140846e-1f);
  p = fused(p, f, 1.4249322787e-1f);
  p = fused(p, f, -1.6668057665e-1f);
  p = fused(p, f, 2.0000714765e-1f);
  p = fused(p, f, -2.4999993993e-1f);
  p = fused(p, f, 3.3333331174e-1f);
  const F square = f * f;
  F y = p * (square * f);
  y = fused(e, -2.12194440e-4f, y);
  y = fused(-0.5f, square, y);
  return fused(e, 0.693359375f, f + y);
}

// Natural log of a normal positive number; inf and NaN come back as they are.
GC_HD float natural_log(float x) {
  const uint32_t shifted = bits_of(x) - 0x3f3504f3u;
  const float e = static_cast<float>(static_cast<int32_t>(shifted) >> 23);
  const float f = float_of((shifted & 0x007fffffu) + 0x3f3504f3u) - 1.0f;
  const float result = log_of_parts(e, f);
  return is_finite(x) ? result : x;
}

// e^x for |x| <= 80; NaN comes back as it is.
GC_HD float natural_exp(float x) {
  const float bounded = at_most(at_least(x, -80.0f), 80.0f);
  const float safe = bounded == bounded ? bounded : 0.0f;
  const float shifted = fused(safe, 1.44269504088896341f, 12582912.0f);  // 1.5 * 2^23 rounds to an integer
  const float n = shifted - 12582912.0f;
  const float f = fused(n, 2.12194440e-4f, fused(n, -0.693359375f, safe));
  float p = 1.9875691500e-4f;
  p = fused(p, f, 1.3981999507e-3f);
  p = fused(p, f, 8.3334519073e-3f);
  p = fused(p, f, 4.1665795894e-2f);
  p = fused(p, f, 1.6666665459e-1f);
  p = fused(p, f, 5.0000001201e-1f);
  const float result = fused(p, f * f, f) + 1.0f;
  const float scale = float_of(static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23);
  return bounded == bounded ? result * scale : x;
}

GC_HD float area_sinh(float x) {
  const float a = float_of(bits_of(x) & 0x7fffffffu);
  // log1p(t) with t = a + a^2/(1 + sqrt(1 + a^2)); log(1 + t) loses what rounding took from t, which is put back
  const float small = at_most(a, 1e4f);
  const float square = small * small;
  const float t = small + square / (1.0f + root(1.0f + square));
  const float u = 1.0f + t;
  const bool far = a > 1e4f;
  const float value = natural_log(far ? a : u) + (far ? 0.69314718056f : (t - (u - 1.0f)) / u);
  return float_of(bits_of(value) | (bits_of(x) & 0x80000000u));
}

}  // namespace gencosmo
