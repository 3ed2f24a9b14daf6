#include "pyramid_fill.hpp"

namespace gencosmo::GC_ISA {
namespace {

constexpr int kMaxLevels = 64;
constexpr int64_t kPiece = 64;  // parents merged together

struct Tree {  // one plane's view of the arguments
  const float *z, *sigma;
  float *base, *base_var, *mean, *var, *detail;
};

template <bool Leaf>
GC_HD Node child_at(const Tree& t, int64_t i) {
  if (Leaf) return leaf_node(t.z[i], t.sigma[i]);
  return Node{t.mean[i], t.var[i]};
}

// Row `r` of level `up` from the level `low` below it.
template <bool Leaf>
void merge_row(const Tree& t, const Level& low, const Level& up, int64_t r) {
  const int64_t first = Leaf ? 0 : low.first, top = first + 2 * r * low.width, bottom = top + low.width;
  const bool two = 2 * r + 1 < low.height;
  float *mean = t.mean + up.first + r * up.width, *var = t.var + up.first + r * up.width;
  float* detail = t.detail + up.first + r * up.width;
  const int64_t whole = two ? low.width / 2 : 0;
  const float *value = Leaf ? t.z : t.mean, *spread = Leaf ? t.sigma : t.var;
  for (int64_t start = 0; start < whole; start += kPiece) {
    const int64_t n = min64(kPiece, whole - start);
    float m[4][kPiece], v[4][kPiece];  // the children, apart: a loop over their merging vectorises
    for (int c = 0; c < 4; ++c) {
      const int64_t at = (c < 2 ? top : bottom) + 2 * start + c % 2;
#pragma GCC ivdep
      for (int64_t j = 0; j < n; ++j) {
        const Node child = Leaf ? leaf_node(value[at + 2 * j], spread[at + 2 * j])
                                : Node{value[at + 2 * j], spread[at + 2 * j]};
        m[c][j] = child.mean;
        v[c][j] = child.var;
      }
    }
#pragma GCC ivdep
    for (int64_t j = 0; j < n; ++j) {
      const Parent p = merge(Node{m[0][j], v[0][j]}, Node{m[1][j], v[1][j]}, Node{m[2][j], v[2][j]},
                             Node{m[3][j], v[3][j]});
      mean[start + j] = p.mean;
      var[start + j] = p.var;
      detail[start + j] = p.detail;
    }
  }
  for (int64_t j = whole; j < up.width; ++j) {  // children beyond the edge do not exist
    const bool right = 2 * j + 1 < low.width;
    const Parent p = merge(child_at<Leaf>(t, top + 2 * j), right ? child_at<Leaf>(t, top + 2 * j + 1) : no_node(),
                           two ? child_at<Leaf>(t, bottom + 2 * j) : no_node(),
                           two && right ? child_at<Leaf>(t, bottom + 2 * j + 1) : no_node());
    mean[j] = p.mean;
    var[j] = p.var;
    detail[j] = p.detail;
  }
}

// Row `r` of level `low` from the smoothed level `up` above it.
template <bool Leaf>
void smooth_row(const Tree& t, const Level& low, const Level& up, int64_t r) {
  const int64_t first = (Leaf ? 0 : low.first) + r * low.width;
  const int64_t near = up.first + r / 2 * up.width, far = up.first + beside(r, up.height) * up.width;
  const float *m0 = t.mean + near, *m1 = t.mean + far, *v0 = t.var + near, *v1 = t.var + far, *q = t.detail + near;
  float *mean = Leaf ? t.base + first : t.mean + first, *var = Leaf ? t.base_var + first : t.var + first;
  const auto finish = [&](int64_t j, int64_t p, int64_t s) {
    const Node own = child_at<Leaf>(t, first + j);
    const float pm = between(between(m0[p], m0[s]), between(m1[p], m1[s]));
    const float pv = between(between(v0[p], v0[s]), between(v1[p], v1[s]));
    const Node n = smoothed(own, pm, pv, q[p]);
    mean[j] = n.mean;
    var[j] = n.var;
  };
  if (up.width < 3) {
    for (int64_t j = 0; j < low.width; ++j) finish(j, j / 2, beside(j, up.width));
    return;
  }
  finish(0, 0, 0);
  finish(1, 0, 1);
  const int64_t inner = up.width - 1;
#pragma GCC ivdep
  for (int64_t p = 1; p < inner; ++p) {
    finish(2 * p, p, p - 1);
    finish(2 * p + 1, p, p + 1);
  }
  for (int64_t j = 2 * inner; j < low.width; ++j) finish(j, inner, beside(j, up.width));
}

void inherit_row(const Tree& t, const Level& low, const Level& up, int64_t r) {
  float* q = t.detail + low.first + r * low.width;
  const float* above = t.detail + up.first + r / 2 * up.width;
  for (int64_t j = 0; j < low.width; ++j) q[j] = at_least(q[j], kDetailDecay * above[j / 2]);
}

template <class Row>
void rows(const Level& level, int threads, const Row& row) {
  const bool worth = threads > 1 && level.height * level.width > 8192;
#pragma omp parallel for num_threads(threads) if (worth) schedule(dynamic, 16)
  for (int64_t r = 0; r < level.height; ++r) row(r);
}

void fill_plane(const PyramidArgs& a, int64_t p, int threads) {
  const Plane plane = a.layout[p];
  if (plane.height * plane.width == 0) return;
  const int64_t node = a.first_node[p], at = plane.offset;
  const Tree t{a.z + at, a.sigma + at, a.base + at, a.base_var + at, a.mean + node, a.var + node, a.detail + node};
  Level levels[kMaxLevels];
  levels[0] = Level{plane.height, plane.width, 0};
  int top = 0;
  while (!is_top(levels[top])) {
    const Level low = levels[top], up = next_level(low, top == 0);
    if (top == 0) {
      rows(up, threads, [&](int64_t r) { merge_row<true>(t, low, up, r); });
    } else {
      rows(up, threads, [&](int64_t r) { merge_row<false>(t, low, up, r); });
    }
    levels[++top] = up;
  }
  const int64_t last = levels[top].first;
  const Node crowned =
      crown(top == 0 ? leaf_node(t.z[0], t.sigma[0]) : Node{t.mean[last], t.var[last]}, a.prior_mean, a.prior_var);
  (top == 0 ? t.base : t.mean + last)[0] = crowned.mean;
  (top == 0 ? t.base_var : t.var + last)[0] = crowned.var;
  for (int l = top - 1; l >= 0; --l) {
    const Level low = levels[l], up = levels[l + 1];
    if (l + 1 < top) rows(up, threads, [&](int64_t r) { inherit_row(t, up, levels[l + 2], r); });
    if (l == 0) {
      rows(low, threads, [&](int64_t r) { smooth_row<true>(t, low, up, r); });
    } else {
      rows(low, threads, [&](int64_t r) { smooth_row<false>(t, low, up, r); });
    }
  }
}

}  // namespace

void pyramid_fill(const PyramidArgs& a, int threads) {
  int64_t nodes = 0;
  for (int64_t p = 0; p < a.planes; ++p) {
    a.first_node[p] = nodes;
    nodes += tree_nodes(a.layout[p]);
  }
  const bool many = a.planes >= 4 * threads;  // enough planes to give each thread its own
  const int outer = many ? threads : 1, inner = many ? 1 : threads;
#pragma omp parallel for num_threads(outer) if (outer > 1) schedule(dynamic, 1)
  for (int64_t p = 0; p < a.planes; ++p) fill_plane(a, p, inner);
}

}  // namespace gencosmo::GC_ISA
