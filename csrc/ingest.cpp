#include "ingest.hpp"

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

constexpr int64_t kPiece = 1024;  // values per pass through the first-level cache

GC_HD uint8_t swapped(uint8_t v) { return v; }
GC_HD uint16_t swapped(uint16_t v) { return __builtin_bswap16(v); }
GC_HD uint32_t swapped(uint32_t v) { return __builtin_bswap32(v); }
GC_HD uint64_t swapped(uint64_t v) { return __builtin_bswap64(v); }

// n values of type T, stored as words U, to double.
template <class T, class U>
void load(const void* from, int64_t first, int64_t n, bool swap, double* out) {
  const U* words = static_cast<const U*>(from) + first;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const U word = swap ? swapped(words[i]) : words[i];
    T value;
    __builtin_memcpy(&value, &word, sizeof(T));
    out[i] = static_cast<double>(value);
  }
}

void load_any(FileType type, const void* from, int64_t first, int64_t n, bool swap, double* out) {
  switch (type) {
    case FileType::u8:
      return load<uint8_t, uint8_t>(from, first, n, swap, out);
    case FileType::i8:
      return load<int8_t, uint8_t>(from, first, n, swap, out);
    case FileType::i16:
      return load<int16_t, uint16_t>(from, first, n, swap, out);
    case FileType::u16:
      return load<uint16_t, uint16_t>(from, first, n, swap, out);
    case FileType::i32:
      return load<int32_t, uint32_t>(from, first, n, swap, out);
    case FileType::u32:
      return load<uint32_t, uint32_t>(from, first, n, swap, out);
    case FileType::i64:
      return load<int64_t, uint64_t>(from, first, n, swap, out);
    case FileType::u64:
      return load<uint64_t, uint64_t>(from, first, n, swap, out);
    case FileType::f32:
      return load<float, uint32_t>(from, first, n, swap, out);
    case FileType::f64:
      return load<double, uint64_t>(from, first, n, swap, out);
  }
}

// float32 without a scale: what double arithmetic would give, to the last bit (-0 becomes 0 there too).
void plain_values(const IngestArgs& a, int64_t first, int64_t n) {
  const uint32_t* words = static_cast<const uint32_t*>(a.data) + first;
  float* out = a.out + first;
  uint32_t* flags = a.flags + first;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float value = float_of(a.data_swap ? swapped(words[i]) : words[i]) + 0.0f;
    const bool good = is_finite(value);
    out[i] = good ? value : 0.0f;
    flags[i] = good ? 0u : a.no_data;
  }
}

// float32 inverse variance, or a variance: double would round 1/v to the same float32, because 53 >= 2 * 24 + 2.
void plain_noise(const IngestArgs& a, int64_t first, int64_t n) {
  const uint32_t* words = static_cast<const uint32_t*>(a.noise) + first;
  float* ivar = a.ivar + first;
  uint32_t* flags = a.flags + first;
  const bool inverse = a.noise_kind == NoiseKind::ivar;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float level = float_of(a.noise_swap ? swapped(words[i]) : words[i]);
    const float value = inverse ? level : 1.0f / level;
    const bool good = value > 0.0f && is_finite(value);
    ivar[i] = good && flags[i] == 0u ? value : 0.0f;
    flags[i] |= good ? 0u : a.no_noise;
  }
}

void values(const IngestArgs& a, int64_t first, int64_t n) {
  if (a.data_type == FileType::f32 && a.scale == 1.0 && a.zero == 0.0) return plain_values(a, first, n);
  double raw[kPiece];
  load_any(a.data_type, a.data, first, n, a.data_swap, raw);
  float* out = a.out + first;
  uint32_t* flags = a.flags + first;
  const double blank = static_cast<double>(a.blank);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float value = static_cast<float>(raw[i] * a.scale + a.zero);
    const bool good = is_finite(value) && !(a.has_blank && raw[i] == blank);
    out[i] = good ? value : 0.0f;
    flags[i] = good ? 0u : a.no_data;
  }
}

void noise(const IngestArgs& a, int64_t first, int64_t n) {
  if (a.noise_type == FileType::f32 && a.noise_kind != NoiseKind::stddev) return plain_noise(a, first, n);
  double raw[kPiece];
  load_any(a.noise_type, a.noise, first, n, a.noise_swap, raw);
  float* ivar = a.ivar + first;
  uint32_t* flags = a.flags + first;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float value = static_cast<float>(ingest_ivar(raw[i], a.noise_kind));
    const bool good = value > 0.0f && is_finite(value);
    ivar[i] = good && flags[i] == 0u ? value : 0.0f;
    flags[i] |= good ? 0u : a.no_noise;
  }
}

}  // namespace

void ingest(const IngestArgs& a, int threads) {
  for_each_range(a.pixels, threads, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kPiece) {
      const int64_t n = min64(kPiece, end - first);
      values(a, first, n);
      if (a.noise_kind != NoiseKind::none) noise(a, first, n);
      if (a.quality == nullptr) continue;
      for (int64_t i = first; i < first + n; ++i) a.flags[i] |= a.quality[i];
    }
  });
}

}  // namespace gencosmo::GC_ISA
