// Many floats at once for the instruction sets that have them: the same formulas as for one, written once as templates.
// Arithmetic operators come with GCC's and Clang's vector types; here is what they lack. Internal linkage, because every
// instruction set has its own width.
#pragma once
#include <cstdint>

#if !defined(__CUDACC__) && (defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__)))
#define GC_LANES
#include <immintrin.h>

namespace gencosmo {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#define GC_GROUPS 0, 8, 1, 9, 2, 10, 3, 11
#else
constexpr int kWidth = 8;
#define GC_GROUPS 0, 4, 1, 5
#endif
typedef float Floats __attribute__((vector_size(4 * kWidth)));
typedef int32_t Ints __attribute__((vector_size(4 * kWidth)));
typedef uint32_t Uints __attribute__((vector_size(4 * kWidth)));
typedef uint64_t Words __attribute__((vector_size(4 * kWidth)));  // half as many, twice as long

// An argument that may be one number for all lanes.
struct Spread {
  Floats v;
  __attribute__((always_inline)) Spread(Floats all) : v(all) {}
  __attribute__((always_inline)) Spread(float one) : v(one - Floats{}) {}
};

#define GC_LANE static inline __attribute__((always_inline))
GC_LANE Uints bits_of(Floats f) { return (Uints)f; }
GC_LANE Floats float_of(Uints u) { return (Floats)u; }
GC_LANE Ints signed_of(Uints u) { return (Ints)u; }
GC_LANE Floats to_float(Ints i) { return __builtin_convertvector(i, Floats); }
GC_LANE Floats select(Ints where, Floats a, Floats b) { return where ? a : b; }
GC_LANE Uints select(Ints where, Uints a, Uints b) { return where ? a : b; }
#if defined(__AVX512F__)
GC_LANE Floats fused(Spread a, Spread b, Spread c) { return (Floats)_mm512_fmadd_ps(a.v, b.v, c.v); }
GC_LANE Floats root(Floats a) { return (Floats)_mm512_sqrt_ps(a); }
GC_LANE Words multiply(Words a, Words b) { return (Words)_mm512_mul_epu32((__m512i)a, (__m512i)b); }
// The high halves, in low halves: a shuffle, because shifts would crowd the port of the products.
GC_LANE Words upper(Words a) { return (Words)_mm512_shuffle_epi32((__m512i)a, _MM_PERM_DDBB); }
// a ^ b ^ c
GC_LANE Words mix(Words a, Words b, Words c) {
  return (Words)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0x96);
}
// The low halves of a in the even lanes, those of b in the odd lanes.
GC_LANE Uints interleave(Words a, Words b) {
  return (Uints)_mm512_mask_shuffle_epi32((__m512i)a, 0xAAAA, (__m512i)b, _MM_PERM_CCAA);
}
GC_LANE void unpack(Floats a, Floats b, Floats& low, Floats& high) {
  low = (Floats)_mm512_unpacklo_ps(a, b), high = (Floats)_mm512_unpackhi_ps(a, b);
}
GC_LANE void unpack_pairs(Floats a, Floats b, Floats& low, Floats& high) {
  low = (Floats)_mm512_unpacklo_pd((__m512d)a, (__m512d)b), high = (Floats)_mm512_unpackhi_pd((__m512d)a, (__m512d)b);
}
// Four lanes at a time, each four `stride` floats further on.
GC_LANE Floats load_quarters(const float* from, int64_t stride) {
  __m512 all = _mm512_castps128_ps512(_mm_loadu_ps(from));
  all = _mm512_insertf32x4(all, _mm_loadu_ps(from + stride), 1);
  all = _mm512_insertf32x4(all, _mm_loadu_ps(from + 2 * stride), 2);
  return (Floats)_mm512_insertf32x4(all, _mm_loadu_ps(from + 3 * stride), 3);
}
GC_LANE void store_quarters(float* to, int64_t stride, Floats v) {
  _mm_storeu_ps(to, _mm512_castps512_ps128((__m512)v));
  _mm_storeu_ps(to + stride, _mm512_extractf32x4_ps((__m512)v, 1));
  _mm_storeu_ps(to + 2 * stride, _mm512_extractf32x4_ps((__m512)v, 2));
  _mm_storeu_ps(to + 3 * stride, _mm512_extractf32x4_ps((__m512)v, 3));
}
#else
GC_LANE Floats fused(Spread a, Spread b, Spread c) { return (Floats)_mm256_fmadd_ps(a.v, b.v, c.v); }
GC_LANE Floats root(Floats a) { return (Floats)_mm256_sqrt_ps(a); }
GC_LANE Words multiply(Words a, Words b) { return (Words)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
GC_LANE Words upper(Words a) { return a >> 32; }
GC_LANE Words mix(Words a, Words b, Words c) { return a ^ b ^ c; }
GC_LANE Uints interleave(Words a, Words b) {
  return (Uints)_mm256_blend_epi32((__m256i)a, _mm256_slli_epi64((__m256i)b, 32), 0xAA);
}
GC_LANE void unpack(Floats a, Floats b, Floats& low, Floats& high) {
  low = (Floats)_mm256_unpacklo_ps(a, b), high = (Floats)_mm256_unpackhi_ps(a, b);
}
GC_LANE void unpack_pairs(Floats a, Floats b, Floats& low, Floats& high) {
  low = (Floats)_mm256_unpacklo_pd((__m256d)a, (__m256d)b), high = (Floats)_mm256_unpackhi_pd((__m256d)a, (__m256d)b);
}
GC_LANE Floats load_quarters(const float* from, int64_t stride) {
  return (Floats)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from)), _mm_loadu_ps(from + stride), 1);
}
GC_LANE void store_quarters(float* to, int64_t stride, Floats v) {
  _mm_storeu_ps(to, _mm256_castps256_ps128((__m256)v));
  _mm_storeu_ps(to + stride, _mm256_extractf128_ps((__m256)v, 1));
}
#endif
GC_LANE void store(float* to, Floats v) { __builtin_memcpy(to, &v, sizeof v); }
GC_LANE Floats load(const float* from) {
  Floats v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
// Number j of every four lanes of `in[i]` to number i of the same four of `out[j]`.
GC_LANE void transpose_quarters(const Floats* in, Floats* out) {
  Floats a, b, c, d;
  unpack(in[0], in[1], a, b);
  unpack(in[2], in[3], c, d);
  unpack_pairs(a, c, out[0], out[1]);
  unpack_pairs(b, d, out[2], out[3]);
}

}  // namespace
}  // namespace gencosmo
#endif
