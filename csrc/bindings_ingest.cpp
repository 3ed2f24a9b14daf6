// The binding of ingest: NumPy buffers of any FITS type instead of tensors, because reading files needs no torch.
#include "ingest.hpp"

#include "bindings.hpp"

namespace gencosmo {
namespace {

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
  throw py::type_error(std::string("gencosmo.ops.ingest: argument '") + name +
                       "' expected integers, float32 or float64, got format " + info.format);
}
bool other_endian(const py::buffer_info& info) {
  return !info.format.empty() && (info.format[0] == '>' || info.format[0] == '!');
}

// Arrays are contiguous; the Python side sees to it.
void ingest_op(const py::buffer& data_, double scale, double zero, const py::object& blank, const py::object& noise_,
               int kind, const py::object& quality_, const py::buffer& out_, const py::object& ivar_,
               const py::buffer& flags_, uint32_t no_data, uint32_t no_noise, int threads) {
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

void bind_ingest(py::module_& m) { m.def("ingest", &ingest_op); }

}  // namespace gencosmo
