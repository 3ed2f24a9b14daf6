// Sums in a fixed order: a fixed number of lanes, each adding its terms in float64 one after another, then one tree
// over the lanes. The order depends on nothing but the shape of the data, so the bits do not depend on threads,
// instruction set or device.
#pragma once
#include "host_device.hpp"

namespace gencosmo {

constexpr int kTile = 16;               // lanes along each side of a tile
constexpr int kLanes = kTile * kTile;   // and of the whole tile
constexpr int kRowLanes = 64;           // lanes along a row of a plane
constexpr int kChunks = 256;            // chunk c of a plane holds its rows c, c + 256, ...

#if !defined(__CUDACC__)
template <int N>
static inline double tree_sum(double* lane) {
#pragma GCC unroll 8
  for (int half = N / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  }
  return lane[0];
}
#else
// The same tree by the threads of a block; `lane` lies in shared memory and all `N` threads take part.
template <int N>
__device__ __forceinline__ double tree_sum(double* lane, int mine) {
  __syncthreads();
  for (int half = N / 2; half > 0; half /= 2) {
    if (mine < half) lane[mine] += lane[mine + half];
    __syncthreads();
  }
  return lane[0];
}
#endif

}  // namespace gencosmo
