#include "convolve.hpp"

#include "matrix.hpp"
#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

constexpr int kSeen = 6, kMade = 4, kPoints = kSeen * kSeen;  // F(4x4, 3x3): 6x6 inputs make 4x4 outputs

// B' d for the points 0, 1, -1, 1/2, -2 and infinity (Barabasz et al. 2020).
GC_HD void transform_six(Floats (&d)[kSeen]) {
  const Floats t = d[4] - d[2], u = d[3] - d[1];
  const Floats v0 = fused(1.5f, u, (d[0] - d[2]) + t);
  const Floats v1 = fused(2.5f, d[3], fused(0.5f, d[2], d[4] - d[1]));
  const Floats v2 = fused(0.5f, d[3], fused(-2.5f, d[2], d[4] + d[1]));
  const Floats v5 = fused(1.5f, t, fused(-2.0f, d[3], d[5] + d[1]));
  d[3] = fused(2.0f, u, t), d[4] = fused(-0.5f, u, t);
  d[0] = v0, d[1] = v1, d[2] = v2, d[5] = v5;
}
// A' m for the same points.
GC_HD void combine_six(const Floats (&m)[kSeen], Floats (&y)[kMade]) {
  const Floats s = m[1] + m[2], d = m[1] - m[2];
  y[0] = (m[0] + s) + (m[3] + m[4]);
  y[1] = fused(0.5f, m[3], fused(-2.0f, m[4], d));
  y[2] = fused(0.25f, m[3], fused(4.0f, m[4], s));
  y[3] = fused(0.125f, m[3], fused(-8.0f, m[4], d + m[5]));
}

// A m, the adjoint of the last.
GC_HD void spread_four(const Floats (&y)[kMade], Floats (&m)[kSeen]) {
  const Floats even = y[0] + y[2], odd = y[1] + y[3];
  m[0] = y[0], m[5] = y[3];
  m[1] = even + odd, m[2] = even - odd;
  m[3] = fused(0.5f, y[1], fused(0.25f, y[2], fused(0.125f, y[3], y[0])));
  m[4] = fused(-2.0f, y[1], fused(4.0f, y[2], fused(-8.0f, y[3], y[0])));
}

// Tiles are numbered row by row through all images.
struct Grid {
  int64_t count, height, width;
  int64_t cols = (width + kMade - 1) / kMade, each = cols * ((height + kMade - 1) / kMade);
  int64_t tiles() const { return count * each; }
  int64_t image(int64_t tile) const { return tile / each; }
  int64_t top(int64_t tile) const { return tile % each / cols * kMade; }
  int64_t left(int64_t tile) const { return tile % cols * kMade; }
};

// Tile `tile` of an image with so many channels to row `row` of the 36 matrices, which lie `apart`; beyond the image
// everything is 0.
void take(const Grid& grid, const float* in, int64_t channels, int64_t tile, const float* zeros, float* row,
          int64_t apart) {
  const int64_t top = grid.top(tile) - 1, left = grid.left(tile) - 1;
  const float* image = in + grid.image(tile) * grid.height * grid.width * channels;
  const float* from[kPoints];
  for (int64_t i = 0; i < kSeen; ++i) {
    for (int64_t j = 0; j < kSeen; ++j) {
      const int64_t y = top + i, x = left + j;
      const bool inside = y >= 0 && y < grid.height && x >= 0 && x < grid.width;
      from[i * kSeen + j] = inside ? image + (y * grid.width + x) * channels : zeros;
    }
  }
  for (int64_t c = 0; c < channels; c += kWidth) {
    Floats half[kSeen][kSeen];
    for (int j = 0; j < kSeen; ++j) {
      Floats column[kSeen];
      for (int i = 0; i < kSeen; ++i) column[i] = load(from[i * kSeen + j] + c);
      transform_six(column);
      for (int i = 0; i < kSeen; ++i) half[i][j] = column[i];
    }
    for (int i = 0; i < kSeen; ++i) {
      transform_six(half[i]);
      for (int j = 0; j < kSeen; ++j) store(row + (i * kSeen + j) * apart + c, half[i][j]);
    }
  }
}

// Row `row` of the 36 products, which lie `apart`, to the pixels of a tile.
void give(const Grid& grid, const ConvolveArgs& a, int64_t tile, const float* row, int64_t apart) {
  const int64_t top = grid.top(tile), left = grid.left(tile);
  const int64_t rows = min64(kMade, a.height - top), cols = min64(kMade, a.width - left);
  const int64_t corner = ((grid.image(tile) * a.height + top) * a.width + left) * a.outputs;
  for (int64_t c = 0; c < a.outputs; c += kWidth) {
    Floats half[kMade][kSeen];
    for (int j = 0; j < kSeen; ++j) {
      Floats column[kSeen], four[kMade];
      for (int i = 0; i < kSeen; ++i) column[i] = load(row + (i * kSeen + j) * apart + c);
      combine_six(column, four);
      for (int i = 0; i < kMade; ++i) half[i][j] = four[i];
    }
    const Floats bias = load(a.bias + c);
    for (int64_t i = 0; i < rows; ++i) {
      Floats four[kMade];
      combine_six(half[i], four);
      for (int64_t j = 0; j < cols; ++j) {
        const int64_t at = corner + (i * a.width + j) * a.outputs + c;
        Floats value = four[j] + bias;
        if (a.rectify) value = value < 0.0f ? Floats{} : value;
        if (a.add != nullptr) value += load(a.add + at);
        store(a.out + at, value);
      }
    }
  }
}

