#include "ingest.hpp"

#include <type_traits>

#include "parallel.hpp"

namespace gencosmo::GC_ISA {
namespace {

constexpr int64_t kPiece = 1024;  // values per pass through the first-level cache

GC_HD uint8_t swapped(uint8_t v) { return v; }
GC_HD uint16_t swapped(uint16_t v) { return __builtin_bswap16(v); }
GC_HD uint32_t swapped(uint32_t v) { return __builtin_bswap32(v); }
GC_HD uint64_t swapped(uint64_t v) { return __builtin_bswap64(v); }

template <int bytes>
using Word = std::conditional_t<bytes == 1, uint8_t,
                                std::conditional_t<bytes == 2, uint16_t,
                                                   std::conditional_t<bytes == 4, uint32_t, uint64_t>>>;

// Value i of an array of type T as the file stores it.
template <class T, bool swap>
GC_HD T stored(const void* from, int64_t i) {
  Word<sizeof(T)> word;
  __builtin_memcpy(&word, static_cast<const char*>(from) + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
  if (swap) word = swapped(word);
  T value;
  __builtin_memcpy(&value, &word, sizeof(T));
  return value;
}

// Calls use(type, swap) with the type and byte order of an array.
template <class T, class Use>
void with_order(bool swap, const Use& use) {
  if (swap && sizeof(T) > 1) return use(T{}, std::true_type{});
  use(T{}, std::false_type{});
}
template <class Use>
void with_type(FileType type, bool swap, const Use& use) {
  switch (type) {
    case FileType::u8:
      return with_order<uint8_t>(swap, use);
    case FileType::i8:
      return with_order<int8_t>(swap, use);
    case FileType::i16:
      return with_order<int16_t>(swap, use);
    case FileType::u16:
      return with_order<uint16_t>(swap, use);
    case FileType::i32:
      return with_order<int32_t>(swap, use);
    case FileType::u32:
      return with_order<uint32_t>(swap, use);
    case FileType::i64:
      return with_order<int64_t>(swap, use);
    case FileType::u64:
      return with_order<uint64_t>(swap, use);
    case FileType::f32:
      return with_order<float>(swap, use);
    case FileType::f64:
      return with_order<double>(swap, use);
  }
}

// All bits where true. Masks instead of `? :` on what is stored, because GCC makes branches around stores of the latter.
GC_HD uint32_t ones(bool where) { return 0u - static_cast<uint32_t>(where); }

// float32 without a scale: what double arithmetic would give, to the last bit (-0 becomes 0 there too).
template <bool swap>
void plain_values(const IngestArgs& a, int64_t first, int64_t n) {
  float* out = a.out + first;
  uint32_t* flags = a.flags + first;
  const uint32_t no_data = a.no_data;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float value = stored<float, swap>(a.data, first + i) + 0.0f;
    const uint32_t good = ones(is_finite(value));
    out[i] = float_of(bits_of(value) & good);
    flags[i] = no_data & ~good;
  }
}

// Whether `blank` is a number of type T, and that number.
template <class T>
bool blank_of(const IngestArgs& a, T& blank) {
  if constexpr (std::is_integral_v<T>) {
    blank = static_cast<T>(a.blank);
    const bool sign = std::is_signed_v<T> || (a.blank >= 0);
    return a.has_blank && sign && static_cast<int64_t>(blank) == a.blank;
  }
  return false;
}

template <class T, bool swap, bool has_blank>
void scaled_values(const IngestArgs& a, int64_t first, int64_t n, T blank) {
  float* out = a.out + first;
  uint32_t* flags = a.flags + first;
  const double scale = a.scale, zero = a.zero, wide_blank = static_cast<double>(blank);
  const uint32_t no_data = a.no_data;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T raw = stored<T, swap>(a.data, first + i);
    const double wide = static_cast<double>(raw);
    const float value = static_cast<float>(wide * scale + zero);
    bool good = is_finite(value);
    if (has_blank) good &= sizeof(T) < 8 ? wide != wide_blank : raw != blank;
    out[i] = float_of(bits_of(value) & ones(good));
    flags[i] = no_data & ~ones(good);
  }
}

// float32 inverse variance, or a variance: double would round 1/v to the same float32, because 53 >= 2 * 24 + 2.
template <bool swap, bool inverse>
void plain_noise(const IngestArgs& a, int64_t first, int64_t n) {
  float* ivar = a.ivar + first;
  uint32_t* flags = a.flags + first;
  const uint32_t no_noise = a.no_noise;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const float level = stored<float, swap>(a.noise, first + i);
    const float value = inverse ? level : 1.0f / level;
    const uint32_t good = ones((value > 0.0f) & is_finite(value)), before = flags[i];
    ivar[i] = float_of(bits_of(value) & good & ones(before == 0u));
    flags[i] = before | (no_noise & ~good);
  }
}

