#include "cuda_launch.cuh"
#include "kriging_fill.hpp"

namespace gencosmo {
namespace {

constexpr unsigned kWarp = 32, kWarps = 2, kAll = 0xffffffffu;
static_assert(kNear == kWarp, "a lane for every neighbour");
static_assert(kNearSide <= kWarp, "and for every column of gradients");

// A pixel that may lie outside the plane or not be trusted: then it counts nothing.
struct Seen {
  float value, noise, counts;
};
__device__ Seen seen(const KrigingArgs& a, const Plane& p, int64_t y, int64_t x) {
  if (y >= p.height || x < 0 || x >= p.width) return Seen{0.0f, 0.0f, 0.0f};
  const int64_t at = p.offset + y * p.width + x;
  if (!trusted(a.z[at], a.sigma[at])) return Seen{0.0f, 0.0f, 0.0f};
  return Seen{a.z[at], half_square(a.sigma[at]), 1.0f};
}

// One thread per block of pixels and lag. The sums run in the order of the CPU's eight lanes.
__global__ void __launch_bounds__(kThreads) pairs_kernel(KrigingArgs a) {
  for (int64_t p = blockIdx.y; p < a.planes; p += gridDim.y) {
    const Plane plane = a.layout[p];
    const int64_t cols = block_cols(plane), items = block_rows(plane) * cols * kLags;
    for (int64_t i = first_item(); i < items; i += item_stride()) {
      const int64_t block = i / kLags, top = block / cols * kBlock, left = block % cols * kBlock;
      const int lag = static_cast<int>(i % kLags);
      float square[kBlock] = {}, count[kBlock] = {};
      for (int k = 0; k < kPairs; ++k) {
        const Pair pair = pair_of(k);
        if (pair.lag != lag) continue;
        for (int r = 0; r < kBlock; ++r) {
          for (int c = 0; c < kBlock; ++c) {
            const Seen one = seen(a, plane, top + r, left + c);
            const Seen two = seen(a, plane, top + r + pair.down, left + c + pair.right);
            const float both = one.counts * two.counts;
            square[c] += pair_square(one.value, two.value, one.noise, two.noise, both);
            count[c] += both;
          }
        }
      }
      float* out = a.sums + (a.blocks[p] + block) * (2 * kLags);
      out[lag] = eight(square);
      out[kLags + lag] = eight(count);
    }
  }
}

__global__ void __launch_bounds__(kThreads) law_kernel(KrigingArgs a) {
  for (int64_t cell = first_item(); cell < a.count; cell += item_stride()) {
    if (!fit_law(a, cell, a.law + cell * kTerms)) a.law[cell * kTerms] = -1.0f;
  }
}

struct Shared {
  System system;
  Candidates found;
  Neighbours near;
  float covariance[kTable];
  double lanes[4][kWarp];
};
static_assert(sizeof(Shared) * kWarps <= 48 * 1024, "shared memory of a block");

// The first trusted pixels in the order of the offsets, 32 offsets at a time.
__device__ void find_candidates(const KrigingArgs& a, const Plane& p, int64_t y, int64_t x, unsigned lane,
                                Candidates& candidates) {
  const int wanted = wanted_candidates(a);
  int found = 0;
  for (int64_t k0 = 0; k0 < a.reach && found < wanted; k0 += kWarp) {
    const int64_t k = k0 + lane;
    bool good = k < a.reach;
    const int32_t down = good ? a.offsets[2 * k] : 0, right = good ? a.offsets[2 * k + 1] : 0;
    const int64_t row = y + down, col = x + right;
    good = good && row >= 0 && row < p.height && col >= 0 && col < p.width;
    const int64_t at = p.offset + (good ? row * p.width + col : 0);
    good = good && trusted(a.z[at], a.sigma[at]);
    const unsigned votes = __ballot_sync(kAll, good);
    const int place = found + __popc(votes & ((1u << lane) - 1u));
    if (good && place < wanted) {
      candidates.at[place] = at;
      candidates.down[place] = down;
      candidates.right[place] = right;
    }
    found += __popc(votes);
  }
  if (lane == 0) candidates.count = found < wanted ? found : wanted;
  __syncwarp();
}

__device__ bool trusted_at(const KrigingArgs& a, const Plane& p, int64_t y, int64_t x) {
  if (y < 0 || y >= p.height || x < 0 || x >= p.width) return false;
  const int64_t at = p.offset + y * p.width + x;
  return trusted(a.z[at], a.sigma[at]);
}
// A lane for every column of the gradients around a pixel, then a tree over the lanes.
__device__ Gradients gradients_near(const KrigingArgs& a, const Plane& p, int64_t y, int64_t x, unsigned lane,
                                    double (*lanes)[kWarp]) {
  double sums[4] = {};
  const int64_t col = x + static_cast<int64_t>(lane) - kNearReach;
  for (int i = 0; i < kNearSide && lane < kNearSide; ++i) {
    const int64_t row = y + i - kNearReach;
    if (!trusted_at(a, p, row - 1, col) || !trusted_at(a, p, row + 1, col)) continue;
    if (!trusted_at(a, p, row, col - 1) || !trusted_at(a, p, row, col + 1)) continue;
    const float* at = a.z + p.offset + row * p.width + col;
    const double down = static_cast<double>(at[p.width]) - static_cast<double>(at[-p.width]);
    const double right = static_cast<double>(at[1]) - static_cast<double>(at[-1]);
    const double weight = static_cast<double>(a.weights[i]) * static_cast<double>(a.weights[lane]);
    sums[0] += weight * (down * down);
    sums[1] += weight * (down * right);
    sums[2] += weight * (right * right);
    sums[3] += weight;
  }
  for (int q = 0; q < 4; ++q) lanes[q][lane] = sums[q];
  __syncwarp();
  for (unsigned half = kWarp / 2; half > 0; half /= 2) {
    for (int q = 0; q < 4 && lane < half; ++q) lanes[q][lane] += lanes[q][lane + half];
    __syncwarp();
  }
  return Gradients{lanes[0][0], lanes[1][0], lanes[2][0], lanes[3][0]};
}

__device__ void choose_neighbours(const KrigingArgs& a, const Metric& metric, unsigned lane, Candidates& found,
                                  Neighbours& near) {
  const int n = found.count;
  for (int i = static_cast<int>(lane); i < n; i += kWarp) found.far[i] = squared(metric, found.down[i], found.right[i]);
  __syncwarp();
  for (int i = static_cast<int>(lane); i < n; i += kWarp) take(found, i, a.weights ? rank_of(found, i) : i, near);
  if (lane == 0) near.count = n < kNear ? n : kNear;
  __syncwarp();
}

// The covariances of a neighbour with those nearer than it, and its own place.
__device__ void set_row(const KrigingArgs& a, const Neighbours& near, const Metric& m, const float* table, float own, int i,
                        System& s) {
  const int32_t down = near.down[i], right = near.right[i];
  for (int j = 0; j < i; ++j) {
    s.column[j][i] = covariance_at(table, squared(m, down - near.down[j], right - near.right[j]));
  }
  set_own(a, near, m, table, own, i, s);
}

// One warp per hidden pixel, a lane for every neighbour; each entry sees the same operations in the same order as on
// the CPU.
__global__ void __launch_bounds__(kWarp* kWarps) estimate_kernel(KrigingArgs a) {
  __shared__ Shared all[kWarps];
  const unsigned lane = threadIdx.x % kWarp;
  Shared& shared = all[threadIdx.x / kWarp];
  System& s = shared.system;
  const int64_t warps = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t h = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp; h < a.holes; h += warps) {
    const int64_t cell = a.cell_of[h], at = a.pixels[h];
    const float* law = a.law + cell * kTerms;
    if (!(law[0] >= 0.0f)) continue;  // the same for the whole warp
    const Plane plane = a.layout[a.cells[3 * cell]];
    __syncwarp();
    const int64_t y = (at - plane.offset) / plane.width, x = (at - plane.offset) % plane.width;
    find_candidates(a, plane, y, x, lane, shared.found);
    if (shared.found.count < kLeastNear) continue;
    for (int d = static_cast<int>(lane); d < kTable; d += kWarp) {
      float sum = 0.0f;
      for (int t = 0; t + 1 < kTerms; ++t) sum += law[t] * a.shapes[t * kTable + d];
      shared.covariance[d] = sum;
    }
    Metric metric = plain_metric();
    if (a.weights) metric = metric_of(gradients_near(a, plane, y, x, lane, shared.lanes), law[kTerms - 1]);
    choose_neighbours(a, metric, lane, shared.found, shared.near);
    const int n = shared.near.count, i = static_cast<int>(lane);
    if (i < n) set_row(a, shared.near, metric, shared.covariance, law[kTerms - 1], i, s);
    __syncwarp();
    double ones = 0.0, mean = 0.0;
    bool good = true;
    for (int j = 0; j < n; ++j) {
      const double pivot = s.column[j][j];
      good = pivot > 0.0;
      if (!good) break;
      const double factor = i > j && i < n ? s.column[j][i] / pivot : 0.0;
      if (i > j && i < n) {
        for (int k = j + 1; k <= i; ++k) s.column[k][i] -= factor * s.column[j][k];
        s.value[i] -= factor * s.value[j];
        s.one[i] -= factor * s.one[j];
        s.pull[i] -= factor * s.pull[j];
      }
      ones += s.one[j] * s.one[j] / pivot;
      mean += s.value[j] * s.one[j] / pivot;
      __syncwarp();
    }
    if (good && lane == 0) put(a, at, among_nearest(a, shared.near, ordinary_kriging(s, n, mean, ones)));
    __syncwarp();
  }
}

}  // namespace

const char* kriging_fill_cuda(const KrigingArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  if (a.holes == 0) return nullptr;
  const auto s = static_cast<cudaStream_t>(stream);
  pairs_kernel<<<plane_grid(a.all_blocks * kLags, a.planes), launch_threads(), 0, s>>>(a);
  law_kernel<<<blocks(a.count, 65536), launch_threads(), 0, s>>>(a);
  const auto grid = static_cast<unsigned>(clamp64((a.holes + kWarps - 1) / kWarps, 1, 65535));
  estimate_kernel<<<grid, kWarp * kWarps, 0, s>>>(a);
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