// The gradient at a tile's pixels to row `row` of the 36 matrices, which lie `apart`.
void take_back(const Grid& grid, const KernelArgs& a, int64_t tile, float* row, int64_t apart) {
  const int64_t top = grid.top(tile), left = grid.left(tile);
  const int64_t rows = min64(kMade, a.height - top), cols = min64(kMade, a.width - left);
  const float* corner = a.gradient + ((grid.image(tile) * a.height + top) * a.width + left) * a.outputs;
  for (int64_t c = 0; c < a.outputs; c += kWidth) {
    Floats half[kSeen][kMade];
    for (int64_t j = 0; j < kMade; ++j) {
      Floats column[kMade], six[kSeen];
      for (int64_t i = 0; i < kMade; ++i) {
        column[i] = i < rows && j < cols ? load(corner + (i * a.width + j) * a.outputs + c) : Floats{};
      }
      spread_four(column, six);
      for (int i = 0; i < kSeen; ++i) half[i][j] = six[i];
    }
    for (int i = 0; i < kSeen; ++i) {
      Floats six[kSeen];
      spread_four(half[i], six);
      for (int j = 0; j < kSeen; ++j) store(row + (i * kSeen + j) * apart + c, six[j]);
    }
  }
}

// Tiles at a time: their matrices and products should stay in the second-level cache, and no thread go idle.
int64_t batch_of(const ConvolveArgs& a, int64_t tiles, int threads) {
  const int64_t room = (448 << 10) / (int64_t{4} * kPoints * (a.inputs + a.outputs));
  const int64_t share = (tiles + threads - 1) / threads;
  return max64(1, min64(max64(2, room / kRows), (share + kRows - 1) / kRows)) * kRows;
}

}  // namespace

void convolve(const ConvolveArgs& a, int threads) {
  const Grid grid{a.count, a.height, a.width};
  const int64_t tiles = grid.tiles(), batch = batch_of(a, tiles, threads), batches = (tiles + batch - 1) / batch;
  if (tiles == 0) return;
  // a cache line more than the matrices take, lest all 36 fall into the same sets of the cache
  const int64_t in_apart = batch * a.inputs + kPanel, out_apart = batch * a.outputs + kPanel;
  const int team = static_cast<int>(min64(threads, batches));
#pragma omp parallel num_threads(team) if (team > 1)
  {
    float* in = thread_scratch(kPoints * (in_apart + out_apart) + a.inputs);
    float *out = in + kPoints * in_apart, *zeros = out + kPoints * out_apart;
    for (int64_t c = 0; c < a.inputs; ++c) zeros[c] = 0.0f;
#pragma omp for schedule(dynamic, 1)
    for (int64_t b = 0; b < batches; ++b) {
      const int64_t first = b * batch, n = min64(batch, tiles - first);
      for (int64_t t = 0; t < n; ++t) take(grid, a.in, a.inputs, first + t, zeros, in + t * a.inputs, in_apart);
      for (int64_t k = 0; k < kPoints; ++k) {
        const float* weights = a.weights + k * a.inputs * a.outputs;
        product(Product{in + k * in_apart, a.inputs, 1, a.inputs, 1, 0, weights, a.outputs, out + k * out_apart,
                        a.outputs},
                n, a.outputs);
      }
      for (int64_t t = 0; t < n; ++t) give(grid, a, first + t, out + t * a.outputs, out_apart);
    }
  }
}

void convolve_backward(const KernelArgs& a, int threads) {
  const Grid grid{a.count, a.height, a.width};
  const int64_t tiles = grid.tiles(), in_apart = tiles * a.inputs, back_apart = tiles * a.outputs;
  float *in = a.workspace, *back = in + kPoints * in_apart, *zeros = back + kPoints * back_apart;
  for (int64_t c = 0; c < a.inputs; ++c) zeros[c] = 0.0f;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 8)
  for (int64_t t = 0; t < tiles; ++t) {
    take(grid, a.in, a.inputs, t, zeros, in + t * a.inputs, in_apart);
    take_back(grid, a, t, back + t * a.outputs, back_apart);
  }
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 1)
  for (int64_t k = 0; k < kPoints; ++k) {
    float* out = a.out + k * a.inputs * a.outputs;
    product(Product{in + k * in_apart, 1, a.inputs, tiles, 1, 0, back + k * back_apart, a.outputs, out, a.outputs},
            a.inputs, a.outputs);
  }
}

}  // namespace gencosmo::GC_ISA
