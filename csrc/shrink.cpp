#include "shrink.hpp"

#include "matrix.hpp"

namespace gencosmo::GC_ISA {

void shrink(const ShrinkArgs& a, int threads) {
  const int64_t rows = a.height / 2, cols = a.width / 2, line = a.width * a.inputs;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 1)
  for (int64_t y = 0; y < a.count * rows; ++y) {
    // two neighbours of a row lie together; those of the next row are the second part
    product(Product{a.in + 2 * y * line, 2 * a.inputs, 1, 2 * a.inputs, 2, line, a.weights, a.outputs,
                    a.out + y * cols * a.outputs, a.outputs, a.bias},
            cols, a.outputs);
  }
}

void grow(const GrowArgs& a, int threads) {
  const int64_t wide = 2 * a.outputs, matrix = a.inputs * a.outputs;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 1)
  for (int64_t y = 0; y < a.count * a.height * 2; ++y) {
    for (int64_t j = 0; j < 2; ++j) {  // pixels of even and of odd columns
      const int64_t at = y * a.width * wide + j * a.outputs;
      product(Product{a.in + y / 2 * a.width * a.inputs, a.inputs, 1, a.inputs, 1, 0,
                      a.weights + (y % 2 * 2 + j) * matrix, a.outputs, a.out + at, wide, a.bias,
                      a.add == nullptr ? nullptr : a.add + at},
              a.width, a.outputs);
    }
  }
}

}  // namespace gencosmo::GC_ISA
