// ingest: the buffer of a file (any FITS type, either byte order) to native float32 data, inverse variance and flags,
// in one pass. CPU only: files arrive on the host.
#pragma once
#include "isa.hpp"
#include "host_device.hpp"

namespace gencosmo {

enum class FileType { u8, i8, i16, u16, i32, u32, i64, u64, f32, f64 };
enum class NoiseKind { none, ivar, variance, stddev };

struct IngestArgs {
  const void* data;
  FileType data_type;
  bool data_swap;  // the file's byte order is not the machine's
  double scale, zero;
  bool has_blank;
  int64_t blank;  // raw integer that means "no value"
  const void* noise;
  FileType noise_type;
  bool noise_swap;
  NoiseKind noise_kind;
  const uint32_t* quality;  // flag bits to start from, or null
  float* out;
  float* ivar;  // null when noise_kind is none
  uint32_t* flags;
  int64_t pixels;
  uint32_t no_data, no_noise;  // flag bits
};

GC_HD double ingest_ivar(double noise, NoiseKind kind) {
  if (kind == NoiseKind::ivar) return noise;
  if (kind == NoiseKind::variance) return 1.0 / noise;
  return noise > 0.0 ? 1.0 / (noise * noise) : -1.0;
}

GC_CPU_KERNEL(ingest, IngestArgs)

}  // namespace gencosmo
