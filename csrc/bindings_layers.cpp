// Bindings of the layers of the network on a CPU.
#include "bindings.hpp"
#include "convolve.hpp"
#include "shrink.hpp"

namespace gencosmo {
namespace {

constexpr int64_t kMultiple = 16;

void check_host(const TensorArg& in, int threads) {
  if (in.cuda()) in.fail("must be on the CPU; a GPU leaves convolutions to torch");
  if (threads < 1) in.fail("needs at least 1 thread");
}
void check_multiple(const TensorArg& t, int64_t channels) {
  if (channels % kMultiple != 0 || channels == 0)
    t.fail("expected a multiple of 16 channels, got " + std::to_string(channels));
}

// `add` may be None.
const float* optional_image(const char* op, py::handle add_, const TensorArg& out) {
  if (add_.is_none()) return nullptr;
  const TensorArg add(op, "add", add_);
  add.same_device(out);
  add.expect(Dtype::f32, {out.dim(0), out.dim(1), out.dim(2), out.dim(3)});
  return add.data<const float>();
}

void convolve_op(py::handle in_, py::handle weights_, py::handle bias_, py::handle add_, bool rectify, py::handle out_,
                 int threads) {
  const char* op = "convolve";
  const TensorArg in(op, "image", in_), weights(op, "weights", weights_), bias(op, "bias", bias_), out(op, "out", out_);
  for (const TensorArg* t : {&weights, &bias, &out}) t->same_device(in);
  in.expect(Dtype::f32, {-1, -1, -1, -1});
  bias.expect(Dtype::f32, {-1});
  const int64_t count = in.dim(0), height = in.dim(1), width = in.dim(2), inputs = in.dim(3), outputs = bias.dim(0);
  check_multiple(in, inputs);
  check_multiple(bias, outputs);
  weights.expect(Dtype::f32, {36, inputs, outputs});
  out.expect(Dtype::f32, {count, height, width, outputs});
  const float* add = optional_image(op, add_, out);
  check_host(in, threads);
  const ConvolveArgs a{in.data<const float>(),
                       weights.data<const float>(),
                       bias.data<const float>(),
                       add,
                       out.data<float>(),
                       count,
                       height,
                       width,
                       inputs,
                       outputs,
                       rectify};
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

void shrink_op(py::handle in_, py::handle weights_, py::handle bias_, py::handle out_, int threads) {
  const char* op = "shrink";
  const TensorArg in(op, "image", in_), weights(op, "weights", weights_), bias(op, "bias", bias_), out(op, "out", out_);
  for (const TensorArg* t : {&weights, &bias, &out}) t->same_device(in);
  in.expect(Dtype::f32, {-1, -1, -1, -1});
  bias.expect(Dtype::f32, {-1});
  const int64_t count = in.dim(0), height = in.dim(1), width = in.dim(2), inputs = in.dim(3), outputs = bias.dim(0);
  check_multiple(in, inputs);
  check_multiple(bias, outputs);
  if (height % 2 != 0 || width % 2 != 0) in.fail("expected an even number of rows and columns");
  weights.expect(Dtype::f32, {2, 2, inputs, outputs});
  out.expect(Dtype::f32, {count, height / 2, width / 2, outputs});
  check_host(in, threads);
  const ShrinkArgs a{in.data<const float>(),
                       weights.data<const float>(),
                       bias.data<const float>(),
                       out.data<float>(),
                       count,
                       height,
                       width,
                       inputs,
                       outputs};
  const py::gil_scoped_release release;
  shrink_cpu(a, threads);
}

void grow_op(py::handle in_, py::handle weights_, py::handle bias_, py::handle add_, py::handle out_,
                  int threads) {
  const char* op = "grow";
  const TensorArg in(op, "image", in_), weights(op, "weights", weights_), bias(op, "bias", bias_), out(op, "out", out_);
  for (const TensorArg* t : {&weights, &bias, &out}) t->same_device(in);
  in.expect(Dtype::f32, {-1, -1, -1, -1});
  bias.expect(Dtype::f32, {-1});
  const int64_t count = in.dim(0), height = in.dim(1), width = in.dim(2), inputs = in.dim(3), outputs = bias.dim(0);
  check_multiple(in, inputs);
  check_multiple(bias, outputs);
  weights.expect(Dtype::f32, {2, 2, inputs, outputs});
  out.expect(Dtype::f32, {count, 2 * height, 2 * width, outputs});
  const float* add = optional_image(op, add_, out);
  check_host(in, threads);
  const GrowArgs a{in.data<const float>(),
                       weights.data<const float>(),
                       bias.data<const float>(),
                       add,
                       out.data<float>(),
                       count,
                       height,
                       width,
                       inputs,
                       outputs};
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
