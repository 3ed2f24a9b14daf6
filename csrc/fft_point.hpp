// fft_point: what happens to a spectrum between two Fourier transforms; see gencosmo/ops/fft_point.py.
#pragma once
#include "host_device.hpp"
#include "isa.hpp"

namespace gencosmo {

enum class PointMode { forward = 0, adjoint = 1, normal = 2, inverse = 3, solve = 4 };

struct FftPointArgs {
  const float *spectrum, *transfer, *ridge;  // complex numbers as pairs; one ridge per image
  float* out;
  int64_t images, points;
  int64_t transfer_stride, ridge_stride;  // 0: one for all images
  PointMode mode;
};

template <PointMode mode>
GC_HD void fft_point_value(float fr, float fi, float hr, float hi, float ridge, float& re, float& im) {
  // Fused by hand: gcc 12 pairs a product's difference and sum into one fmaddsub even with -ffp-contract=off.
  const float power = fused(hr, hr, hi * hi);
  if (mode == PointMode::forward) {
    re = fused(fr, hr, -(fi * hi));
    im = fused(fr, hi, fi * hr);
  } else if (mode == PointMode::normal) {
    re = power * fr;
    im = power * fi;
  } else if (mode == PointMode::inverse) {
    re = fr / (power + ridge);
    im = fi / (power + ridge);
  } else {
    re = fused(fr, hr, fi * hi);
    im = fused(fi, hr, -(fr * hi));
    if (mode == PointMode::solve) {
      re = re / (power + ridge);
      im = im / (power + ridge);
    }
  }
}

GC_CPU_KERNEL(fft_point, FftPointArgs)
GC_CUDA_KERNEL(fft_point, FftPointArgs)

}  // namespace gencosmo
