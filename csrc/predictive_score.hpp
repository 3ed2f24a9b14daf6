// predictive_score: observed against predicted; see gencosmo/ops/predictive_score.py for the densities.
#pragma once
#include "elementary.hpp"
#include "isa.hpp"
#include "reduce.hpp"

namespace gencosmo {

enum class Family { gaussian = 0, student_t = 1, poisson_gaussian = 2 };
constexpr int kScoreSums = 3;  // log density, z^2, scored pixels

struct ScoreArgs {
  const float *value, *mean, *var, *ivar;  // (images, height, width)
  float *z, *log_prob;
  double* sums;  // (images, tile rows, tile columns, 3)
  int64_t images, height, width, tile, tile_rows, tile_cols;
  Family family;
  float parameter;  // degrees of freedom, or counts per unit of flux
  float constant;   // what the log density adds to every pixel
};

// log(1 + t) for t >= 0; what rounding took from t is put back.
GC_HD float natural_log1p(float t) {
  const float u = 1.0f + t;
  const float result = natural_log(u) + (t - (u - 1.0f)) / u;
  return is_finite(u) ? result : u;
}

// Returns 1 for a scored pixel and 0 for another.
template <Family family>
GC_HD float score_pixel(float parameter, float constant, float value, float mean, float var, float ivar, float& z,
                        float& log_prob) {
  const bool scored = ivar > 0.0f;
  float v = at_least(var, 0.0f) + 1.0f / (scored ? ivar : 1.0f);
  if (family == Family::poisson_gaussian) v += at_least(mean, 0.0f) / parameter;
  v = at_least(v, 1.17549435e-38f);
  const float standard = (value - mean) / root(v), square = standard * standard;
  float density = constant - 0.5f * natural_log(v);
  if (family == Family::student_t) {
    density -= 0.5f * (parameter + 1.0f) * natural_log1p(square / parameter);
  } else {
    density -= 0.5f * square;
  }
  z = scored ? standard : 0.0f;
  log_prob = scored ? density : 0.0f;
  return scored ? 1.0f : 0.0f;
}

GC_CPU_KERNEL(predictive_score, ScoreArgs)
GC_CUDA_KERNEL(predictive_score, ScoreArgs)

}  // namespace gencosmo
