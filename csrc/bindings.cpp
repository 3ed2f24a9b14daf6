// The Python module gencosmo._core. The bindings check arguments, release the GIL and choose CPU or CUDA; the public
// functions with their contracts are in gencosmo/ops.
#include "bindings.hpp"
#include "isa.hpp"

PYBIND11_MODULE(_core, m) {
  using namespace gencosmo;
  m.doc() = "Compiled kernels of gencosmo; use gencosmo.ops.";
#if defined(GC_EMULATED)
  m.attr("has_cuda") = false;
  m.attr("emulated") = true;
#elif defined(GC_CUDA)
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
  m.def(
      "tune",
      [](int64_t tile, int64_t frame, int64_t least, int64_t threads) {
        if (tile < 1 || frame < 1 || least < 0 || threads < 32 || threads > 256 || threads % 32 != 0) {
          throw py::value_error("gencosmo._core.tune: expected pieces of at least 1 pixel, least >= 0, 32 to 256 "
                                "threads in steps of 32; got " + std::to_string(tile) + ", " + std::to_string(frame) +
                                ", " + std::to_string(least) + ", " + std::to_string(threads));
        }
        tuning() = Tuning{{tile, frame}, least, threads};
      },
      "How work is cut up: pixels per piece of tiles and of frames, fewest pixels for many threads, threads per CUDA "
      "block.");
  m.def("tuned", [] {
    const Tuning& t = tuning();
    return py::make_tuple(t.piece[0], t.piece[1], t.least, t.threads);
  });
  bind_canvas_ops(m);
  bind_layers(m);
  bind_network_ops(m);
  bind_score_ops(m);
  bind_ingest(m);
}
