// Every CPU kernel is compiled once per instruction set, each copy in its own namespace (GC_ISA), and chosen once per
// process. Results do not depend on the choice: all copies run the same IEEE operations.
#pragma once

namespace gencosmo {

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
