// Bindings of the layers of the network on a CPU.
#include "bindings.hpp"
#include "convolve.hpp"
#include "shrink.hpp"

namespace gencosmo {
namespace {

constexpr int64_t kMultiple = 16;

void check_multiple(const TensorArg& t, int64_t channels) {
  if (channels % kMultiple != 0 || channels == 0)
    t.fail("expected a multiple of 16 channels, got " + std::to_string(channels));
}
void check_host(const TensorArg& in, int threads) {
  if (in.cuda()) in.fail("must be on the CPU; a GPU leaves convolutions to torch");
  if (threads < 1) in.fail("needs at least 1 thread");
}

// What layers have in common: an image, weights, a bias, a result, and often something that is added to it.
struct Layer {
  const char* op;
  TensorArg in, weights, bias, out;
  int64_t count, height, width, inputs, outputs;

  Layer(const char* op_, py::handle in_, py::handle weights_, py::handle bias_, py::handle out_)
      : op(op_), in(op, "image", in_), weights(op, "weights", weights_), bias(op, "bias", bias_), out(op, "out", out_) {
    for (const TensorArg* t : {&weights, &bias, &out}) t->same_device(in);
    in.expect(Dtype::f32, {-1, -1, -1, -1});
    bias.expect(Dtype::f32, {-1});
    count = in.dim(0), height = in.dim(1), width = in.dim(2), inputs = in.dim(3), outputs = bias.dim(0);
    check_multiple(in, inputs);
    check_multiple(bias, outputs);
  }
  // `add` may be None.
  const float* optional(py::handle add_) const {
    if (add_.is_none()) return nullptr;
    const TensorArg add(op, "add", add_);
    add.same_device(out);
    add.expect(Dtype::f32, {out.dim(0), out.dim(1), out.dim(2), out.dim(3)});
    return add.data<const float>();
  }
  template <class Args>
  Args args() const {
    Args a{};
    a.in = in.data<const float>(), a.weights = weights.data<const float>(), a.bias = bias.data<const float>();
    a.out = out.data<float>();
    a.count = count, a.height = height, a.width = width, a.inputs = inputs, a.outputs = outputs;
    return a;
  }
};

void convolve_op(py::handle in, py::handle weights, py::handle bias, py::handle add, bool rectify, py::handle out,
                 int threads) {
  const Layer layer("convolve", in, weights, bias, out);
  layer.weights.expect(Dtype::f32, {36, layer.inputs, layer.outputs});
  layer.out.expect(Dtype::f32, {layer.count, layer.height, layer.width, layer.outputs});
  ConvolveArgs a = layer.args<ConvolveArgs>();
  a.add = layer.optional(add), a.rectify = rectify;
  check_host(layer.in, threads);
  const py::gil_scoped_release release;
  convolve_cpu(a, threads);
}

void convolve_backward_op(py::handle in_, py::handle gradient_, py::handle workspace_, py::handle out_,
                              int threads) {
  const char* op = "convolve_backward";
  const TensorArg in(op, "image", in_), gradient(op, "gradient", gradient_), workspace(op, "workspace", workspace_);
  const TensorArg out(op, "out", out_);
  for (const TensorArg* t : {&gradient, &workspace, &out}) t->same_device(in);
  in.expect(Dtype::f32, {-1, -1, -1, -1});
  const int64_t count = in.dim(0), height = in.dim(1), width = in.dim(2), inputs = in.dim(3);
  gradient.expect(Dtype::f32, {count, height, width, -1});
  const int64_t outputs = gradient.dim(3);
  check_multiple(in, inputs);
  check_multiple(gradient, outputs);
  workspace.expect(Dtype::f32, {-1});
  const int64_t tiles = count * ((height + 3) / 4) * ((width + 3) / 4);
  const int64_t needed = 36 * tiles * (inputs + outputs) + inputs;
  if (workspace.dim(0) < needed)
    workspace.fail("expected at least " + std::to_string(needed) + " floats, got " + std::to_string(workspace.dim(0)));
  out.expect(Dtype::f32, {36, inputs, outputs});
  check_host(in, threads);
  const KernelArgs a{in.data<const float>(),
                     gradient.data<const float>(),
                     out.data<float>(),
                     workspace.data<float>(),
                     count,
                     height,
                     width,
                     inputs,
                     outputs};
  const py::gil_scoped_release release;
  convolve_backward_cpu(a, threads);
}

void shrink_op(py::handle in, py::handle weights, py::handle bias, py::handle out, int threads) {
  const Layer layer("shrink", in, weights, bias, out);
  if (layer.height % 2 != 0 || layer.width % 2 != 0) layer.in.fail("expected an even number of rows and columns");
  layer.weights.expect(Dtype::f32, {2, 2, layer.inputs, layer.outputs});
  layer.out.expect(Dtype::f32, {layer.count, layer.height / 2, layer.width / 2, layer.outputs});
  check_host(layer.in, threads);
  const ShrinkArgs a = layer.args<ShrinkArgs>();
  const py::gil_scoped_release release;
  shrink_cpu(a, threads);
}

void grow_op(py::handle in, py::handle weights, py::handle bias, py::handle add, py::handle out, int threads) {
  const Layer layer("grow", in, weights, bias, out);
  layer.weights.expect(Dtype::f32, {2, 2, layer.inputs, layer.outputs});
  layer.out.expect(Dtype::f32, {layer.count, 2 * layer.height, 2 * layer.width, layer.outputs});
  GrowArgs a = layer.args<GrowArgs>();
  a.add = layer.optional(add);
  check_host(layer.in, threads);
  const py::gil_scoped_release release;
  grow_cpu(a, threads);
}

}  // namespace

void bind_layers(py::module_& m) {
  m.def("convolve", &convolve_op);
  m.def("convolve_backward", &convolve_backward_op);
  m.def("shrink", &shrink_op);
  m.def("grow", &grow_op);
}

}  // namespace gencosmo
