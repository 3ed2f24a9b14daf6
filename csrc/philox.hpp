// Counter-based normal noise: Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011) and Box-Muller from explicit fma.
// The same counter gives the same bits on every instruction set and on CUDA. |error| against float64 Box-Muller on
// the same integers is below 6e-7; |normal| <= 6.66 because the radius uses 31 bits.
#pragma once
#include "elementary.hpp"

namespace gencosmo {

struct Counter {
  uint32_t x, y, z, w;
};

GC_HD uint32_t multiply_high(uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__)
  return __umulhi(a, b);
#else
  return static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32);
#endif
}

GC_HD Counter philox(Counter c, uint32_t key0, uint32_t key1) {
#if defined(__CUDACC__)
#pragma unroll
#else
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = multiply_high(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const uint32_t high1 = multiply_high(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = Counter{high1 ^ c.y ^ key0, low1, high0 ^ c.w ^ key1, low0};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

// The formulas below take one number or a vector of them (lanes.hpp).

// ln((k + 1/2) / 2^31) for 0 <= k < 2^31. Above sqrt(1/2) the reduced argument u - 1 is formed from the integer:
// rounding u itself to float would cost four digits of a small radius.
template <class I>
GC_HD auto log_u31(I k) {
  const auto u = fused(to_float(k), 4.656612873077393e-10f, 2.3283064365386963e-10f);
  const auto below_one = fused(to_float(0x7fffffff - k), -4.656612873077393e-10f, -2.3283064365386963e-10f);
  const auto shifted = bits_of(u) - 0x3f3504f3u;
  const auto exponent = signed_of(shifted) >> 23;
  const auto mantissa = float_of((shifted & 0x007fffffu) + 0x3f3504f3u);
  const auto f = select(exponent >= 0, below_one, mantissa - 1.0f);
  return log_of_parts(to_float(exponent), f);
}

// sin and cos of 2 pi u / 2^32; the reduction to an eighth of a turn is integer arithmetic. Polynomials: Cephes.
template <class U, class F>
GC_HD void sincos_turn(U u, F& sine, F& cosine) {
  const U quadrant = (u + 0x20000000u) >> 30;
  const F a = to_float(signed_of(u << 2)) * 3.657295198e-10f;  // pi / 2^33
  const F a2 = a * a;
  F s = fused(a2, -1.9515295891e-4f, 8.3321608736e-3f);
  s = fused(s, a2, -1.6666654611e-1f);
  s = fused(s * a2, a, a);
  F c = fused(a2, 2.443315711809948e-5f, -1.388731625493765e-3f);
  c = fused(c, a2, 4.166664568298827e-2f);
  c = c * (a2 * a2);
  c = fused(-0.5f, a2, c) + 1.0f;
  const auto swap = (quadrant & 1u) != 0u;
  sine = float_of(bits_of(select(swap, c, s)) ^ ((quadrant & 2u) << 30));
  cosine = float_of(bits_of(select(swap, s, c)) ^ (((quadrant + 1u) & 2u) << 30));
}

template <class U, class F>
GC_HD void box_muller(U a, U b, F& n0, F& n1) {
  const F radius = root(-2.0f * log_u31(signed_of(a >> 1)));
  F sine, cosine;
  sincos_turn(b, sine, cosine);
  n0 = radius * cosine;
  n1 = radius * sine;
}

// What identifies the noise of a plane at a step; pixel coordinates complete the counter.
struct NoiseKey {
  uint32_t seed_low, seed_high, sample_channel, step_stream;
};
GC_HD NoiseKey noise_key(int64_t seed, int64_t key, int64_t step, int64_t stream) {
  return NoiseKey{static_cast<uint32_t>(seed), static_cast<uint32_t>(static_cast<uint64_t>(seed) >> 32),
                  static_cast<uint32_t>(key), static_cast<uint32_t>(step << 8 | stream)};
}
// Four normals of absolute columns 4 group .. 4 group + 3 in absolute row `row`.
GC_HD void normals(const NoiseKey& k, int64_t group, int64_t row, float& n0, float& n1, float& n2, float& n3) {
  const Counter o =
      philox(Counter{static_cast<uint32_t>(group), static_cast<uint32_t>(row), k.sample_channel, k.step_stream},
             k.seed_low, k.seed_high);
  box_muller(o.x, o.y, n0, n1);
  box_muller(o.z, o.w, n2, n3);
}

// Signs of absolute columns 4 group .. 4 group + 3: the highest bit of each word.
GC_HD void signs(const NoiseKey& k, int64_t group, int64_t row, float* s) {
  const Counter o =
      philox(Counter{static_cast<uint32_t>(group), static_cast<uint32_t>(row), k.sample_channel, k.step_stream},
             k.seed_low, k.seed_high);
  const uint32_t words[4] = {o.x, o.y, o.z, o.w};
  for (int j = 0; j < 4; ++j) s[j] = float_of(0x3f800000u | (words[j] & 0x80000000u));
}

constexpr int kGroups = 16;          // counters per block of a CPU loop
constexpr int kBlock = 4 * kGroups;  // normals per block

}  // namespace gencosmo
