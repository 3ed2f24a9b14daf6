// Between rows of channels, which loops work on, and the pixels of a channels_last tensor, whose channels lie together:
// a piece of a row at a time, four channels of some pixels by shuffles where there are vectors. Included by the .cpp
// files that are compiled per instruction set, hence no linkage.
#pragma once
#include <type_traits>

#include "half.hpp"

namespace gencosmo {
namespace {

constexpr int kPiece = 64;  // pixels of a piece; a few dozen channels of it fit in the first-level cache

// Pixels that shuffles can take of n.
inline int64_t whole_lanes([[maybe_unused]] const float*, int64_t n) {
#if defined(GC_LANES)
  return n / kWidth * kWidth;
#else
  return n * 0;
#endif
}
template <class T>
inline int64_t whole_lanes(const T*, int64_t) {
  return 0;
}

// The channels of n pixels to rows.
template <int kChannels, class T>
inline void from_pixels(const T* pixels, int64_t n, float (*rows)[kPiece]) {
  static_assert(kChannels % 4 == 0);
  const int64_t whole = whole_lanes(pixels, n);
#if defined(GC_LANES)
  if constexpr (std::is_same_v<T, float>) {
    for (int64_t j = 0; j < whole; j += kWidth) {
      for (int c = 0; c < kChannels; c += 4) {
        Floats quads[4], row[4];
        for (int k = 0; k < 4; ++k) quads[k] = load_quarters(pixels + (j + k) * kChannels + c, 4 * kChannels);
        transpose_quarters(quads, row);
        for (int k = 0; k < 4; ++k) store(rows[c + k] + j, row[k]);
      }
    }
  }
#endif
  for (int64_t j = whole; j < n; ++j) {
    for (int c = 0; c < kChannels; ++c) rows[c][j] = widen(pixels[j * kChannels + c]);
  }
}

// Rows to the channels of n pixels.
template <int kChannels, class T>
inline void to_pixels(const float (*rows)[kPiece], int64_t n, T* pixels) {
  static_assert(kChannels % 4 == 0);
  const int64_t whole = whole_lanes(pixels, n);
#if defined(GC_LANES)
  if constexpr (std::is_same_v<T, float>) {
    for (int64_t j = 0; j < whole; j += kWidth) {
      for (int c = 0; c < kChannels; c += 4) {
        Floats row[4], quads[4];
        for (int k = 0; k < 4; ++k) row[k] = load(rows[c + k] + j);
        transpose_quarters(row, quads);
        for (int k = 0; k < 4; ++k) store_quarters(pixels + (j + k) * kChannels + c, 4 * kChannels, quads[k]);
      }
    }
  }
#endif
  for (int64_t j = whole; j < n; ++j) {
    for (int c = 0; c < kChannels; ++c) narrow(rows[c][j], pixels[j * kChannels + c]);
  }
}

}  // namespace
}  // namespace gencosmo
