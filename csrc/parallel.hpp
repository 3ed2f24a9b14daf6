// Loops over rows, ranges and items on a given number of threads. Bits do not depend on the schedule: a row is always
// computed by one thread. How much a thread takes at a time comes from the tuning of this process. Included by the
// .cpp files that are compiled per instruction set, hence no linkage.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"

namespace gencosmo {
namespace {

inline int64_t piece_of(int64_t pixels) { return tuning().piece[pixels < kFramePixels ? 0 : 1]; }
// Threads worth waking for so many pixels.
inline int useful_threads(int64_t pixels, int threads) { return pixels < tuning().least ? 1 : threads; }

// Calls row(plane index, plane, row in the plane) for every row of every plane.
template <class Row>
inline void for_each_row(const Plane* layout, int64_t planes, int threads, const Row& row) {
  int64_t pixels = 0;
  for (int64_t p = 0; p < planes; ++p) pixels += layout[p].height * layout[p].width;
  const int64_t piece = piece_of(pixels);
  const int team = useful_threads(pixels, threads);
#pragma omp parallel num_threads(team) if (team > 1)
  for (int64_t p = 0; p < planes; ++p) {
    const Plane plane = layout[p];
    const int64_t tasks = plane.height * plane.width > 0 ? plane.height : 0;
    const int chunk = static_cast<int>(clamp64(piece / max64(plane.width, 1), 1, 1 << 20));
#pragma omp for schedule(dynamic, chunk) nowait
    for (int64_t i = 0; i < tasks; ++i) row(p, plane, i);
  }
}

// Calls range(begin, end) for pieces of [0, n).
template <class Range>
inline void for_each_range(int64_t n, int threads, const Range& range) {
  const int64_t piece = piece_of(n), pieces = (n + piece - 1) / piece;
  const int team = pieces > 1 ? useful_threads(n, threads) : 1;
#pragma omp parallel for num_threads(team) if (team > 1) schedule(dynamic, 1)
  for (int64_t i = 0; i < pieces; ++i) range(i * piece, min64(n, (i + 1) * piece));
}

// Calls item(i) for i in [0, n), where an item is about `pixels` pixels of work.
template <class Item>
inline void for_each_item(int64_t n, int64_t pixels, int threads, const Item& item) {
  const int64_t all = n * max64(pixels, 1);
  const int team = useful_threads(all, threads);
  const int chunk = static_cast<int>(clamp64(piece_of(all) / max64(pixels, 1), 1, 1 << 20));
#pragma omp parallel for num_threads(team) if (team > 1) schedule(dynamic, chunk)
  for (int64_t i = 0; i < n; ++i) item(i);
}

}  // namespace
}  // namespace gencosmo
