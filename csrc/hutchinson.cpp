#include "hutchinson.hpp"

#include "parallel.hpp"
#include "philox_block.hpp"

namespace gencosmo::GC_ISA {
namespace {

// A row's terms, column c of the counter grid to lane c % 64.
inline void add_row(const HutchinsonArgs& a, const Plane& plane, const NoiseKey& key, int64_t row, double* lane) {
  const float* product = a.product + plane.offset + row * plane.width;
  const int64_t end = plane.col0 + plane.width;
  const RowKeys keys = row_keys(key, plane.row0 + row);
  float sign[kBlock];
  for (int64_t group = plane.col0 >> 2; 4 * group < end; group += kGroups) {
    sign_block(keys, group, sign);
    const int64_t first = max64(4 * group, plane.col0) - 4 * group, last = min64(4 * group + kBlock, end) - 4 * group;
    const float* here = product + (4 * group - plane.col0);
    if (last - first == kBlock) {
      for (int64_t c = 0; c < kBlock; ++c) lane[c] += static_cast<double>(sign[c] * here[c]);
    } else {
      for (int64_t c = first; c < last; ++c) lane[c] += static_cast<double>(sign[c] * here[c]);
    }
  }
}

}  // namespace

void probe(const ProbeArgs& a, int threads) {
  for_each_row(a.layout, a.planes, threads, [&](int64_t p, const Plane& plane, int64_t row) {
    const RowKeys keys = row_keys(noise_key(a.seed[p], plane.key, a.rng_step[0], kStreamProbe), plane.row0 + row);
    float* out = a.out + plane.offset + row * plane.width;
    const int64_t end = plane.col0 + plane.width;
    float sign[kBlock];
    for (int64_t group = plane.col0 >> 2; 4 * group < end; group += kGroups) {
      const int64_t first = max64(4 * group, plane.col0), last = min64(4 * group + kBlock, end);
      if (last - first == kBlock) {
        sign_block(keys, group, out + (first - plane.col0));
        continue;
      }
      sign_block(keys, group, sign);
      for (int64_t col = first; col < last; ++col) out[col - plane.col0] = sign[col - 4 * group];
    }
  });
}

void hutchinson(const HutchinsonArgs& a, int threads) {
  static_assert(kRowLanes == kBlock);
  const int64_t mean = a.planes > 0 ? a.pixels / a.planes / kChunks + 1 : 1;
  for_each_item(a.planes * kChunks, mean, threads, [&](int64_t item) {
    const Plane plane = a.layout[item / kChunks];
    const NoiseKey key = noise_key(a.seed[item / kChunks], plane.key, a.rng_step[0], kStreamProbe);
    if (plane.width <= 0 || item % kChunks >= plane.height) {
      a.workspace[item] = 0.0;  // low planes leave most chunks empty
      return;
    }
    double lane[kRowLanes] = {};
    for (int64_t row = item % kChunks; row < plane.height; row += kChunks) {
      add_row(a, plane, key, row, lane);
    }
    a.workspace[item] = tree_sum<kRowLanes>(lane);
  });
  for (int64_t p = 0; p < a.planes; ++p) a.trace[p] = tree_sum<kChunks>(a.workspace + p * kChunks);
}

}  // namespace gencosmo::GC_ISA
