// Bindings of the ops around measurements: scores, probes, binning, spectra.
#include "bin.hpp"
#include "bindings.hpp"
#include "fft_point.hpp"
#include "hutchinson.hpp"
#include "predictive_score.hpp"

namespace gencosmo {
namespace {

void predictive_score_op(py::handle value_, py::handle mean_, py::handle var_, py::handle ivar_, int64_t family,
                         double parameter, double constant, int64_t tile, py::handle z_, py::handle log_prob_,
                         py::handle sums_, int threads) {
  const char* op = "predictive_score";
  const TensorArg value(op, "value", value_), mean(op, "mean", mean_), var(op, "var", var_), ivar(op, "ivar", ivar_);
  const TensorArg z(op, "z", z_), log_prob(op, "log_prob", log_prob_), sums(op, "sums", sums_);
  value.expect(Dtype::f32, {-1, -1, -1});
  const int64_t images = value.dim(0), height = value.dim(1), width = value.dim(2);
  for (const TensorArg* t : {&mean, &var, &ivar, &z, &log_prob}) {
    t->expect(Dtype::f32, {images, height, width}).same_device(value);
  }
  sums.same_device(value);
  if (tile < 1 || tile > 1 << 20) throw py::value_error("gencosmo.ops.predictive_score: argument 'tile' out of range");
  if (family < 0 || family > 2) throw py::value_error("gencosmo.ops.predictive_score: no such family");
  const int64_t tile_rows = (height + tile - 1) / tile, tile_cols = (width + tile - 1) / tile;
  sums.expect(Dtype::f64, {images, tile_rows, tile_cols, kScoreSums});
  const ScoreArgs a{value.data<float>(),
                    mean.data<float>(),
                    var.data<float>(),
                    ivar.data<float>(),
                    z.data<float>(),
                    log_prob.data<float>(),
                    sums.data<double>(),
                    images,
                    height,
                    width,
                    tile,
                    tile_rows,
                    tile_cols,
                    static_cast<Family>(family),
                    static_cast<float>(parameter),
                    static_cast<float>(constant)};
  run<ScoreArgs>(op, value, a, threads, predictive_score_cpu, GC_CUDA_OR_NULL(predictive_score));
}

void probe_op(py::handle out_, py::handle layout_, py::handle seed_, py::handle step_, int threads) {
  const char* op = "probe_";
  const TensorArg out(op, "out", out_), layout(op, "layout", layout_), seed(op, "seed", seed_);
  const TensorArg rng_step(op, "rng_step", step_);
  out.expect(Dtype::f32, {-1});
  for (const TensorArg* t : {&layout, &seed, &rng_step}) t->same_device(out);
  const Plane* planes = checked_layout(layout, out.numel());
  seed.expect(Dtype::i64, {layout.dim(0)});
  const ProbeArgs a{out.data<float>(),    planes,        seed.data<const int64_t>(),
                    one_number(rng_step), layout.dim(0), out.numel()};
  run<ProbeArgs>(op, out, a, threads, probe_cpu, GC_CUDA_OR_NULL(probe));
}

void hutchinson_op(py::handle trace_, py::handle product_, py::handle layout_, py::handle seed_, py::handle step_,
                   py::handle workspace_, int threads) {
  const char* op = "hutchinson_";
  const TensorArg trace(op, "trace", trace_), product(op, "product", product_), layout(op, "layout", layout_);
  const TensorArg seed(op, "seed", seed_), rng_step(op, "rng_step", step_), workspace(op, "workspace", workspace_);
  product.expect(Dtype::f32, {-1});
  for (const TensorArg* t : {&trace, &layout, &seed, &rng_step, &workspace}) t->same_device(product);
  const Plane* planes = checked_layout(layout, product.numel());
  const int64_t count = layout.dim(0);
  trace.expect(Dtype::f64, {count});
  seed.expect(Dtype::i64, {count});
  workspace.expect(Dtype::f64, {count, kChunks});
  const HutchinsonArgs a{trace.data<double>(),
                         product.data<const float>(),
                         planes,
                         seed.data<const int64_t>(),
                         one_number(rng_step),
                         workspace.data<double>(),
                         count,
                         product.numel()};
  run<HutchinsonArgs>(op, product, a, threads, hutchinson_cpu, GC_CUDA_OR_NULL(hutchinson));
}

// `fine` and `coarse` are (B, C, H, W); the first named one is what the caller reads.
BinArgs bin_args(const TensorArg& from, const TensorArg& to, const TensorArg& fine, const TensorArg& coarse,
                 int64_t factor) {
  if (factor < 1 || factor > 1024) coarse.fail("expected a factor from 1 to 1024, got " + std::to_string(factor));
  coarse.expect(Dtype::f32, {-1, -1, -1, -1});
  fine.expect(Dtype::f32, {coarse.dim(0), coarse.dim(1), coarse.dim(2) * factor, coarse.dim(3) * factor});
  to.same_device(from);
  return BinArgs{from.data<float>(), to.data<float>(), coarse.dim(0) * coarse.dim(1), coarse.dim(2), coarse.dim(3),
                 factor};
}
void bin_op(py::handle fine_, int64_t factor, py::handle out_, int threads) {
  const TensorArg fine("bin", "fine", fine_), out("bin", "out", out_);
  const BinArgs a = bin_args(fine, out, fine, out, factor);
  run<BinArgs>("bin", fine, a, threads, bin_cpu, GC_CUDA_OR_NULL(bin));
}
void bin_adjoint_op(py::handle coarse_, int64_t factor, py::handle out_, int threads) {
  const TensorArg coarse("bin_adjoint", "coarse", coarse_), out("bin_adjoint", "out", out_);
  const BinArgs a = bin_args(coarse, out, out, coarse, factor);
  run<BinArgs>("bin_adjoint", coarse, a, threads, bin_adjoint_cpu, GC_CUDA_OR_NULL(bin_adjoint));
}

void fft_point_op(py::handle spectrum_, py::handle transfer_, py::handle ridge_, int64_t mode, py::handle out_,
                  int threads) {
  const char* op = "fft_point";
  const TensorArg spectrum(op, "spectrum", spectrum_), transfer(op, "transfer", transfer_);
  const TensorArg ridge(op, "ridge", ridge_), out(op, "out", out_);
  if (mode < 0 || mode > 4) throw py::value_error("gencosmo.ops.fft_point: no such mode");
  spectrum.expect(Dtype::f32, {-1, -1, -1, 2});
  const int64_t images = spectrum.dim(0), height = spectrum.dim(1), width = spectrum.dim(2);
  for (const TensorArg* t : {&transfer, &ridge, &out}) t->same_device(spectrum);
  out.expect(Dtype::f32, {images, height, width, 2});
  const bool one_transfer = transfer.ndim() > 0 && transfer.dim(0) == 1, one_ridge = ridge.numel() == 1;
  transfer.expect(Dtype::f32, {one_transfer ? 1 : images, height, width, 2});
  ridge.expect(Dtype::f32, {one_ridge ? 1 : images});
  const FftPointArgs a{spectrum.data<float>(),
                       transfer.data<float>(),
                       ridge.data<float>(),
                       out.data<float>(),
                       images,
                       height * width,
                       one_transfer ? 0 : 2 * height * width,
                       one_ridge ? 0 : 1,
                       static_cast<PointMode>(mode)};
  for (const TensorArg* t : {&spectrum, &transfer, &out}) {
    if (reinterpret_cast<uintptr_t>(t->data<float>()) % 8 != 0) t->fail("must be aligned to 8 bytes");
  }
  run<FftPointArgs>(op, spectrum, a, threads, fft_point_cpu, GC_CUDA_OR_NULL(fft_point));
}

}  // namespace

void bind_score_ops(py::module_& m) {
  m.def("predictive_score", &predictive_score_op);
  m.def("probe", &probe_op);
  m.def("hutchinson", &hutchinson_op);
  m.def("bin", &bin_op);
  m.def("bin_adjoint", &bin_adjoint_op);
  m.def("fft_point", &fft_point_op);
}

}  // namespace gencosmo
