#include "bin.hpp"

#include <cstddef>

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

// Rows of k fine rows each; the usual factor 2 has its own loop, which vectorises.
template <int64_t kFactor>
void bin_row(const BinArgs& a, int64_t row) {
  const int64_t k = kFactor > 0 ? kFactor : a.factor, stride = a.width * k;
  if (stride == 0) return;  // an empty tensor has no memory to copy
  const float* from = a.from + row * k * stride;
  float* to = a.to + row * a.width;
  for (int64_t x = 0; x < a.width; ++x) {
    float sum = 0.0f;
    for (int64_t i = 0; i < k; ++i) {
      for (int64_t j = 0; j < k; ++j) sum += from[i * stride + x * k + j];
    }
    to[x] = sum;
  }
}

template <int64_t kFactor>
void spread_row(const BinArgs& a, int64_t row) {
  const int64_t k = kFactor > 0 ? kFactor : a.factor, stride = a.width * k;
  if (stride == 0) return;  // an empty tensor has no memory to copy
  const float* from = a.from + row * a.width;
  float* to = a.to + row * k * stride;
#pragma GCC ivdep
  for (int64_t x = 0; x < a.width; ++x) {
    for (int64_t j = 0; j < k; ++j) to[x * k + j] = from[x];
  }
  for (int64_t i = 1; i < k; ++i) __builtin_memcpy(to + i * stride, to, static_cast<size_t>(stride) * sizeof(float));
}

}  // namespace

void bin(const BinArgs& a, int threads) {
  for_each_item(a.images * a.height, a.width * a.factor * a.factor, threads, [&](int64_t row) {
    if (a.factor == 2) return bin_row<2>(a, row);
    if (a.factor == 4) return bin_row<4>(a, row);
    bin_row<0>(a, row);
  });
}

void bin_adjoint(const BinArgs& a, int threads) {
  for_each_item(a.images * a.height, a.width * a.factor * a.factor, threads, [&](int64_t row) {
    if (a.factor == 2) return spread_row<2>(a, row);
    if (a.factor == 4) return spread_row<4>(a, row);
    spread_row<0>(a, row);
  });
}

}  // namespace gencosmo::GC_ISA
