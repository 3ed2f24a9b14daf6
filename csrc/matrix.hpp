// Products of matrices for the layers of a network on a CPU: six rows by up to four vectors in registers. Every element
// is the sum over the depth in ascending order, by fused multiply-adds from zero, so that its bits do not depend on the
// instruction set, on how rows are cut up or on the threads. Included by the .cpp files that are compiled per
// instruction set, hence no linkage.
#pragma once
#include "host_device.hpp"

namespace gencosmo {
namespace {

#if !defined(GC_LANES)
// Without fused multiply-adds of vectors: the same numbers, slowly.
constexpr int kWidth = 4;
typedef float Floats __attribute__((vector_size(4 * kWidth)));
inline Floats load(const float* from) {
  Floats v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}
inline void store(float* to, Floats v) { __builtin_memcpy(to, &v, sizeof v); }
inline Floats fused(float a, Floats b, Floats c) {
  Floats r;
  for (int i = 0; i < kWidth; ++i) r[i] = __builtin_fmaf(a, b[i], c[i]);
  return r;
}
#endif

constexpr int kPanel = 16;  // columns come in multiples of this
constexpr int kRows = 6;    // rows in registers
constexpr int kPanelVectors = kPanel / kWidth;
#if defined(__AVX512F__)
constexpr int kPanels = 4;  // panels in registers: 24 sums, 4 of the right-hand side
#else
constexpr int kPanels = 1;  // 12 sums, 2 of the right-hand side, of 16 registers
#endif

// out[r][c] = sum_d a[r][d] b[d][c], then + bias[c], + add[r][c] where given. The depth comes in `parts` of the same
// length, `part_stride` apart in `a` and one after the other in `b`.
struct Product {
  const float* a;
  int64_t a_row, a_step;  // from row to row, along the depth
  int64_t depth, parts, part_stride;
  const float* b;
  int64_t b_step;
  float* out;
  int64_t out_row;
  const float* bias = nullptr;  // (columns)
  const float* add = nullptr;   // laid out like `out`
};

template <int kHeight, int kBroad>
inline void product_block(const Product& p, int64_t row, int64_t panel) {
  constexpr int kVectors = kBroad * kPanelVectors;
  const float* b = p.b + panel * kPanel;
  Floats sum[kHeight][kVectors] = {};
  for (int64_t part = 0; part < p.parts; ++part) {
    const float* a = p.a + row * p.a_row + part * p.part_stride;
    for (int64_t d = 0; d < p.depth; ++d, a += p.a_step, b += p.b_step) {
      Floats right[kVectors];
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) right[v] = load(b + v * kWidth);
#pragma GCC unroll 6
      for (int r = 0; r < kHeight; ++r) {
        const float left = a[r * p.a_row];
#pragma GCC unroll 16
        for (int v = 0; v < kVectors; ++v) sum[r][v] = fused(left, right[v], sum[r][v]);
      }
    }
  }
  for (int r = 0; r < kHeight; ++r) {
    for (int v = 0; v < kVectors; ++v) {
      const int64_t column = panel * kPanel + v * kWidth, at = (row + r) * p.out_row + column;
      Floats value = sum[r][v];
      if (p.bias != nullptr) value += load(p.bias + column);
      if (p.add != nullptr) value += load(p.add + at);
      store(p.out + at, value);
    }
  }
}

template <int kBroad>
inline void product_rows(const Product& p, int64_t rows, int64_t panel) {
  int64_t row = 0;
  for (; row + kRows <= rows; row += kRows) product_block<kRows, kBroad>(p, row, panel);
  switch (rows - row) {
    case 5: return product_block<5, kBroad>(p, row, panel);
    case 4: return product_block<4, kBroad>(p, row, panel);
    case 3: return product_block<3, kBroad>(p, row, panel);
    case 2: return product_block<2, kBroad>(p, row, panel);
    case 1: return product_block<1, kBroad>(p, row, panel);
    default: return;
  }
}

// `columns` is a multiple of 16.
inline void product(const Product& p, int64_t rows, int64_t columns) {
  const int64_t panels = columns / kPanel;
  int64_t panel = 0;
  for (; panel + kPanels <= panels; panel += kPanels) product_rows<kPanels>(p, rows, panel);
  if constexpr (kPanels > 1) {
    switch (panels - panel) {
      case 3: return product_rows<3>(p, rows, panel);
      case 2: return product_rows<2>(p, rows, panel);
      case 1: return product_rows<1>(p, rows, panel);
      default: return;
    }
  }
}

}  // namespace
}  // namespace gencosmo
