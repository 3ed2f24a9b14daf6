// Every CPU kernel is compiled once per instruction set, each copy in its own namespace (GC_ISA), and chosen once per
// process. Results do not depend on the choice: all copies run the same IEEE operations.
#pragma once
#include <cstdint>

namespace gencosmo {

// How work is cut up on this machine; changes the time a call takes, never its bits. See gencosmo/ops/_tuning.py.
struct Tuning {
  int64_t piece[2] = {16384, 16384};  // pixels that a CPU thread takes at a time: of tiles, of frames
  int64_t least = 32768;              // fewer pixels than this are left to one thread
  int64_t threads = 256;              // threads per CUDA block, at most 256
};
constexpr int64_t kFramePixels = 1 << 18;  // from here on a call works on a frame
Tuning& tuning();

enum class Isa { base = 0, avx2 = 1, avx512 = 2 };

Isa current_isa();  // best of this machine; environment GENCOSMO_ISA=base|avx2|avx512 lowers it
const char* isa_name();

#if defined(GC_X86_LEVELS)
#define GC_CPU_KERNEL(name, Args)                             \
  namespace base {                                            \
  void name(const Args&, int threads);                        \
  }                                                           \
  namespace avx2 {                                            \
  void name(const Args&, int threads);                        \
  }                                                           \
  namespace avx512 {                                          \
  void name(const Args&, int threads);                        \
  }                                                           \
  static inline void name##_cpu(const Args& a, int threads) { \
    switch (current_isa()) {                                  \
      case Isa::avx512:                                       \
        avx512::name(a, threads);                             \
        break;                                                \
      case Isa::avx2:                                         \
        avx2::name(a, threads);                               \
        break;                                                \
      default:                                                \
        base::name(a, threads);                               \
    }                                                         \
  }
#else
#define GC_CPU_KERNEL(name, Args)      \
  namespace base {                     \
  void name(const Args&, int threads); \
  }                                    \
  static inline void name##_cpu(const Args& a, int threads) { base::name(a, threads); }
#endif

// A CUDA launcher returns null, or what went wrong. It neither allocates nor waits.
#define GC_CUDA_KERNEL(name, Args) const char* name##_cuda(const Args&, int device, void* stream);

}  // namespace gencosmo
