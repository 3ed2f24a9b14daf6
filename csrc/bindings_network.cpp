// Bindings of the ops around the network: the two fills, features, kernel prediction, calibration.
#include "apply_kernels.hpp"
#include "biharmonic_fill.hpp"
#include "bindings.hpp"
#include "calibrate.hpp"
#include "kriging_fill.hpp"
#include "precondition.hpp"
#include "pyramid_fill.hpp"

namespace gencosmo {
namespace {

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

void pyramid_fill_op(py::handle fields_, py::handle layout_, py::handle workspace_, double prior_mean, double prior_var,
                     int threads) {
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
    if (workspace.dim(0) < needed)
      workspace.fail("expected at least " + std::to_string(needed) + " floats, got " +
                     std::to_string(workspace.dim(0)));
  }
  float *rows = fields.data<float>(), *work = workspace.data<float>();
  if (reinterpret_cast<uintptr_t>(work) % alignof(int64_t) != 0) workspace.fail("must be aligned to 8 bytes");
  float* values = work + 2 * count;
  const PyramidArgs a{rows + kZ * n,
                      rows + kSigma * n,
                      rows + kBase * n,
                      rows + kBaseVar * n,
                      planes,
                      reinterpret_cast<int64_t*>(work),
                      values,
                      values + nodes,
                      values + 2 * nodes,
                      count,
                      n,
                      nodes,
                      static_cast<float>(prior_mean),
                      static_cast<float>(prior_var)};
  run<PyramidArgs>(op, fields, a, threads, pyramid_fill_cpu, GC_CUDA_OR_NULL(pyramid_fill));
}

void biharmonic_fill_op(py::handle fields_, py::handle layout_, py::handle pixels_, py::handle starts_,
                        py::handle planes_, py::handle workspace_, int64_t iterations, double limit, int threads) {
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
    workspace.fail("expected at least " + std::to_string(n + 3 * holes) + " floats, got " +
                   std::to_string(workspace.dim(0)));
  }
  float *rows = fields.data<float>(), *work = workspace.data<float>();
  const BiharmonicArgs a{rows + kBase * n,
                         rows + kBaseVar * n,
                         rows + kSmooth * n,
                         checked_layout(layout, n),
                         pixels.data<const int64_t>(),
                         starts.data<const int64_t>(),
                         planes.data<const int64_t>(),
                         work,
                         work + n,
                         work + n + holes,
                         reinterpret_cast<uint32_t*>(work + n + 2 * holes),
                         layout.dim(0),
                         n,
                         holes,
                         planes.dim(0),
                         iterations,
                         static_cast<float>(limit)};
  for (int64_t m = 0; !fields.cuda() && m < a.components; ++m) {
    const int64_t begin = a.starts[m], end = a.starts[m + 1], p = a.component_plane[m];
    if (begin < 0 || end < begin || end > holes) starts.fail("is not an ascending list of positions in 'pixels'");
    if (p < 0 || p >= a.planes) planes.fail("names plane " + std::to_string(p) + " of " + std::to_string(a.planes));
    const int64_t low = a.layout[p].offset, high = low + a.layout[p].height * a.layout[p].width;
    for (int64_t i = begin; i < end; ++i) {
      if (a.pixels[i] < low || a.pixels[i] >= high)
        pixels.fail("entry " + std::to_string(i) + " lies outside its plane");
    }
  }
  run<BiharmonicArgs>(op, fields, a, threads, biharmonic_fill_cpu, GC_CUDA_OR_NULL(biharmonic_fill));
}

// What the kernel takes for granted; on CUDA, where nothing can be read, the caller vouches.
void check_kriging(const KrigingArgs& a, int64_t room, const TensorArg& blocks, const TensorArg& pixels,
                   const TensorArg& cell_of, const TensorArg& cells, const TensorArg& offsets,
                   const TensorArg& workspace) {
  int64_t first = 0;
  for (int64_t p = 0; p <= a.planes; ++p) {
    if (a.blocks[p] != first) blocks.fail("is not the running number of blocks of the planes");
    if (p < a.planes) first += block_rows(a.layout[p]) * block_cols(a.layout[p]);
  }
  if (room < first * 2 * kLags) {
    workspace.fail("expected at least " + std::to_string(first * 2 * kLags + a.count * kTerms) + " floats, got " +
                   std::to_string(workspace.dim(0)));
  }
  for (int64_t k = 0; k < a.reach; ++k) {
    const int64_t down = a.offsets[2 * k], right = a.offsets[2 * k + 1];
    if (down * down + right * right > kNearReach * kNearReach) offsets.fail("reach too far");
  }
  for (int64_t i = 0; i < a.count; ++i) {
    const int64_t p = a.cells[3 * i], row = a.cells[3 * i + 1], col = a.cells[3 * i + 2];
    if (p < 0 || p >= a.planes) cells.fail("names plane " + std::to_string(p) + " of " + std::to_string(a.planes));
    if (row < 0 || row >= block_rows(a.layout[p]) || col < 0 || col >= block_cols(a.layout[p]))
      cells.fail("entry " + std::to_string(i) + " lies outside its plane");
  }
  for (int64_t i = 0; i < a.holes; ++i) {
    if (a.cell_of[i] < 0 || a.cell_of[i] >= a.count) cell_of.fail("entry " + std::to_string(i) + " is no cell");
    const Plane& plane = a.layout[a.cells[3 * a.cell_of[i]]];
    const int64_t at = a.pixels[i] - plane.offset;
    if (at < 0 || at >= plane.height * plane.width) pixels.fail("entry " + std::to_string(i) + " lies outside its plane");
  }
}

