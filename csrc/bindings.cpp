// The Python module gencosmo._core: checks arguments, releases the GIL, chooses CPU or CUDA. One block per op; the
// public functions with their contracts are in gencosmo/ops. With view.hpp the only file that knows Python.
#include "apply_kernels.hpp"
#include "biharmonic_fill.hpp"
#include "blend.hpp"
#include "gather.hpp"
#include "ingest.hpp"
#include "moments.hpp"
#include "normal.hpp"
#include "precondition.hpp"
#include "pyramid_fill.hpp"
#include "step.hpp"
#include "view.hpp"

#include <stdexcept>

namespace gencosmo {
namespace {

template <class Args>
using CpuKernel = void (*)(const Args&, int);
template <class Args>
using CudaKernel = const char* (*)(const Args&, int, void*);

#if defined(GC_CUDA)
#define GC_CUDA_OR_NULL(name) name##_cuda
#else
#define GC_CUDA_OR_NULL(name) nullptr
#endif

// Runs `args` where `lead` lives.
template <class Args>
void run(const char* op, const TensorArg& lead, const Args& args, int threads, CpuKernel<Args> cpu, CudaKernel<Args> cuda) {
  if (!lead.cuda()) {
    if (threads < 1) throw py::value_error(std::string(op) + ": threads must be at least 1");
    const py::gil_scoped_release release;
    cpu(args, threads);
    return;
  }
  if (cuda == nullptr) {
    throw std::runtime_error(std::string("gencosmo.ops.") + op +
                             ": got a CUDA tensor, but this build has CPU code only; reinstall with nvcc on PATH and "
                             "-C cmake.define.GENCOSMO_CUDA=ON, or move the tensors to the CPU");
  }
  void* stream = lead.stream();
  const char* error = nullptr;
  {
    const py::gil_scoped_release release;
    error = cuda(args, lead.device_id(), stream);
  }
  if (error != nullptr) throw std::runtime_error(std::string("gencosmo.ops.") + op + ": CUDA: " + error);
}

// Planes must lie inside the canvas. Only checked where reading the layout costs nothing; on CUDA the Canvas vouches.
const Plane* checked_layout(const TensorArg& layout, int64_t pixels) {
  layout.expect(Dtype::i64, {-1, 6});
  const Plane* planes = layout.data<const Plane>();
  for (int64_t p = 0; !layout.cuda() && p < layout.dim(0); ++p) {
    const Plane& q = planes[p];
    const bool sizes = q.offset >= 0 && q.height >= 0 && q.width >= 0 && q.offset <= pixels;
    if (!sizes || (q.width > 0 && q.height > (pixels - q.offset) / q.width)) {
      layout.fail("row " + std::to_string(p) + " reaches outside the canvas of " + std::to_string(pixels) + " pixels");
    }
  }
  return planes;
}
const Window* checked_windows(const TensorArg& windows, int64_t planes) {
  windows.expect(Dtype::i64, {-1, 3});
  const Window* w = windows.data<const Window>();
  for (int64_t b = 0; !windows.cuda() && b < windows.dim(0); ++b) {
    if (w[b].plane < 0 || w[b].plane >= planes) {
      windows.fail("row " + std::to_string(b) + " names plane " + std::to_string(w[b].plane) + " of " + std::to_string(planes));
    }
  }
  return w;
}
const int64_t* one_number(const TensorArg& t) {
  if (t.ndim() == 0) return t.expect(Dtype::i64, {}).data<const int64_t>();
  return t.expect(Dtype::i64, {1}).data<const int64_t>();
}

void normal_op(py::handle out_, py::handle layout_, py::handle seed_, py::handle step_, py::handle stream_, int threads) {
  const char* op = "normal_";
  const TensorArg out(op, "out", out_), layout(op, "layout", layout_), seed(op, "seed", seed_);
  const TensorArg rng_step(op, "rng_step", step_), stream(op, "stream", stream_);
  out.expect(Dtype::f32, {-1});
  seed.expect(Dtype::i64, {layout.dim(0)});
  for (const TensorArg* t : {&layout, &seed, &rng_step, &stream}) t->same_device(out);
  const NormalArgs a{out.data<float>(), checked_layout(layout, out.numel()), seed.data<const int64_t>(),
                     one_number(rng_step), one_number(stream), layout.dim(0), out.numel()};
  run<NormalArgs>(op, out, a, threads, normal_cpu, GC_CUDA_OR_NULL(normal));
}

void step_op(py::handle fields_, py::handle mean_, py::handle var_, py::handle observed_, py::handle clock_,
             py::handle previous_, py::handle layout_, py::handle seed_, py::handle coef_, py::handle index_, int threads) {
  const char* op = "step_";
  const TensorArg fields(op, "fields", fields_), mean(op, "mean", mean_), var(op, "var", var_);
  const TensorArg observed(op, "sigma_obs", observed_), clock(op, "clock", clock_), previous(op, "previous", previous_);
  const TensorArg layout(op, "layout", layout_), seed(op, "seed", seed_), coef(op, "coef", coef_), index(op, "index", index_);
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
  const StepArgs a{rows + kZ * n, rows + kSigma * n, mean.data<float>(), var.data<float>(), observed.data<float>(),
                   clock.data<float>(), previous.data<float>(), planes, seed.data<const int64_t>(), coef.data<float>(),
                   index.data<const int64_t>(), layout.dim(0), n, coef.dim(0), single ? 0 : 1};
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
  const TensorArg fields(op, "fields", fields_), layout(op, "layout", layout_), windows(op, "windows", windows_), out(op, "out", out_);
  fields.expect(Dtype::f32, {kFields, -1});
  for (const TensorArg* t : {&layout, &windows, &out}) t->same_device(fields);
  const Plane* planes = checked_layout(layout, fields.dim(1));
  const Window* w = checked_windows(windows, layout.dim(0));
  out.expect(Dtype::f32, {windows.dim(0), kFields, -1, -1});
  const GatherArgs a{fields.data<float>(), planes, w, out.data<float>(), layout.dim(0), fields.dim(1),
                     windows.dim(0), out.dim(2), out.dim(3)};
  run<GatherArgs>(op, fields, a, threads, gather_cpu, GC_CUDA_OR_NULL(gather));
}

void blend_op(py::handle mean_in_, py::handle var_in_, py::handle windows_, py::handle layout_, int64_t halo, int64_t ramp,
              py::handle mean_, py::handle var_, py::handle weight_, int threads) {
  const char* op = "blend_";
  const TensorArg mean_in(op, "mean_w", mean_in_), var_in(op, "var_w", var_in_), windows(op, "windows", windows_);
  const TensorArg layout(op, "layout", layout_), mean(op, "mean", mean_), var(op, "var", var_), weight(op, "weight", weight_);
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
                 std::to_string(halo) + " and ramp " + std::to_string(ramp) + "; expected 0 <= ramp <= min(halo, core / 2)");
  }
  const BlendArgs a{mean_in.data<float>(), var_in.data<float>(), w, planes, mean.data<float>(), var.data<float>(),
                    weight.data<float>(), layout.dim(0), mean.dim(0), windows.dim(0), height, width, halo, ramp};
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

// Workspace of the pyramid in floats: one int64 per plane, then three values per node.
int64_t pyramid_workspace_size(const Plane* planes, int64_t count, int64_t& nodes) {
  nodes = 0;
  for (int64_t p = 0; p < count; ++p) nodes += tree_nodes(planes[p]);
  return 2 * count + 3 * nodes;
}
int64_t pyramid_workspace_op(py::handle layout_) {
  const TensorArg layout("pyramid_workspace", "layout", layout_);
  layout.expect(Dtype::i64, {-1, 6});
  if (layout.cuda()) layout.fail("must be on the CPU");
  int64_t nodes = 0;
  return pyramid_workspace_size(layout.data<const Plane>(), layout.dim(0), nodes);
}

void pyramid_fill_op(py::handle fields_, py::handle layout_, py::handle workspace_, double prior_mean, double prior_var, int threads) {
  const char* op = "pyramid_fill_";
  const TensorArg fields(op, "fields", fields_), layout(op, "layout", layout_), workspace(op, "workspace", workspace_);
  fields.expect(Dtype::f32, {kFields, -1});
  const int64_t n = fields.dim(1), count = layout.ndim() == 2 ? layout.dim(0) : 0;
  for (const TensorArg* t : {&layout, &workspace}) t->same_device(fields);
  const Plane* planes = checked_layout(layout, n);
  workspace.expect(Dtype::f32, {-1});
  int64_t nodes = (workspace.dim(0) - 2 * count) / 3;  // on CUDA, where the layout cannot be read, the caller vouches
  if (!layout.cuda()) {
    const int64_t needed = pyramid_workspace_size(planes, count, nodes);
    if (workspace.dim(0) < needed) workspace.fail("expected at least " + std::to_string(needed) + " floats, got " + std::to_string(workspace.dim(0)));
  }
  float *rows = fields.data<float>(), *work = workspace.data<float>();
  if (reinterpret_cast<uintptr_t>(work) % alignof(int64_t) != 0) workspace.fail("must be aligned to 8 bytes");
  float* values = work + 2 * count;
  const PyramidArgs a{rows + kZ * n, rows + kSigma * n, rows + kBase * n, rows + kBaseVar * n, planes,
                      reinterpret_cast<int64_t*>(work), values, values + nodes, values + 2 * nodes, count, n, nodes,
                      static_cast<float>(prior_mean), static_cast<float>(prior_var)};
  run<PyramidArgs>(op, fields, a, threads, pyramid_fill_cpu, GC_CUDA_OR_NULL(pyramid_fill));
}

void biharmonic_fill_op(py::handle fields_, py::handle layout_, py::handle pixels_, py::handle starts_, py::handle planes_,
                        py::handle workspace_, int64_t iterations, double limit, int threads) {
  const char* op = "biharmonic_fill_";
  const TensorArg fields(op, "fields", fields_), layout(op, "layout", layout_), pixels(op, "pixels", pixels_);
  const TensorArg starts(op, "starts", starts_), planes(op, "planes", planes_), workspace(op, "workspace", workspace_);
  fields.expect(Dtype::f32, {kFields, -1});
  for (const TensorArg* t : {&layout, &pixels, &starts, &planes, &workspace}) t->same_device(fields);
  pixels.expect(Dtype::i64, {-1});
  planes.expect(Dtype::i64, {-1});
  starts.expect(Dtype::i64, {planes.dim(0) + 1});
  const int64_t n = fields.dim(1), holes = pixels.dim(0);
  workspace.expect(Dtype::f32, {-1});
  if (workspace.dim(0) < n + 3 * holes) {
    workspace.fail("expected at least " + std::to_string(n + 3 * holes) + " floats, got " + std::to_string(workspace.dim(0)));
  }
  float *rows = fields.data<float>(), *work = workspace.data<float>();
  const BiharmonicArgs a{rows + kBase * n, rows + kBaseVar * n, rows + kSmooth * n, checked_layout(layout, n),
                         pixels.data<const int64_t>(), starts.data<const int64_t>(), planes.data<const int64_t>(), work,
                         work + n, work + n + holes, reinterpret_cast<uint32_t*>(work + n + 2 * holes), layout.dim(0), n,
                         holes, planes.dim(0), iterations, static_cast<float>(limit)};
  for (int64_t m = 0; !fields.cuda() && m < a.components; ++m) {
    const int64_t begin = a.starts[m], end = a.starts[m + 1], p = a.component_plane[m];
    if (begin < 0 || end < begin || end > holes) starts.fail("is not an ascending list of positions in 'pixels'");
    if (p < 0 || p >= a.planes) planes.fail("names plane " + std::to_string(p) + " of " + std::to_string(a.planes));
    const int64_t low = a.layout[p].offset, high = low + a.layout[p].height * a.layout[p].width;
    for (int64_t i = begin; i < end; ++i) {
      if (a.pixels[i] < low || a.pixels[i] >= high) pixels.fail("entry " + std::to_string(i) + " lies outside its plane");
    }
  }
  run<BiharmonicArgs>(op, fields, a, threads, biharmonic_fill_cpu, GC_CUDA_OR_NULL(biharmonic_fill));
}

// Type and strides of a (B, C, H, W) tensor on the network's side, row-major or channels_last.
struct NetworkSide {
  Float type;
  int64_t window_stride, channel_stride, pixel_stride;
};
NetworkSide network_side(const TensorArg& t, int64_t channels) {
  t.expect_shape({-1, channels, -1, -1});
  if (t.dtype() != Dtype::f32 && t.dtype() != Dtype::bf16 && t.dtype() != Dtype::f16) {
    throw py::type_error(t.prefix() + "expected dtype float32, bfloat16 or float16, got " + dtype_name(t.dtype()));
  }
  const Float type = t.dtype() == Dtype::f32 ? Float::f32 : t.dtype() == Dtype::bf16 ? Float::bf16 : Float::f16;
  const int64_t area = t.dim(2) * t.dim(3);
  if (!t.contiguous() && t.channels_last()) return NetworkSide{type, channels * area, 1, channels};
  t.expect_contiguous();
  return NetworkSide{type, channels * area, area, 1};
}

void precondition_op(py::handle win_, py::handle world_, double prior_var, py::handle features_, py::handle local_,
                     py::handle workspace_, int threads) {
  const char* op = "precondition";
  const TensorArg win(op, "win", win_), world(op, "world", world_), features(op, "features", features_);
  const TensorArg local(op, "local", local_), workspace(op, "workspace", workspace_);
  win.expect(Dtype::f32, {-1, kFields, -1, -1});
  const int64_t b = win.dim(0), h = win.dim(2), w = win.dim(3);
  for (const TensorArg* t : {&world, &features, &local, &workspace}) t->same_device(win);
  world.expect(Dtype::f32, {b});
  local.expect(Dtype::f32, {b, kLocals, h, w});
  workspace.expect(Dtype::f32, {b, kScratch, h, w});
  features.expect_shape({b, kFeatures, h, w});
  const NetworkSide side = network_side(features, kFeatures);
  const PreconditionArgs a{win.data<float>(), world.data<float>(), features.data<void>(), local.data<float>(),
                           workspace.data<float>(), b, h, w, side.window_stride, side.channel_stride, side.pixel_stride,
                           static_cast<float>(prior_var), side.type};
  run<PreconditionArgs>(op, win, a, threads, precondition_cpu, GC_CUDA_OR_NULL(precondition));
}

void apply_kernels_op(py::handle raw_, py::handle win_, py::handle local_, py::handle mean_, py::handle var_, int threads) {
  const char* op = "apply_kernels";
  const TensorArg raw(op, "raw", raw_), win(op, "win", win_), local(op, "local", local_), mean(op, "mean", mean_), var(op, "var", var_);
  win.expect(Dtype::f32, {-1, kFields, -1, -1});
  const int64_t b = win.dim(0), h = win.dim(2), w = win.dim(3);
  for (const TensorArg* t : {&raw, &local, &mean, &var}) t->same_device(win);
  local.expect(Dtype::f32, {b, kLocals, h, w});
  for (const TensorArg* t : {&mean, &var}) t->expect(Dtype::f32, {b, 1, h, w});
  raw.expect_shape({b, kRawChannels, h, w});
  const NetworkSide side = network_side(raw, kRawChannels);
  const ApplyArgs a{raw.data<void>(), win.data<float>(), local.data<float>(), mean.data<float>(), var.data<float>(), b, h, w,
                    side.window_stride, side.channel_stride, side.pixel_stride, side.type};
  run<ApplyArgs>(op, win, a, threads, apply_kernels_cpu, GC_CUDA_OR_NULL(apply_kernels));
}

void apply_kernels_backward_op(py::handle raw_, py::handle win_, py::handle local_, py::handle grad_mean_,
                               py::handle grad_var_, py::handle grad_raw_, int threads) {
  const char* op = "apply_kernels_backward";
  const TensorArg raw(op, "raw", raw_), win(op, "win", win_), local(op, "local", local_);
  const TensorArg grad_mean(op, "grad_mean", grad_mean_), grad_var(op, "grad_var", grad_var_), grad_raw(op, "grad_raw", grad_raw_);
  win.expect(Dtype::f32, {-1, kFields, -1, -1});
  const int64_t b = win.dim(0), h = win.dim(2), w = win.dim(3);
  for (const TensorArg* t : {&raw, &local, &grad_mean, &grad_var, &grad_raw}) t->same_device(win);
  local.expect(Dtype::f32, {b, kLocals, h, w});
  for (const TensorArg* t : {&grad_mean, &grad_var}) t->expect(Dtype::f32, {b, 1, h, w});
  for (const TensorArg* t : {&raw, &grad_raw}) t->expect_shape({b, kRawChannels, h, w});
  const NetworkSide side = network_side(raw, kRawChannels), out = network_side(grad_raw, kRawChannels);
  if (out.type != side.type || out.pixel_stride != side.pixel_stride) grad_raw.fail("expected dtype and layout of 'raw'");
  const ApplyBackwardArgs a{{raw.data<void>(), win.data<float>(), local.data<float>(), nullptr, nullptr, b, h, w,
                             side.window_stride, side.channel_stride, side.pixel_stride, side.type},
                            grad_mean.data<float>(), grad_var.data<float>(), grad_raw.data<void>()};
  run<ApplyBackwardArgs>(op, win, a, threads, apply_kernels_backward_cpu, GC_CUDA_OR_NULL(apply_kernels_backward));
}

FileType file_type(const char* name, const py::buffer_info& info) {
  const char kind = info.format.empty() ? '?' : info.format.back();
  const bool sign = std::string("bhilq").find(kind) != std::string::npos;
  const bool whole = sign || std::string("BHILQ").find(kind) != std::string::npos;
  if (whole && info.itemsize == 1) return sign ? FileType::i8 : FileType::u8;
  if (whole && info.itemsize == 2) return sign ? FileType::i16 : FileType::u16;
  if (whole && info.itemsize == 4) return sign ? FileType::i32 : FileType::u32;
  if (whole && info.itemsize == 8) return sign ? FileType::i64 : FileType::u64;
  if (kind == 'f') return FileType::f32;
  if (kind == 'd') return FileType::f64;
  throw py::type_error(std::string("gencosmo.ops.ingest: argument '") + name + "' expected integers, float32 or float64, got format " + info.format);
}
bool other_endian(const py::buffer_info& info) { return !info.format.empty() && (info.format[0] == '>' || info.format[0] == '!'); }

// NumPy arrays (contiguous, of one size; the Python side sees to it) instead of tensors: io needs no torch.
void ingest_op(const py::buffer& data_, double scale, double zero, const py::object& blank, const py::object& noise_,
               int kind, const py::object& quality_, const py::buffer& out_, const py::object& ivar_, const py::buffer& flags_,
               uint32_t no_data, uint32_t no_noise, int threads) {
  const py::buffer_info data = data_.request(), out = out_.request(true), flags = flags_.request(true);
  IngestArgs a{};
  a.data = data.ptr, a.data_type = file_type("data", data), a.data_swap = other_endian(data);
  a.scale = scale, a.zero = zero, a.pixels = data.size, a.no_data = no_data, a.no_noise = no_noise;
  a.has_blank = !blank.is_none() && a.data_type < FileType::f32;
  if (a.has_blank) a.blank = blank.cast<int64_t>();
  a.out = static_cast<float*>(out.ptr), a.flags = static_cast<uint32_t*>(flags.ptr);
  py::buffer_info noise, ivar, quality;
  bool sizes = out.size == data.size && flags.size == data.size;
  if (!noise_.is_none()) {
    noise = noise_.cast<py::buffer>().request(), ivar = ivar_.cast<py::buffer>().request(true);
    a.noise = noise.ptr, a.noise_type = file_type("noise", noise), a.noise_swap = other_endian(noise);
    a.noise_kind = static_cast<NoiseKind>(kind), a.ivar = static_cast<float*>(ivar.ptr);
    sizes = sizes && noise.size == data.size && ivar.size == data.size;
  }
  if (!quality_.is_none()) {
    quality = quality_.cast<py::buffer>().request();
    a.quality = static_cast<const uint32_t*>(quality.ptr);
    sizes = sizes && quality.size == data.size && quality.itemsize == 4;
  }
  if (!sizes) throw py::value_error("gencosmo.ops.ingest: arrays of different sizes");
  if (threads < 1) throw py::value_error("gencosmo.ops.ingest: threads must be at least 1");
  const py::gil_scoped_release release;
  ingest_cpu(a, threads);
}

}  // namespace
}  // namespace gencosmo

PYBIND11_MODULE(_core, m) {
  using namespace gencosmo;
  m.doc() = "Compiled kernels of gencosmo; use gencosmo.ops.";
#if defined(GC_CUDA)
  m.attr("has_cuda") = true;
#else
  m.attr("has_cuda") = false;
#endif
  m.def("isa", &isa_name, "Instruction set in use: base, avx2 or avx512.");
  m.def(
      "force_exchange_tier",
      [](int tier) {
        Exchange::forced_tier() = tier;
        Exchange::forget();
      },
      "For tests: skip the faster ways of reading a tensor before this one (1, 2 or 3).");
  m.def("normal", &normal_op);
  m.def("step", &step_op);
  m.def("moments", &moments_op);
  m.def("gather", &gather_op);
  m.def("blend", &blend_op);
  m.def("blend_finish", &blend_finish_op);
  m.def("pyramid_workspace", &pyramid_workspace_op);
  m.def("pyramid_fill", &pyramid_fill_op);
  m.def("biharmonic_fill", &biharmonic_fill_op);
  m.def("precondition", &precondition_op);
  m.def("apply_kernels", &apply_kernels_op);
  m.def("apply_kernels_backward", &apply_kernels_backward_op);
  m.def("ingest", &ingest_op);
}
