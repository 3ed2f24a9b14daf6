// What bounds the compute-bound kernels: this core's clock and the cycles that a vector division, root, product and
// fma take when nothing else runs, then the cycles that sixty-four normals of csrc/philox_block.hpp take, whole and in
// parts. Built and run by benchmarks/roofline.py.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "philox_block.hpp"

#if !defined(GC_LANES)
int main() { return std::puts("{}") < 0; }
#else
using namespace gencosmo;

constexpr int kRepeats = 4096, kRounds = 300;

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
template <class Body>
double least(const Body& body) {
  double best = 1e9;
  for (int r = 0; r < kRounds; ++r) {
    const double start = now();
    for (int i = 0; i < kRepeats; ++i) body(i);
    best = std::min(best, (now() - start) / kRepeats);
  }
  return best;
}

// Four independent instructions per turn.
#define GC_THROUGHPUT(name, args)                                                                                    \
  least([&](int) {                                                                                                   \
    asm volatile(name " " args ",%0\n\t" name " " args ",%1\n\t" name " " args ",%2\n\t" name " " args ",%3"        \
                 : "=v"(to[0]), "=v"(to[1]), "=v"(to[2]), "=v"(to[3])                                                \
                 : "v"(one));                                                                                        \
  }) / 4

int main() {
  long chain = 1;  // a product of whole numbers takes three cycles and waits for the one before
  const double cycle =
      least([&](int) { asm volatile("imul $3,%0,%0\n\timul $3,%0,%0\n\timul $3,%0,%0\n\timul $3,%0,%0" : "+r"(chain)); }) /
      12;
  const Floats one = Floats{} + 1.7f;
  Floats to[4];
  const double division = GC_THROUGHPUT("vdivps", "%4,%4"), square_root = GC_THROUGHPUT("vsqrtps", "%4");
  const double product = GC_THROUGHPUT("vmulps", "%4,%4"), wide = GC_THROUGHPUT("vpmuludq", "%4,%4");

  const RowKeys keys = row_keys(noise_key(12345, 7, 3, 1), 3);
  alignas(64) static float out[64 * kBlock];
  const double normals = least([&](int i) { normal_block(keys, 16 * i, out + i % 64 * kBlock); });
  const double signs = least([&](int i) { sign_block(keys, 16 * i, out + i % 64 * kBlock); });
  Uints word[4] = {};
  Floats n[4];
  const double philox = least([&](int i) {
    for (int first = 0; first < kGroups; first += kWidth) philox_lanes(keys, 16 * i + first, word);
    asm volatile("" : : "m"(word) : "memory");
  });
  const double gauss = least([&](int) {
    asm volatile("" : "+m"(word) : : "memory");
    for (int first = 0; first < kGroups; first += kWidth) {
      box_muller(word[0], word[1], n[0], n[1]);
      box_muller(word[2], word[3], n[2], n[3]);
      asm volatile("" : : "m"(n) : "memory");
    }
  });
  std::printf(
      "{\"clock_ghz\": %.2f, \"lanes\": %d, \"cycles\": {\"division\": %.2f, \"square_root\": %.2f, \"product\": %.2f, "
      "\"integer_product\": %.2f, \"philox_64\": %.0f, \"box_muller_64\": %.0f, \"signs_64\": %.0f, \"normals_64\": "
      "%.0f}, \"ns_per_normal\": %.3f}\n",
      1e-9 / cycle, kWidth, division / cycle, square_root / cycle, product / cycle, wide / cycle, philox / cycle,
      gauss / cycle, signs / cycle, normals / cycle, 1e9 * normals / 64);
}
#endif
