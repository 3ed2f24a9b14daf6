#include "calibrate.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

constexpr int kPiece = 64;  // pixels whose bins are found together

// Most pixels of an image with holes are exact: pieces of nothing else are passed over.
bool any_inexact(const float* sigma, int64_t n) {
  int32_t found = 0;
  for (int64_t j = 0; j < n; ++j) found |= sigma[j] > 0.0f ? 1 : 0;
  return found != 0;
}

void find_bins(const CalibrateArgs& a, const float* sigma, const float* spread, const float* rough, int64_t n,
               int32_t* bin) {
  const int32_t columns = static_cast<int32_t>(a.scale_edges) + 1;
  for (int64_t j = 0; j < n; ++j) bin[j] = unknown_above(sigma[j]);
  for (int64_t k = 0; k < a.level_edges; ++k) {
    const float edge = a.levels[k];
    for (int64_t j = 0; j < n; ++j) bin[j] += level_above(sigma[j], rough[j], edge);
  }
  for (int64_t j = 0; j < n; ++j) bin[j] *= columns;
  for (int64_t k = 0; k < a.scale_edges; ++k) {
    const float edge = a.scales[k];
    for (int64_t j = 0; j < n; ++j) bin[j] += scale_above(spread[j], edge);
  }
}

void calibrate_piece(const CalibrateArgs& a, int64_t b, int64_t at, int64_t n) {
  const float* sigma = a.win + (b * kFields + kSigma) * a.area + at;
  if (!any_inexact(sigma, n)) return;
  const float *base = sigma + a.area, *base_var = base + a.area, *smooth = base_var + a.area;
  const float *spread = a.local + (b * 5 + 2) * a.area + at, *rough = spread + a.area, *gate = rough + a.area;
  int32_t bin[kPiece];
  float factor[kPiece], shift[kPiece];
  find_bins(a, sigma, spread, rough, n, bin);
  for (int64_t j = 0; j < n; ++j) factor[j] = a.factors[bin[j]];
  for (int64_t j = 0; j < n; ++j) shift[j] = a.shifts[bin[j]];
  float *mean = a.mean + b * a.area + at, *var = a.var + b * a.area + at;
#pragma GCC ivdep
  for (int64_t j = 0; j < n; ++j) {
    const CalibratePixel p{sigma[j], base[j], base_var[j], smooth[j], spread[j], rough[j], gate[j]};
    calibrate_pixel(p, factor[j], shift[j], mean[j], var[j]);
  }
}

}  // namespace

void calibrate(const CalibrateArgs& a, int threads) {
  const int64_t pieces = (a.area + kPiece - 1) / kPiece;
  for_each_item(a.count * pieces, kPiece, threads, [&](int64_t i) {
    const int64_t at = i % pieces * kPiece;
    calibrate_piece(a, i / pieces, at, min64(kPiece, a.area - at));
  });
}

}  // namespace gencosmo::GC_ISA
