// What the binding files share: where a call runs, and checks of layouts and windows. These files, view.hpp and
// nothing else know Python.
#pragma once
#include <stdexcept>

#include "canvas.hpp"
#include "view.hpp"

namespace gencosmo {

template <class Args>
using CpuKernel = void (*)(const Args&, int);
template <class Args>
using CudaKernel = const char* (*)(const Args&, int, void*);

#if defined(GC_CUDA)
#define GC_CUDA_OR_NULL(name) name##_cuda
#else
#define GC_CUDA_OR_NULL(name) nullptr
#endif

// Runs `args` where `lead` lives. In a build with emulated CUDA (.ci/emulate) host tensors go to the CUDA kernels.
template <class Args>
void run(const char* op, const TensorArg& lead, const Args& args, int threads, CpuKernel<Args> cpu,
         CudaKernel<Args> cuda) {
#if defined(GC_EMULATED)
  if (!lead.cuda()) {
    const py::gil_scoped_release release;
    cuda(args, 0, nullptr);
    return;
  }
#endif
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
inline const Plane* checked_layout(const TensorArg& layout, int64_t pixels) {
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
inline const Window* checked_windows(const TensorArg& windows, int64_t planes) {
  windows.expect(Dtype::i64, {-1, 3});
  const Window* w = windows.data<const Window>();
  for (int64_t b = 0; !windows.cuda() && b < windows.dim(0); ++b) {
    if (w[b].plane < 0 || w[b].plane >= planes) {
      windows.fail("row " + std::to_string(b) + " names plane " + std::to_string(w[b].plane) + " of " +
                   std::to_string(planes));
    }
  }
  return w;
}
inline const int64_t* one_number(const TensorArg& t) {
  if (t.ndim() == 0) return t.expect(Dtype::i64, {}).data<const int64_t>();
  return t.expect(Dtype::i64, {1}).data<const int64_t>();
}

void bind_canvas_ops(py::module_& m);
void bind_layers(py::module_& m);
void bind_network_ops(py::module_& m);
void bind_score_ops(py::module_& m);
void bind_ingest(py::module_& m);

}  // namespace gencosmo
