// shrink and grow: 2x2 kernels that halve the resolution on a CPU, and their adjoints that double it; see
// gencosmo/ops/shrink.py. GPUs leave them to cuDNN.
#pragma once
#include "isa.hpp"

namespace gencosmo {

// All images are (count, height, width, channels); channels are multiples of 16.
struct ShrinkArgs {
  const float* in;       // (count, height, width, inputs)
  const float* weights;  // (2, 2, inputs, outputs)
  const float* bias;     // (outputs)
  float* out;            // (count, height / 2, width / 2, outputs)
  int64_t count, height, width, inputs, outputs;
};

struct GrowArgs {
  const float* in;       // (count, height, width, inputs)
  const float* weights;  // (2, 2, inputs, outputs)
  const float* bias;     // (outputs)
  const float* add;      // like `out`, added to it, or null
  float* out;            // (count, 2 height, 2 width, outputs)
  int64_t count, height, width, inputs, outputs;
};

GC_CPU_KERNEL(shrink, ShrinkArgs)
GC_CPU_KERNEL(grow, GrowArgs)

}  // namespace gencosmo