template <class T, bool swap>
void any_noise(const IngestArgs& a, int64_t first, int64_t n) {
  float* ivar = a.ivar + first;
  uint32_t* flags = a.flags + first;
  const uint32_t no_noise = a.no_noise;
  const NoiseKind kind = a.noise_kind;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const double level = static_cast<double>(stored<T, swap>(a.noise, first + i));
    const float value = static_cast<float>(ingest_ivar(level, kind));
    const uint32_t good = ones((value > 0.0f) & is_finite(value)), before = flags[i];
    ivar[i] = float_of(bits_of(value) & good & ones(before == 0u));
    flags[i] = before | (no_noise & ~good);
  }
}

void values(const IngestArgs& a, int64_t first, int64_t n) {
  if (a.data_type == FileType::f32 && a.scale == 1.0 && a.zero == 0.0) {
    return a.data_swap ? plain_values<true>(a, first, n) : plain_values<false>(a, first, n);
  }
  with_type(a.data_type, a.data_swap, [&](auto type, auto swap) {
    using T = decltype(type);
    T blank{};
    if (blank_of(a, blank)) return scaled_values<T, decltype(swap)::value, true>(a, first, n, blank);
    scaled_values<T, decltype(swap)::value, false>(a, first, n, blank);
  });
}

void noise(const IngestArgs& a, int64_t first, int64_t n) {
  with_type(a.noise_type, a.noise_swap, [&](auto type, auto swap) {
    constexpr bool swaps = decltype(swap)::value;
    if (std::is_same_v<decltype(type), float> && a.noise_kind == NoiseKind::ivar) {
      plain_noise<swaps, true>(a, first, n);
    } else if (std::is_same_v<decltype(type), float> && a.noise_kind == NoiseKind::variance) {
      plain_noise<swaps, false>(a, first, n);
    } else {
      any_noise<decltype(type), swaps>(a, first, n);
    }
  });
}

void piece(const IngestArgs& a, int64_t first, int64_t n) {
  values(a, first, n);
  if (a.noise_kind != NoiseKind::none) noise(a, first, n);
  if (a.quality == nullptr) return;
  uint32_t* flags = a.flags + first;
  const uint32_t* quality = a.quality + first;
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) flags[i] |= quality[i];
}

// Values before the first whole cache line of `out`: NumPy's arrays begin 16 bytes into one, all alike, and a vector
// that straddles two lines costs twice.
int64_t to_line(const float* out, int64_t n) {
  const uintptr_t inside = reinterpret_cast<uintptr_t>(out) % 64;
  return min64(n, static_cast<int64_t>((64 - inside) % 64 / sizeof(float)));
}

}  // namespace

void ingest(const IngestArgs& a, int threads) {
  const int64_t head = to_line(a.out, a.pixels);
  if (head > 0) piece(a, 0, head);
  for_each_range(a.pixels - head, threads, [&](int64_t begin, int64_t end) {
    for (int64_t first = begin; first < end; first += kPiece) piece(a, head + first, min64(kPiece, end - first));
  });
}

}  // namespace gencosmo::GC_ISA
