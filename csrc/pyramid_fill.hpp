// pyramid_fill_: base value and variance of every pixel by two sweeps of a Kalman smoother on a quadtree; see
// gencosmo/ops/pyramid_fill.py. The workspace holds, for levels 1 and up of all planes, mean, variance and detail
// variance of each node, after one int64 per plane: the index of its first node.
#pragma once
#include "canvas.hpp"
#include "isa.hpp"

namespace gencosmo {

constexpr float kDetailFloor = 0.01f;
constexpr float kDetailDecay = 0.25f;

struct PyramidArgs {
  const float *z, *sigma;
  float *base, *base_var;
  const Plane* layout;
  int64_t* first_node;         // (planes,), in the workspace
  float *mean, *var, *detail;  // (nodes,) each, in the workspace
  int64_t planes, pixels, nodes;
  float prior_mean, prior_var;
};

struct Level {
  int64_t height, width, first;  // `first`: index of its first node in the plane's tree (levels 1 and up)
};
GC_HD int64_t half_up(int64_t n) { return (n + 1) / 2; }
GC_HD Level next_level(const Level& below, bool leaf) {
  return Level{half_up(below.height), half_up(below.width), leaf ? 0 : below.first + below.height * below.width};
}
GC_HD bool is_top(const Level& l) { return l.height <= 1 && l.width <= 1; }
GC_HD int64_t tree_nodes(const Plane& p) {
  if (p.height * p.width == 0) return 0;
  Level level{p.height, p.width, 0};
  int64_t nodes = 0;
  while (!is_top(level)) {
    level = Level{half_up(level.height), half_up(level.width), 0};
    nodes += level.height * level.width;
  }
  return nodes;
}

struct Node {
  float mean, var;
};
struct Parent {
  float mean, var, detail;
};
GC_HD Node leaf_node(float z, float sigma) { return Node{is_inf(sigma) ? 0.0f : z, sigma * sigma}; }
GC_HD Node no_node() { return Node{0.0f, infinity()}; }

// The value where `yes`, else 0: by bits, because compilers make branches of `? :` here, which do not vectorise.
GC_HD float kept(bool yes, float value) { return float_of(bits_of(value) & (0u - static_cast<uint32_t>(yes))); }

// Parent of four children; a child of infinite variance says nothing.
GC_HD Parent merge(Node a, Node b, Node c, Node d) {
  const bool ka = is_finite(a.var), kb = is_finite(b.var), kc = is_finite(c.var), kd = is_finite(d.var);
  const float n = kept(ka, 1.0f) + kept(kb, 1.0f) + kept(kc, 1.0f) + kept(kd, 1.0f), count = at_least(n, 1.0f);
  const float ma = kept(ka, a.mean), mb = kept(kb, b.mean), mc = kept(kc, c.mean), md = kept(kd, d.mean);
  const float mean = (ma + mb + mc + md) / count;
  const float da = kept(ka, ma - mean), db = kept(kb, mb - mean), dc = kept(kc, mc - mean), dd = kept(kd, md - mean);
  const float spread = (da * da + db * db + dc * dc + dd * dd) / at_least(n - 1.0f, 1.0f);
  const float va = kept(ka, a.var), vb = kept(kb, b.var), vc = kept(kc, c.var), vd = kept(kd, d.var);
  const float noise = (va + vb + vc + vd) / count;
  const float detail = kDetailFloor + at_least(spread - 2.0f * noise, 0.0f);
  const float wa = kept(ka, 1.0f / (va + detail)), wb = kept(kb, 1.0f / (vb + detail));
  const float wc = kept(kc, 1.0f / (vc + detail)), wd = kept(kd, 1.0f / (vd + detail));
  const float total = wa + wb + wc + wd;
  const bool some = n > 0.0f;
  const float precise = 1.0f / total;
  return Parent{kept(some, (wa * ma + wb * mb + wc * mc + wd * md) / total), some ? precise : infinity(), detail};
}

// The top of the tree meets the prior.
GC_HD Node crown(Node top, float prior_mean, float prior_var) {
  const float var = 1.0f / (1.0f / top.var + 1.0f / prior_var);
  if (top.var == 0.0f) return Node{top.mean, var};
  if (is_inf(top.var)) return Node{prior_mean, var};
  return Node{var * (top.mean / top.var + prior_mean / prior_var), var};
}

// Smoothed child from its own node, its interpolated smoothed parent and the detail variance between them.
GC_HD Node smoothed(Node own, float parent_mean, float parent_var, float detail) {
  const float gain = 1.0f / (1.0f + detail / own.var);
  return Node{(1.0f - gain) * own.mean + gain * parent_mean, detail * gain + gain * gain * parent_var};
}
// Bilinear interpolation at a child: three quarters of its parent, one quarter of the parent's neighbour, per axis.
GC_HD float between(float near, float beside) { return 0.75f * near + 0.25f * beside; }
GC_HD int64_t beside(int64_t child, int64_t parents) {
  const int64_t p = child / 2;
  return (child & 1) != 0 ? min64(p + 1, parents - 1) : max64(p - 1, 0);
}

GC_CPU_KERNEL(pyramid_fill, PyramidArgs)
GC_CUDA_KERNEL(pyramid_fill, PyramidArgs)

}  // namespace gencosmo
