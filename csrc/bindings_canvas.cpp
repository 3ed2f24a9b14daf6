// Bindings of the ops on the canvas: noise, step, moments, windows.
#include "bindings.hpp"
#include "blend.hpp"
#include "gather.hpp"
#include "moments.hpp"
#include "normal.hpp"
#include "step.hpp"

namespace gencosmo {
namespace {

void normal_op(py::handle out_, py::handle layout_, py::handle seed_, py::handle step_, py::handle stream_,
               int threads) {
  const char* op = "normal_";
  const TensorArg out(op, "out", out_), layout(op, "layout", layout_), seed(op, "seed", seed_);
  const TensorArg rng_step(op, "rng_step", step_), stream(op, "stream", stream_);
  out.expect(Dtype::f32, {-1});
  seed.expect(Dtype::i64, {layout.dim(0)});
  for (const TensorArg* t : {&layout, &seed, &rng_step, &stream}) t->same_device(out);
  const NormalArgs a{out.data<float>(),
                     checked_layout(layout, out.numel()),
                     seed.data<const int64_t>(),
                     one_number(rng_step),
                     one_number(stream),
                     layout.dim(0),
                     out.numel()};
  run<NormalArgs>(op, out, a, threads, normal_cpu, GC_CUDA_OR_NULL(normal));
}

void step_op(py::handle fields_, py::handle mean_, py::handle var_, py::handle observed_, py::handle clock_,
             py::handle previous_, py::handle layout_, py::handle seed_, py::handle coef_, py::handle index_,
             int threads) {
  const char* op = "step_";
  const TensorArg fields(op, "fields", fields_), mean(op, "mean", mean_), var(op, "var", var_);
  const TensorArg observed(op, "sigma_obs", observed_), clock(op, "clock", clock_), previous(op, "previous", previous_);
  const TensorArg layout(op, "layout", layout_), seed(op, "seed", seed_), coef(op, "coef", coef_),
      index(op, "index", index_);
  fields.expect(Dtype::f32, {kFields, -1});
  const int64_t n = fields.dim(1);
  for (const TensorArg* t : {&mean, &var, &observed, &clock, &previous}) t->expect(Dtype::f32, {n}).same_device(fields);
  for (const TensorArg* t : {&layout, &seed, &coef, &index}) t->same_device(fields);
  const Plane* planes = checked_layout(layout, n);
  seed.expect(Dtype::i64, {layout.dim(0)});
  coef.expect(Dtype::f32, {-1, kCoefColumns});
  if (coef.dim(0) == 0) coef.fail("has no rows");
  const bool single = index.numel() == 1;
  index.expect(Dtype::i64, {single ? 1 : layout.dim(0)});
  float* rows = fields.data<float>();
  const StepArgs a{rows + kZ * n,
                   rows + kSigma * n,
                   mean.data<float>(),
                   var.data<float>(),
                   observed.data<float>(),
                   clock.data<float>(),
                   previous.data<float>(),
                   planes,
                   seed.data<const int64_t>(),
                   coef.data<float>(),
                   index.data<const int64_t>(),
                   layout.dim(0),
                   n,
                   coef.dim(0),
                   single ? 0 : 1};
  for (int64_t p = 0; !index.cuda() && p < index.numel(); ++p) {
    if (a.index[p] < 0 || a.index[p] >= a.steps) {
      index.fail("expected rows 0 to " + std::to_string(a.steps - 1) + ", got " + std::to_string(a.index[p]));
    }
  }
  run<StepArgs>(op, fields, a, threads, step_cpu, GC_CUDA_OR_NULL(step));
}

void moments_op(py::handle count_, py::handle mean_, py::handle m2_, py::handle value_, int threads) {
  const char* op = "moments_";
  const TensorArg count(op, "count", count_), mean(op, "mean", mean_), m2(op, "m2", m2_), value(op, "value", value_);
  count.expect(Dtype::i64, {1});
  mean.expect(Dtype::f32, {-1});
  for (const TensorArg* t : {&m2, &value}) t->expect(Dtype::f32, {mean.dim(0)}).same_device(mean);
  count.same_device(mean);
  const MomentsArgs a{count.data<int64_t>(), mean.data<float>(), m2.data<float>(), value.data<float>(), mean.numel()};
  run<MomentsArgs>(op, mean, a, threads, moments_cpu, GC_CUDA_OR_NULL(moments));
}

void gather_op(py::handle fields_, py::handle layout_, py::handle windows_, py::handle out_, int threads) {
  const char* op = "gather";
  const TensorArg fields(op, "fields", fields_), layout(op, "layout", layout_), windows(op, "windows", windows_),
      out(op, "out", out_);
  fields.expect(Dtype::f32, {kFields, -1});
  for (const TensorArg* t : {&layout, &windows, &out}) t->same_device(fields);
  const Plane* planes = checked_layout(layout, fields.dim(1));
  const Window* w = checked_windows(windows, layout.dim(0));
  out.expect(Dtype::f32, {windows.dim(0), kFields, -1, -1});
  const GatherArgs a{fields.data<float>(), planes,         w,          out.data<float>(), layout.dim(0),
                     fields.dim(1),        windows.dim(0), out.dim(2), out.dim(3)};
  run<GatherArgs>(op, fields, a, threads, gather_cpu, GC_CUDA_OR_NULL(gather));
}

void blend_op(py::handle mean_in_, py::handle var_in_, py::handle windows_, py::handle layout_, int64_t halo,
              int64_t ramp, py::handle mean_, py::handle var_, py::handle weight_, int threads) {
  const char* op = "blend_";
  const TensorArg mean_in(op, "mean_w", mean_in_), var_in(op, "var_w", var_in_), windows(op, "windows", windows_);
  const TensorArg layout(op, "layout", layout_), mean(op, "mean", mean_), var(op, "var", var_),
      weight(op, "weight", weight_);
  mean.expect(Dtype::f32, {-1});
  for (const TensorArg* t : {&var, &weight}) t->expect(Dtype::f32, {mean.dim(0)});
  for (const TensorArg* t : {&mean_in, &var_in, &windows, &layout, &var, &weight}) t->same_device(mean);
  const Plane* planes = checked_layout(layout, mean.dim(0));
  const Window* w = checked_windows(windows, layout.dim(0));
  mean_in.expect(Dtype::f32, {windows.dim(0), 1, -1, -1});
  const int64_t height = mean_in.dim(2), width = mean_in.dim(3);
  var_in.expect(Dtype::f32, {windows.dim(0), 1, height, width});
  const int64_t core = (height < width ? height : width) - 2 * halo;
  if (halo < 0 || ramp < 0 || ramp > halo || core < 2 * ramp) {
    mean_in.fail("of " + std::to_string(height) + " x " + std::to_string(width) + " pixels does not fit halo " +
                 std::to_string(halo) + " and ramp " + std::to_string(ramp) +
                 "; expected 0 <= ramp <= min(halo, core / 2)");
  }
  const BlendArgs a{mean_in.data<float>(),
                    var_in.data<float>(),
                    w,
                    planes,
                    mean.data<float>(),
                    var.data<float>(),
                    weight.data<float>(),
                    layout.dim(0),
                    mean.dim(0),
                    windows.dim(0),
                    height,
                    width,
                    halo,
                    ramp};
  run<BlendArgs>(op, mean, a, threads, blend_cpu, GC_CUDA_OR_NULL(blend));
}

void blend_finish_op(py::handle mean_, py::handle var_, py::handle weight_, int threads) {
  const char* op = "blend_finish_";
  const TensorArg mean(op, "mean", mean_), var(op, "var", var_), weight(op, "weight", weight_);
  mean.expect(Dtype::f32, {-1});
  for (const TensorArg* t : {&var, &weight}) t->expect(Dtype::f32, {mean.dim(0)}).same_device(mean);
  const BlendFinishArgs a{mean.data<float>(), var.data<float>(), weight.data<float>(), mean.dim(0)};
  run<BlendFinishArgs>(op, mean, a, threads, blend_finish_cpu, GC_CUDA_OR_NULL(blend_finish));
}

}  // namespace

void bind_canvas_ops(py::module_& m) {
  m.def("normal", &normal_op);
  m.def("step", &step_op);
  m.def("moments", &moments_op);
  m.def("gather", &gather_op);
  m.def("blend", &blend_op);
  m.def("blend_finish", &blend_finish_op);
}

}  // namespace gencosmo
