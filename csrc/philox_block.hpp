// Philox, signs and normals for sixteen neighbouring counters at once: sixty-four columns. The plain loops say what is
// computed; compilers turn their 64-bit products into slow full multiplications, so the wide instruction sets get theirs
// by name. Integers, and the same IEEE operations on floats: the bits are the same.
#pragma once
#include "philox.hpp"

namespace gencosmo {

// What a row of a plane needs: its counter words and the keys of the ten rounds.
struct RowKeys {
  NoiseKey key;
  int64_t row;
#if defined(GC_LANES)
  uint64_t word[10][2];
#endif
};
GC_HD RowKeys row_keys(const NoiseKey& key, int64_t row) {
  RowKeys keys{};
  keys.key = key, keys.row = row;
#if defined(GC_LANES)
  for (uint32_t round = 0; round < 10; ++round) {
    keys.word[round][0] = key.seed_low + round * 0x9E3779B9u;
    keys.word[round][1] = key.seed_high + round * 0xBB67AE85u;
  }
#endif
  return keys;
}

#if defined(GC_LANES)
// The words of the counters of `kWidth` neighbouring groups, in the order that `transposed` undoes: lane 4 k + v holds
// group kWidth / 4 * v + k. A counter lies in half of a 64-bit lane, because only there are full products; what the
// upper half holds is never read.
GC_LANE void philox_lanes(const RowKeys& keys, int64_t group, Uints* out) {
  const Words zero{}, first = (zero + static_cast<uint32_t>(group)) + Words{GC_GROUPS};
  Words x[2] = {first, first + kWidth / 4}, y[2], z[2], w[2];
  for (int h = 0; h < 2; ++h) {
    y[h] = zero + static_cast<uint32_t>(keys.row);
    z[h] = zero + keys.key.sample_channel;
    w[h] = zero + keys.key.step_stream;
  }
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const Words key0 = zero + keys.word[round][0], key1 = zero + keys.word[round][1];
    for (int h = 0; h < 2; ++h) {
      const Words product0 = multiply(x[h], zero + 0xD2511F53u), product1 = multiply(z[h], zero + 0xCD9E8D57u);
      x[h] = mix(upper(product1), y[h], key0);
      z[h] = mix(upper(product0), w[h], key1);
      y[h] = product1;
      w[h] = product0;
    }
  }
  out[0] = interleave(x[0], x[1]);
  out[1] = interleave(y[0], y[1]);
  out[2] = interleave(z[0], z[1]);
  out[3] = interleave(w[0], w[1]);
}

// Four values per counter, as four vectors over counters, to the columns they belong to.
GC_LANE void store_columns(const Floats* n, float* out) {
  Floats column[4];
  transpose_quarters(n, column);
  for (int v = 0; v < 4; ++v) store(out + v * kWidth, column[v]);
}
#endif

// Normals of absolute columns 4 group .. 4 group + 63.
static inline void normal_block(const RowKeys& keys, int64_t group, float* out) {
#if defined(GC_LANES)
  for (int first = 0; first < kGroups; first += kWidth) {
    Uints word[4];
    Floats n[4];
    philox_lanes(keys, group + first, word);
    box_muller(word[0], word[1], n[0], n[1]);
    box_muller(word[2], word[3], n[2], n[3]);
    store_columns(n, out + 4 * first);
  }
#else
  for (int i = 0; i < kGroups; ++i) {
    float* n = out + 4 * i;
    normals(keys.key, group + i, keys.row, n[0], n[1], n[2], n[3]);
  }
#endif
}

// Signs of the same columns.
static inline void sign_block(const RowKeys& keys, int64_t group, float* out) {
#if defined(GC_LANES)
  for (int first = 0; first < kGroups; first += kWidth) {
    Uints word[4];
    Floats sign[4];
    philox_lanes(keys, group + first, word);
    for (int j = 0; j < 4; ++j) sign[j] = float_of((word[j] & 0x80000000u) | 0x3f800000u);
    store_columns(sign, out + 4 * first);
  }
#else
  for (int i = 0; i < kGroups; ++i) signs(keys.key, group + i, keys.row, out + 4 * i);
#endif
}

}  // namespace gencosmo
