#include "fft_point.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

template <PointMode mode>
void points(const FftPointArgs& a, int threads) {
  for (int64_t image = 0; image < a.images; ++image) {
    const float *from = a.spectrum + 2 * image * a.points, *transfer = a.transfer + image * a.transfer_stride;
    const float ridge = a.ridge[image * a.ridge_stride];
    float* to = a.out + 2 * image * a.points;
    for_each_range(a.points, threads, [&](int64_t begin, int64_t end) {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; ++i) {
        fft_point_value<mode>(from[2 * i], from[2 * i + 1], transfer[2 * i], transfer[2 * i + 1], ridge, to[2 * i],
                              to[2 * i + 1]);
      }
    });
  }
}

}  // namespace

void fft_point(const FftPointArgs& a, int threads) {
  switch (a.mode) {
    case PointMode::forward:
      return points<PointMode::forward>(a, threads);
    case PointMode::adjoint:
      return points<PointMode::adjoint>(a, threads);
    case PointMode::normal:
      return points<PointMode::normal>(a, threads);
    case PointMode::inverse:
      return points<PointMode::inverse>(a, threads);
    case PointMode::solve:
      return points<PointMode::solve>(a, threads);
  }
}

}  // namespace gencosmo::GC_ISA
