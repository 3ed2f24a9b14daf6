#include "normal.hpp"

#include "parallel.hpp"
#include "philox_block.hpp"

namespace gencosmo::GC_ISA {

void normal(const NormalArgs& a, int threads) {
  for_each_row(a.layout, a.planes, threads, [&](int64_t p, const Plane& plane, int64_t row) {
    const RowKeys keys = row_keys(noise_key(a.seed[p], plane.key, a.rng_step[0], a.stream[0]), plane.row0 + row);
    float* out = a.out + plane.offset + row * plane.width;
    const int64_t end = plane.col0 + plane.width;
    float noise[kBlock];
    for (int64_t group = plane.col0 >> 2; 4 * group < end; group += kGroups) {
      const int64_t first = max64(4 * group, plane.col0), last = min64(4 * group + kBlock, end);
      if (last - first == kBlock) {
        normal_block(keys, group, out + (first - plane.col0));
        continue;
      }
      normal_block(keys, group, noise);
      for (int64_t col = first; col < last; ++col) out[col - plane.col0] = noise[col - 4 * group];
    }
  });
}

}  // namespace gencosmo::GC_ISA
