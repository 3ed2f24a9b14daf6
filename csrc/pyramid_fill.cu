#include "cuda_launch.cuh"
#include "pyramid_fill.hpp"

namespace gencosmo {
namespace {

// Index of every plane's first node: chunks per thread, then a serial scan of 256 sums.
__global__ void __launch_bounds__(kThreads) first_nodes_kernel(PyramidArgs a) {
  __shared__ int64_t sums[kThreads];
  const int64_t chunk = (a.planes + kThreads - 1) / kThreads;
  const int64_t begin = min64(threadIdx.x * chunk, a.planes), end = min64(begin + chunk, a.planes);
  int64_t sum = 0;
  for (int64_t p = begin; p < end; ++p) sum += tree_nodes(a.layout[p]);
  sums[threadIdx.x] = sum;
  __syncthreads();
  int64_t node = 0;
  for (unsigned t = 0; t < threadIdx.x; ++t) node += sums[t];
  for (int64_t p = begin; p < end; ++p) {
    a.first_node[p] = node;
    node += tree_nodes(a.layout[p]);
  }
}

// Level `depth` of a plane and, in `above`, the two levels over it; false when the plane has no such level.
__device__ bool find_level(const Plane& plane, int depth, Level& level, Level& above, Level& higher) {
  level = Level{plane.height, plane.width, 0};
  if (plane.height * plane.width == 0) return false;
  for (int l = 0; l < depth; ++l) {
    if (is_top(level)) return false;
    level = next_level(level, l == 0);
  }
  above = next_level(level, depth == 0);
  higher = next_level(above, false);
  return true;
}
__device__ Node node_at(const PyramidArgs& a, const Plane& plane, int64_t tree, const Level& l, bool leaf, int64_t y,
                        int64_t x) {
  if (y >= l.height || x >= l.width) return no_node();
  if (leaf) {
    const int64_t i = plane.offset + y * l.width + x;
    return leaf_node(a.z[i], a.sigma[i]);
  }
  const int64_t i = tree + l.first + y * l.width + x;
  return Node{a.mean[i], a.var[i]};
}

__global__ void __launch_bounds__(kThreads) merge_kernel(PyramidArgs a, int depth) {
  for (int64_t p = blockIdx.y; p < a.planes; p += gridDim.y) {
    const Plane plane = a.layout[p];
    Level low, up, higher;
    if (!find_level(plane, depth, low, up, higher) || is_top(low)) continue;
    const int64_t tree = a.first_node[p];
    for (int64_t i = first_item(); i < up.height * up.width; i += item_stride()) {
      const int64_t y = 2 * (i / up.width), x = 2 * (i % up.width);
      const bool leaf = depth == 0;
      const Parent m =
          merge(node_at(a, plane, tree, low, leaf, y, x), node_at(a, plane, tree, low, leaf, y, x + 1),
                node_at(a, plane, tree, low, leaf, y + 1, x), node_at(a, plane, tree, low, leaf, y + 1, x + 1));
      const int64_t out = tree + up.first + i;
      a.mean[out] = m.mean;
      a.var[out] = m.var;
      a.detail[out] = m.detail;
    }
  }
}

__global__ void __launch_bounds__(kThreads) crown_kernel(PyramidArgs a) {
  for (int64_t p = first_item(); p < a.planes; p += item_stride()) {
    const Plane plane = a.layout[p];
    if (plane.height * plane.width == 0) continue;
    Level top{plane.height, plane.width, 0};
    for (int l = 0; !is_top(top); ++l) top = next_level(top, l == 0);
    const bool leaf = plane.height * plane.width == 1;
    const int64_t i = leaf ? plane.offset : a.first_node[p] + top.first;
    const Node own = leaf ? leaf_node(a.z[i], a.sigma[i]) : Node{a.mean[i], a.var[i]};
    const Node crowned = crown(own, a.prior_mean, a.prior_var);
    (leaf ? a.base : a.mean)[i] = crowned.mean;
    (leaf ? a.base_var : a.var)[i] = crowned.var;
  }
}

// The detail variances of the level above `depth` inherit from the level over them.
__global__ void __launch_bounds__(kThreads) inherit_kernel(PyramidArgs a, int depth) {
  for (int64_t p = blockIdx.y; p < a.planes; p += gridDim.y) {
    Level low, up, higher;
    if (!find_level(a.layout[p], depth, low, up, higher) || is_top(low) || is_top(up)) continue;
    const int64_t tree = a.first_node[p];
    for (int64_t i = first_item(); i < up.height * up.width; i += item_stride()) {
      const int64_t above = tree + higher.first + i / up.width / 2 * higher.width + i % up.width / 2;
      float& q = a.detail[tree + up.first + i];
      q = at_least(q, kDetailDecay * a.detail[above]);
    }
  }
}

__global__ void __launch_bounds__(kThreads) smooth_kernel(PyramidArgs a, int depth) {
  for (int64_t p = blockIdx.y; p < a.planes; p += gridDim.y) {
    const Plane plane = a.layout[p];
    Level low, up, higher;
    if (!find_level(plane, depth, low, up, higher) || is_top(low)) continue;
    const int64_t tree = a.first_node[p], parents = tree + up.first;
    const bool leaf = depth == 0;
    for (int64_t i = first_item(); i < low.height * low.width; i += item_stride()) {
      const int64_t y = i / low.width, x = i % low.width;
      const int64_t near = parents + y / 2 * up.width, far = parents + beside(y, up.height) * up.width;
      const int64_t px = x / 2, sx = beside(x, up.width);
      const float mean =
          between(between(a.mean[near + px], a.mean[near + sx]), between(a.mean[far + px], a.mean[far + sx]));
      const float var = between(between(a.var[near + px], a.var[near + sx]), between(a.var[far + px], a.var[far + sx]));
      const Node n = smoothed(node_at(a, plane, tree, low, leaf, y, x), mean, var, a.detail[near + px]);
      const int64_t out = leaf ? plane.offset + i : tree + low.first + i;
      (leaf ? a.base : a.mean)[out] = n.mean;
      (leaf ? a.base_var : a.var)[out] = n.var;
    }
  }
}

}  // namespace

const char* pyramid_fill_cuda(const PyramidArgs& a, int device, void* stream) {
  const DeviceGuard guard(device);
  if (guard.error() != cudaSuccess) return cuda_error(guard.error());
  const auto s = static_cast<cudaStream_t>(stream);
  int depths = 0;  // plane sizes are on the device; no side is longer than all pixels
  while ((int64_t{1} << depths) < a.pixels) ++depths;
  first_nodes_kernel<<<1, kThreads, 0, s>>>(a);
  for (int d = 0; d < depths; ++d) merge_kernel<<<plane_grid(a.pixels >> (2 * d), a.planes), kThreads, 0, s>>>(a, d);
  crown_kernel<<<blocks(a.planes, 1024), kThreads, 0, s>>>(a);
  for (int d = depths - 1; d >= 0; --d) {
    inherit_kernel<<<plane_grid(a.pixels >> (2 * d), a.planes), kThreads, 0, s>>>(a, d);
    smooth_kernel<<<plane_grid(a.pixels >> (2 * d), a.planes), kThreads, 0, s>>>(a, d);
  }
  return cuda_error(cudaGetLastError());
}

}  // namespace gencosmo
