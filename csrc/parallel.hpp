// Loops over the rows of all planes on a given number of threads. Bits do not depend on the schedule: a row is always
// computed by one thread. Included by the .cpp files that are compiled per instruction set, hence no linkage.
#pragma once
#include "canvas.hpp"

namespace gencosmo {
namespace {

// Calls row(plane index, plane, row in the plane) for every row of every plane.
template <class Row>
inline void for_each_row(const Plane* layout, int64_t planes, int threads, const Row& row) {
#pragma omp parallel num_threads(threads) if (threads > 1)
  for (int64_t p = 0; p < planes; ++p) {
    const Plane plane = layout[p];
    const int64_t tasks = plane.height * plane.width > 0 ? plane.height : 0;
    const int chunk = static_cast<int>(clamp64(16384 / max64(plane.width, 1), 1, 256));
#pragma omp for schedule(dynamic, chunk) nowait
    for (int64_t i = 0; i < tasks; ++i) row(p, plane, i);
  }
}

// Calls range(begin, end) for pieces of [0, n).
template <class Range>
inline void for_each_range(int64_t n, int threads, const Range& range) {
  constexpr int64_t kPiece = 16384;
  const int64_t pieces = (n + kPiece - 1) / kPiece;
#pragma omp parallel for num_threads(threads) if (threads > 1 && pieces > 1) schedule(dynamic, 1)
  for (int64_t i = 0; i < pieces; ++i) range(i * kPiece, min64(n, (i + 1) * kPiece));
}

}  // namespace
}  // namespace gencosmo
