#include "isa.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace gencosmo {
namespace {

Isa best() {
#if defined(GC_X86_LEVELS)
  __builtin_cpu_init();
  const bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                  __builtin_cpu_supports("avx512cd");
  const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
                  __builtin_cpu_supports("f16c");
  return v4 && v3 ? Isa::avx512 : v3 ? Isa::avx2 : Isa::base;
#else
  return Isa::base;
#endif
}

Isa choose() {
  const char* wanted = std::getenv("GENCOSMO_ISA");
  if (wanted == nullptr || *wanted == '\0') return best();
  const std::string name = wanted;
  const Isa isa = name == "base" ? Isa::base : name == "avx2" ? Isa::avx2 : Isa::avx512;
  if (isa == Isa::avx512 && name != "avx512") {
    throw std::invalid_argument("GENCOSMO_ISA: expected base, avx2 or avx512, got " + name);
  }
  if (static_cast<int>(isa) > static_cast<int>(best())) {
    throw std::invalid_argument("GENCOSMO_ISA: this machine or this build has no " + name);
  }
  return isa;
}

}  // namespace

Tuning& tuning() {
  static Tuning values;
  return values;
}
Isa current_isa() {
  static const Isa isa = choose();
  return isa;
}
const char* isa_name() {
  static const char* const names[] = {"base", "avx2", "avx512"};
  return names[static_cast<int>(current_isa())];
}

}  // namespace gencosmo
