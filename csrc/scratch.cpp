#include <cstdlib>
#include <new>

#include "convolve.hpp"

namespace gencosmo {
namespace {

class Scratch {
 public:
  Scratch() = default;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() { std::free(memory_); }
  float* of(int64_t floats) {
    if (floats > size_) {
      std::free(memory_);
      const size_t bytes = (static_cast<size_t>(floats) * sizeof(float) + 63) / 64 * 64;
      memory_ = static_cast<float*>(std::aligned_alloc(64, bytes));
      size_ = memory_ == nullptr ? 0 : floats;
      if (memory_ == nullptr) throw std::bad_alloc();
    }
    return memory_;
  }

 private:
  float* memory_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace

float* thread_scratch(int64_t floats) {
  thread_local Scratch scratch;
  return scratch.of(floats);
}

}  // namespace gencosmo
