#include "blend.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

void add_row(const BlendArgs& a, const Window& w, const Plane& plane, int64_t b, int64_t i) {
  const float row_weight = blend_weight(i, a.height, a.halo, a.ramp);
  if (row_weight <= 0.0f) return;
  const int64_t first = max64(a.halo - a.ramp, -w.col);
  const int64_t last = min64(a.width - a.halo + a.ramp, plane.width - w.col);
  const int64_t in = (b * a.height + i) * a.width, out = plane.offset + (w.row + i) * plane.width + w.col;
  const float *mean_in = a.mean_in + in, *var_in = a.var_in + in;
  float *mean = a.mean + out, *var = a.var + out, *weight = a.weight + out;
  for (int64_t j = first; j < last; ++j) {
    const float k = row_weight * blend_weight(j, a.width, a.halo, a.ramp);
    mean[j] += k * mean_in[j];
    var[j] += k * var_in[j];
    weight[j] += k;
  }
}

}  // namespace

void blend(const BlendArgs& a, int threads) {
  constexpr int64_t kBand = 8;  // rows of a plane go to threads in bands; every thread keeps the windows' order
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static, 1)
  for (int t = 0; t < threads; ++t) {
    for (int64_t b = 0; b < a.count; ++b) {
      const Window w = a.windows[b];
      const Plane plane = a.layout[w.plane];
      const int64_t first = max64(a.halo - a.ramp, -w.row);
      const int64_t last = min64(a.height - a.halo + a.ramp, plane.height - w.row);
      for (int64_t i = first; i < last; ++i) {
        if ((w.row + i) / kBand % threads == t) add_row(a, w, plane, b, i);
      }
    }
  }
}

void blend_finish(const BlendFinishArgs& a, int threads) {
  for_each_range(a.pixels, threads, [&](int64_t begin, int64_t end) {
    float *mean = a.mean, *var = a.var;
    const float* weight = a.weight;
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const float w = weight[i] > 0.0f ? weight[i] : 1.0f;
      mean[i] = mean[i] / w;
      var[i] = var[i] / w;
    }
  });
}

}  // namespace gencosmo::GC_ISA