void kriging_fill_op(py::handle fields_, py::handle layout_, py::handle blocks_, py::handle pixels_,
                     py::handle cell_of_, py::handle cells_, py::handle offsets_, py::handle shapes_,
                     py::handle weights_, py::handle workspace_, double limit, int threads) {
  const char* op = "kriging_fill_";
  const TensorArg fields(op, "fields", fields_), layout(op, "layout", layout_), blocks(op, "blocks", blocks_);
  const TensorArg pixels(op, "pixels", pixels_), cell_of(op, "cell_of", cell_of_), cells(op, "cells", cells_);
  const TensorArg offsets(op, "offsets", offsets_), shapes(op, "shapes", shapes_);
  const TensorArg weights(op, "weights", weights_), workspace(op, "workspace", workspace_);
  fields.expect(Dtype::f32, {kFields, -1});
  for (const TensorArg* t : {&layout, &blocks, &pixels, &cell_of, &cells, &offsets, &shapes, &weights, &workspace}) {
    t->same_device(fields);
  }
  const int64_t n = fields.dim(1);
  const Plane* planes = checked_layout(layout, n);
  blocks.expect(Dtype::i64, {layout.dim(0) + 1});
  pixels.expect(Dtype::i64, {-1});
  cell_of.expect(Dtype::i64, {pixels.dim(0)});
  cells.expect(Dtype::i64, {-1, 3});
  offsets.expect(Dtype::i32, {-1, 2});
  shapes.expect(Dtype::f32, {kTerms - 1, kTable});
  const bool directed = weights.numel() > 0;  // without weights one metric holds for all pixels
  weights.expect(Dtype::f32, {directed ? kNearSide : 0});
  workspace.expect(Dtype::f32, {-1});
  const int64_t count = cells.dim(0), room = workspace.dim(0) - count * kTerms;
  float *rows = fields.data<float>(), *work = workspace.data<float>();
  const KrigingArgs a{rows + kZ * n,
                      rows + kSigma * n,
                      rows + kBaseVar * n,
                      rows + kBase * n,
                      rows + kSmooth * n,
                      planes,
                      blocks.data<const int64_t>(),
                      pixels.data<const int64_t>(),
                      cell_of.data<const int64_t>(),
                      cells.data<const int64_t>(),
                      offsets.data<const int32_t>(),
                      shapes.data<const float>(),
                      directed ? weights.data<const float>() : nullptr,
                      work + count * kTerms,
                      work,
                      layout.dim(0),
                      pixels.dim(0),
                      count,
                      offsets.dim(0),
                      room / (2 * kLags),
                      static_cast<float>(limit)};
  if (!fields.cuda()) check_kriging(a, room, blocks, pixels, cell_of, cells, offsets, workspace);
  run<KrigingArgs>(op, fields, a, threads, kriging_fill_cpu, GC_CUDA_OR_NULL(kriging_fill));
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
  const PreconditionArgs a{win.data<float>(),
                           world.data<float>(),
                           features.data<void>(),
                           local.data<float>(),
                           workspace.data<float>(),
                           b,
                           h,
                           w,
                           side.window_stride,
                           side.channel_stride,
                           side.pixel_stride,
                           static_cast<float>(prior_var),
                           side.type};
  run<PreconditionArgs>(op, win, a, threads, precondition_cpu, GC_CUDA_OR_NULL(precondition));
}

void apply_kernels_op(py::handle raw_, py::handle win_, py::handle local_, py::handle mean_, py::handle var_,
                      int threads) {
  const char* op = "apply_kernels";
  const TensorArg raw(op, "raw", raw_), win(op, "win", win_), local(op, "local", local_), mean(op, "mean", mean_),
      var(op, "var", var_);
  win.expect(Dtype::f32, {-1, kFields, -1, -1});
  const int64_t b = win.dim(0), h = win.dim(2), w = win.dim(3);
  for (const TensorArg* t : {&raw, &local, &mean, &var}) t->same_device(win);
  local.expect(Dtype::f32, {b, kLocals, h, w});
  for (const TensorArg* t : {&mean, &var}) t->expect(Dtype::f32, {b, 1, h, w});
  raw.expect_shape({b, kRawChannels, h, w});
  const NetworkSide side = network_side(raw, kRawChannels);
  const ApplyArgs a{
      raw.data<void>(),   win.data<float>(),   local.data<float>(), mean.data<float>(), var.data<float>(), b, h, w,
      side.window_stride, side.channel_stride, side.pixel_stride,   side.type};
  run<ApplyArgs>(op, win, a, threads, apply_kernels_cpu, GC_CUDA_OR_NULL(apply_kernels));
}

