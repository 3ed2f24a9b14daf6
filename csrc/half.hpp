// bfloat16 and float16 as stored bits, converted with round to nearest even, the same everywhere.
#pragma once
#include "host_device.hpp"

namespace gencosmo {

struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};

GC_HD float widen(float v) { return v; }
GC_HD float widen(Bf16 v) { return float_of(static_cast<uint32_t>(v.bits) << 16); }
GC_HD float widen(F16 v) {
  const uint32_t sign = static_cast<uint32_t>(v.bits & 0x8000u) << 16, magnitude = v.bits & 0x7fffu;
  // shifting puts the exponent 112 too low, which one exact multiplication by 2^112 mends, subnormals included
  const uint32_t scaled = bits_of(float_of(magnitude << 13) * 5.192296858534828e33f);
  return float_of(sign | (magnitude >= 0x7c00u ? (magnitude << 13) | 0x7f800000u : scaled));
}

GC_HD void narrow(float v, float& out) { out = v; }
GC_HD void narrow(float v, Bf16& out) {
  const uint32_t u = bits_of(v);
  const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  out.bits = static_cast<uint16_t>(v == v ? rounded : (u >> 16) | 0x40u);
}
GC_HD void narrow(float v, F16& out) {
  const uint32_t u = bits_of(v), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
  const uint32_t normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  // below 2^-14: adding 1/2 aligns the last float16 bit with the last float32 bit and rounds
  const uint32_t small = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  uint32_t half = magnitude < 0x38800000u ? small : normal;
  half = magnitude >= 0x47800000u ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? 0x7e00u : half;
  out.bits = static_cast<uint16_t>(sign | half);
}

enum class Float { f32, bf16, f16 };

}  // namespace gencosmo
