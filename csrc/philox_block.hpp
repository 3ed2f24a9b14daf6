// Philox for sixteen neighbouring counters at once. The plain loop says what is computed; GCC turns its 64-bit products
// into slow full multiplications, so the wide instruction sets get theirs by name. Integers: the words are the same.
#pragma once
#include "philox.hpp"

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace gencosmo {

#if !defined(__CUDACC__)
#if defined(__AVX512F__)
struct Words {
  using Vector = __m512i;
  static constexpr int kLanes = 16;
  static inline Vector set(uint32_t v) { return _mm512_set1_epi32(static_cast<int>(v)); }
  static inline Vector load(const uint32_t* p) { return _mm512_loadu_si512(p); }
  static inline void store(uint32_t* p, Vector v) { _mm512_storeu_si512(p, v); }
  static inline Vector mix(Vector a, Vector b, Vector c) { return _mm512_xor_si512(_mm512_xor_si512(a, b), c); }
  // High and low halves of the products with m: even lanes and odd lanes apart.
  static inline void multiply(Vector a, Vector m, Vector& high, Vector& low) {
    const Vector even = _mm512_mul_epu32(a, m), odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), m);
    high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
    low = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
  }
};
#elif defined(__AVX2__)
struct Words {
  using Vector = __m256i;
  static constexpr int kLanes = 8;
  static inline Vector set(uint32_t v) { return _mm256_set1_epi32(static_cast<int>(v)); }
  static inline Vector load(const uint32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static inline void store(uint32_t* p, Vector v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }
  static inline Vector mix(Vector a, Vector b, Vector c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
  static inline void multiply(Vector a, Vector m, Vector& high, Vector& low) {
    const Vector even = _mm256_mul_epu32(a, m), odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), m);
    high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
  }
};
#endif

// The four words of the counters of absolute columns 4 group .. 4 group + 63, word by word.
static inline void philox_block(const NoiseKey& k, int64_t group, int64_t row, uint32_t (*out)[kGroups]) {
#if defined(__AVX512F__) || defined(__AVX2__)
  uint32_t columns[kGroups];
  for (int i = 0; i < kGroups; ++i) columns[i] = static_cast<uint32_t>(group + i);
  for (int first = 0; first < kGroups; first += Words::kLanes) {
    auto x = Words::load(columns + first), y = Words::set(static_cast<uint32_t>(row));
    auto z = Words::set(k.sample_channel), w = Words::set(k.step_stream);
    const auto m0 = Words::set(0xD2511F53u), m1 = Words::set(0xCD9E8D57u);
    uint32_t key0 = k.seed_low, key1 = k.seed_high;
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      Words::Vector high0, low0, high1, low1;
      Words::multiply(x, m0, high0, low0);
      Words::multiply(z, m1, high1, low1);
      x = Words::mix(high1, y, Words::set(key0));
      z = Words::mix(high0, w, Words::set(key1));
      y = low1;
      w = low0;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    Words::store(out[0] + first, x);
    Words::store(out[1] + first, y);
    Words::store(out[2] + first, z);
    Words::store(out[3] + first, w);
  }
#else
#pragma GCC ivdep
  for (int i = 0; i < kGroups; ++i) {
    const Counter o = philox(Counter{static_cast<uint32_t>(group + i), static_cast<uint32_t>(row), k.sample_channel,
                                     k.step_stream},
                             k.seed_low, k.seed_high);
    out[0][i] = o.x;
    out[1][i] = o.y;
    out[2][i] = o.z;
    out[3][i] = o.w;
  }
#endif
}

// Normals of absolute columns 4 group .. 4 group + 63. Structure of arrays, so that the compiler vectorises it.
static inline void normal_block(const NoiseKey& k, int64_t group, int64_t row, float* out) {
  uint32_t word[4][kGroups];
  philox_block(k, group, row, word);
  float n[4][kGroups];
#pragma GCC ivdep
  for (int i = 0; i < kGroups; ++i) box_muller(word[0][i], word[1][i], n[0][i], n[1][i]);
#pragma GCC ivdep
  for (int i = 0; i < kGroups; ++i) box_muller(word[2][i], word[3][i], n[2][i], n[3][i]);
  for (int i = 0; i < kGroups; ++i) {
    for (int j = 0; j < 4; ++j) out[4 * i + j] = n[j][i];
  }
}

// Signs of the same columns.
static inline void sign_block(const NoiseKey& k, int64_t group, int64_t row, float* out) {
  uint32_t word[4][kGroups];
  philox_block(k, group, row, word);
  for (int i = 0; i < kGroups; ++i) {
    for (int j = 0; j < 4; ++j) out[4 * i + j] = float_of(0x3f800000u | (word[j][i] & 0x80000000u));
  }
}
#endif

}  // namespace gencosmo