void apply_kernels_backward_op(py::handle raw_, py::handle win_, py::handle local_, py::handle grad_mean_,
                               py::handle grad_var_, py::handle grad_raw_, int threads) {
  const char* op = "apply_kernels_backward";
  const TensorArg raw(op, "raw", raw_), win(op, "win", win_), local(op, "local", local_);
  const TensorArg grad_mean(op, "grad_mean", grad_mean_), grad_var(op, "grad_var", grad_var_),
      grad_raw(op, "grad_raw", grad_raw_);
  win.expect(Dtype::f32, {-1, kFields, -1, -1});
  const int64_t b = win.dim(0), h = win.dim(2), w = win.dim(3);
  for (const TensorArg* t : {&raw, &local, &grad_mean, &grad_var, &grad_raw}) t->same_device(win);
  local.expect(Dtype::f32, {b, kLocals, h, w});
  for (const TensorArg* t : {&grad_mean, &grad_var}) t->expect(Dtype::f32, {b, 1, h, w});
  for (const TensorArg* t : {&raw, &grad_raw}) t->expect_shape({b, kRawChannels, h, w});
  const NetworkSide side = network_side(raw, kRawChannels), out = network_side(grad_raw, kRawChannels);
  if (out.type != side.type || out.pixel_stride != side.pixel_stride)
    grad_raw.fail("expected dtype and layout of 'raw'");
  const ApplyBackwardArgs a{{raw.data<void>(), win.data<float>(), local.data<float>(), nullptr, nullptr, b, h, w,
                             side.window_stride, side.channel_stride, side.pixel_stride, side.type},
                            grad_mean.data<float>(),
                            grad_var.data<float>(),
                            grad_raw.data<void>()};
  run<ApplyBackwardArgs>(op, win, a, threads, apply_kernels_backward_cpu, GC_CUDA_OR_NULL(apply_kernels_backward));
}

void calibrate_op(py::handle mean_, py::handle var_, py::handle win_, py::handle local_, py::handle levels_,
                  py::handle scales_, py::handle factors_, py::handle shifts_, int threads) {
  const char* op = "calibrate_";
  const TensorArg mean(op, "mean", mean_), var(op, "var", var_), win(op, "win", win_), local(op, "local", local_);
  const TensorArg levels(op, "levels", levels_), scales(op, "scales", scales_), factors(op, "factors", factors_);
  const TensorArg shifts(op, "shifts", shifts_);
  win.expect(Dtype::f32, {-1, kFields, -1, -1});
  for (const TensorArg* t : {&mean, &var, &local, &levels, &scales, &factors, &shifts}) t->same_device(win);
  const int64_t b = win.dim(0), h = win.dim(2), w = win.dim(3);
  for (const TensorArg* t : {&mean, &var}) t->expect(Dtype::f32, {b, 1, h, w});
  local.expect(Dtype::f32, {b, 5, h, w});
  for (const TensorArg* t : {&levels, &scales}) t->expect(Dtype::f32, {-1});
  const int64_t rows = levels.dim(0) + 2, columns = scales.dim(0) + 1;
  if (rows > INT32_MAX / columns) levels.fail("has too many edges");
  for (const TensorArg* t : {&factors, &shifts}) t->expect(Dtype::f32, {rows, columns});
  const CalibrateArgs a{mean.data<float>(),
                        var.data<float>(),
                        win.data<const float>(),
                        local.data<const float>(),
                        levels.data<const float>(),
                        scales.data<const float>(),
                        factors.data<const float>(),
                        shifts.data<const float>(),
                        b,
                        h * w,
                        levels.dim(0),
                        scales.dim(0)};
  run<CalibrateArgs>(op, win, a, threads, calibrate_cpu, GC_CUDA_OR_NULL(calibrate));
}

}  // namespace

void bind_network_ops(py::module_& m) {
  m.def("pyramid_workspace", &pyramid_workspace_op);
  m.def("pyramid_fill", &pyramid_fill_op);
  m.def("biharmonic_fill", &biharmonic_fill_op);
  m.def("kriging_fill", &kriging_fill_op);
  m.def("precondition", &precondition_op);
  m.def("apply_kernels", &apply_kernels_op);
  m.def("apply_kernels_backward", &apply_kernels_backward_op);
  m.def("calibrate", &calibrate_op);
}

}  // namespace gencosmo
