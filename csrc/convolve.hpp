// convolve: 3x3 kernels by Winograd's minimal filtering on a CPU, and the way back to the kernels; see
// gencosmo/ops/convolve.py. GPUs leave it to cuDNN.
#pragma once
#include "isa.hpp"

namespace gencosmo {

// All images are (count, height, width, channels); channels are multiples of 16.
struct ConvolveArgs {
  const float* in;       // (count, height, width, inputs)
  const float* weights;  // (36, inputs, outputs), transformed
  const float* bias;     // (outputs)
  const float* add;      // like `out`, added to it, or null
  float* out;            // (count, height, width, outputs)
  int64_t count, height, width, inputs, outputs;
  bool rectify;          // negative results become 0, before anything is added
};

// The way back to the kernels: the gradient of the transformed weights.
struct KernelArgs {
  const float* in;        // (count, height, width, inputs)
  const float* gradient;  // (count, height, width, outputs), by the result
  float* out;             // (36, inputs, outputs)
  float* workspace;       // 36 tiles (inputs + outputs) + inputs
  int64_t count, height, width, inputs, outputs;
};

GC_CPU_KERNEL(convolve, ConvolveArgs)
GC_CPU_KERNEL(convolve_backward, KernelArgs)

// Memory of this thread for `floats` numbers, aligned to 64 bytes; kept until the thread ends.
float* thread_scratch(int64_t floats);

}  // namespace gencosmo
