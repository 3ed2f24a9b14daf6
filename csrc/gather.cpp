#include "gather.hpp"

namespace gencosmo::GC_ISA {

void gather(const GatherArgs& a, int threads) {
  const int64_t tasks = a.count * kFields;
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(dynamic, 4)
  for (int64_t task = 0; task < tasks; ++task) {
    const Window w = a.windows[task / kFields];
    const int field = static_cast<int>(task % kFields);
    const Plane plane = a.layout[w.plane];
    const float* row = a.fields + field * a.pixels;
    float* out = a.out + task * a.height * a.width;
    const int64_t inner = clamp64(-w.col, 0, a.width);                   // first column inside the plane
    const int64_t outer = clamp64(plane.width - w.col, inner, a.width);  // first column behind it
    for (int64_t i = 0; i < a.height; ++i, out += a.width) {
      const int64_t y = w.row + i;
      int64_t j = 0;
      for (; j < inner; ++j) out[j] = gather_pixel(row, plane, field, y, w.col + j);
      if (y >= 0 && y < plane.height && outer > inner) {
        const float* source = row + plane.offset + y * plane.width + w.col;
        for (; j < outer; ++j) out[j] = source[j];
      }
      for (; j < a.width; ++j) out[j] = gather_pixel(row, plane, field, y, w.col + j);
    }
  }
}

}  // namespace gencosmo::GC_ISA
