// A borrowed tensor argument: pointer, shape, dtype and device of a torch tensor, without torch headers.
// Three ways in, tried in this order (the choice per Python type is cached):
//   1  __dlpack_c_exchange_api__ as a capsule (DLPack 1.3; torch >= 2.10): about 0.1 us
//   2  __c_dlpack_exchange_api__, the attribute's first name, an integer or a capsule
//   3  the Python attributes data_ptr, shape, stride, dtype, device: about 2 us, works with any torch
// Only the binding files include this one.
#pragma once
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "dlpack_abi.hpp"

namespace gencosmo {
namespace py = pybind11;

enum class Dtype { f32, f16, bf16, i64, i32, u8, f64, other };

inline const char* dtype_name(Dtype d) {
  static const char* const names[] = {
      "float32", "float16", "bfloat16", "int64", "int32", "uint8", "float64", "an unsupported dtype"};
  return names[static_cast<int>(d)];
}

inline uintptr_t item_bytes(Dtype d) {
  static const uintptr_t sizes[] = {4, 2, 2, 8, 4, 1, 8, 1};
  return sizes[static_cast<int>(d)];
}

// Finds the exchange table of a tensor type. `forced_tier` (tests only) hides the tiers before it.
class Exchange {
 public:
  static int& forced_tier() {
    static int tier = 1;
    return tier;
  }
  static void forget() { cached_type() = nullptr; }
  static const dlpack::ExchangeApi* of(PyObject* object) {
    PyTypeObject* type = Py_TYPE(object);
    if (type != cached_type()) {  // guarded by the GIL
      cached_api() = find(type);
      cached_type() = type;
    }
    return cached_api();
  }

 private:
  static PyTypeObject*& cached_type() {
    static PyTypeObject* type = nullptr;
    return type;
  }
  static const dlpack::ExchangeApi*& cached_api() {
    static const dlpack::ExchangeApi* api = nullptr;
    return api;
  }
  static const dlpack::ExchangeApi* find(PyTypeObject* type) {
    static const char* const attributes[] = {"__dlpack_c_exchange_api__", "__c_dlpack_exchange_api__"};
    for (int tier = forced_tier(); tier <= 2; ++tier) {
      PyObject* found = PyObject_GetAttrString(reinterpret_cast<PyObject*>(type), attributes[tier - 1]);
      if (found == nullptr) {
        PyErr_Clear();
        continue;
      }
      const auto* api = usable(py::reinterpret_steal<py::object>(found));
      if (api != nullptr) return api;
    }
    return nullptr;
  }
  static const dlpack::ExchangeApi* usable(const py::object& found) {
    const void* address = nullptr;
    if (PyCapsule_CheckExact(found.ptr()) != 0) {
      address = PyCapsule_GetPointer(found.ptr(), PyCapsule_GetName(found.ptr()));
    } else if (PyLong_Check(found.ptr()) != 0) {
      address = PyLong_AsVoidPtr(found.ptr());
    }
    if (address == nullptr) PyErr_Clear();
    const auto* header = static_cast<const dlpack::ApiHeader*>(address);
    while (header != nullptr && header->version.major != dlpack::kMajor) header = header->previous;
    const auto* api = reinterpret_cast<const dlpack::ExchangeApi*>(header);
    return api != nullptr && api->tensor_from_py_object_no_sync != nullptr ? api : nullptr;
  }
};

// One tensor argument of one op; every complaint names the op, the argument, what came and what was expected.
class TensorArg {
 public:
  TensorArg(const char* op, const char* name, py::handle object) : op_(op), name_(name), object_(object) {
    const dlpack::ExchangeApi* api = Exchange::of(object.ptr());
    if (api == nullptr) {
      from_attributes();
    } else {
      from_exchange(*api);
    }
    if (device_.type != dlpack::kCpu && device_.type != dlpack::kCuda) fail("must be a CPU or CUDA tensor");
    if (data_ == nullptr && numel() > 0) fail("has no memory (a fake, meta or functional tensor?)");
  }

  int64_t dim(size_t i) const { return shape_[i]; }
  size_t ndim() const { return shape_.size(); }
  Dtype dtype() const { return dtype_; }
  bool cuda() const { return device_.type == dlpack::kCuda; }
  int device_id() const { return device_.id; }
  int64_t numel() const {
    int64_t n = 1;
    for (int64_t s : shape_) n *= s;
    return n;
  }
  template <class T>
  T* data() const {
    return static_cast<T*>(data_);
  }

  // Expected dtype and shape; -1 means any size. Row-major unless `strided`.
  const TensorArg& expect(Dtype dtype, std::initializer_list<int64_t> shape) const {
    if (dtype_ != dtype) {
      throw py::type_error(prefix() + "expected dtype " + dtype_name(dtype) + ", got " + dtype_name(dtype_));
    }
    return expect_shape(shape).expect_contiguous();
  }
  const TensorArg& expect_shape(std::initializer_list<int64_t> shape) const {
    bool ok = shape.size() == shape_.size();
    size_t i = 0;
    for (int64_t s : shape) {
      ok = ok && (s < 0 || s == shape_[i]);
      ++i;
    }
    if (!ok) throw py::value_error(prefix() + "expected shape " + text(shape) + ", got " + text(shape_));
    return expect_aligned();
  }
  // Torch makes tensors of any bytes; the kernels' vector loads take whole numbers.
  const TensorArg& expect_aligned() const {
    const uintptr_t bytes = item_bytes(dtype_), beyond = reinterpret_cast<uintptr_t>(data_) % bytes;
    if (beyond != 0 && numel() > 0) {
      throw py::value_error(prefix() + "must be aligned to " + std::to_string(bytes) + " bytes, got an address " +
                            std::to_string(beyond) + " beyond; clone it first");
    }
    return *this;
  }
  const TensorArg& expect_contiguous() const {
    if (!contiguous()) {
      throw py::value_error(prefix() + "must be contiguous (row-major), got strides " + text(strides_) + " for shape " +
                            text(shape_) + "; call .contiguous() first");
    }
    return *this;
  }
  bool contiguous() const { return dense({}); }
  // True when a (B, C, H, W) tensor is stored as (B, H, W, C).
  bool channels_last() const { return ndim() == 4 && dense({0, 2, 3, 1}); }
  const TensorArg& same_device(const TensorArg& other) const {
    if (device_.type != other.device_.type || device_.id != other.device_.id) {
      throw py::value_error(prefix() + "expected device " + other.device_text() + " like argument '" + other.name_ +
                            "', got " + device_text());
    }
    return *this;
  }
  [[noreturn]] void fail(const std::string& what) const { throw py::value_error(prefix() + what); }

  // The stream that the tensor's library currently works on.
  void* stream() const {
    const dlpack::ExchangeApi* api = Exchange::of(object_.ptr());
    if (api != nullptr && api->current_work_stream != nullptr) {
      void* stream = nullptr;
      if (api->current_work_stream(device_.type, device_.id, &stream) != 0) throw py::error_already_set();
      return stream;
    }
    const py::object current = py::module_::import("torch").attr("cuda").attr("current_stream")(device_.id);
    return reinterpret_cast<void*>(current.attr("cuda_stream").cast<uintptr_t>());
  }
  std::string prefix() const { return std::string("gencosmo.ops.") + op_ + ": argument '" + name_ + "' "; }

 private:
  void from_exchange(const dlpack::ExchangeApi& api) {
    dlpack::Tensor t{};
    if (api.tensor_from_py_object_no_sync(object_.ptr(), &t) != 0) {
      py::error_already_set cause;
      throw py::type_error(prefix() + "cannot be read as a tensor: " + cause.what());
    }
    data_ = t.data == nullptr ? nullptr : static_cast<char*>(t.data) + t.byte_offset;
    device_ = t.device;
    shape_.assign(t.shape, t.shape + t.ndim);
    if (t.strides != nullptr) strides_.assign(t.strides, t.strides + t.ndim);
    dtype_ = classify(t.dtype);
  }
  void from_attributes() {
    if (!py::hasattr(object_, "data_ptr") || !py::hasattr(object_, "stride")) {
      throw py::type_error(prefix() + "expected a torch tensor, got " + Py_TYPE(object_.ptr())->tp_name);
    }
    for (py::handle s : object_.attr("shape")) shape_.push_back(s.cast<int64_t>());
    for (py::handle s : object_.attr("stride")()) strides_.push_back(s.cast<int64_t>());
    data_ = reinterpret_cast<void*>(object_.attr("data_ptr")().cast<uintptr_t>());
    const py::object device = object_.attr("device");
    const std::string kind = device.attr("type").cast<std::string>();
    device_.type = kind == "cpu" ? dlpack::kCpu : kind == "cuda" ? dlpack::kCuda : dlpack::DeviceType{};
    device_.id = device.attr("index").is_none() ? 0 : device.attr("index").cast<int32_t>();
    const std::string dtype = py::str(object_.attr("dtype"));
    for (int d = 0; d < static_cast<int>(Dtype::other); ++d) {
      if (dtype == std::string("torch.") + dtype_name(static_cast<Dtype>(d))) dtype_ = static_cast<Dtype>(d);
    }
  }
  static Dtype classify(dlpack::DataType t) {
    if (t.lanes != 1) return Dtype::other;
    if (t.code == dlpack::kFloat && t.bits == 64) return Dtype::f64;
    if (t.code == dlpack::kFloat) return t.bits == 32 ? Dtype::f32 : t.bits == 16 ? Dtype::f16 : Dtype::other;
    if (t.code == dlpack::kBfloat && t.bits == 16) return Dtype::bf16;
    if (t.code == dlpack::kInt) return t.bits == 64 ? Dtype::i64 : t.bits == 32 ? Dtype::i32 : Dtype::other;
    if ((t.code == dlpack::kUInt || t.code == dlpack::kBool) && t.bits == 8) return Dtype::u8;
    return Dtype::other;
  }
  bool dense(std::initializer_list<size_t> order) const {
    if (strides_.empty() || numel() == 0) return order.size() == 0 || numel() == 0;
    int64_t step = 1;
    for (size_t k = ndim(); k-- > 0;) {
      const size_t i = order.size() == 0 ? k : *(order.begin() + k);
      if (shape_[i] != 1 && strides_[i] != step) return false;
      step *= shape_[i];
    }
    return true;
  }
  std::string device_text() const {
    return device_.type == dlpack::kCpu ? "cpu" : "cuda:" + std::to_string(device_.id);
  }
  template <class Sizes>
  static std::string text(const Sizes& sizes) {
    std::string out = "(";
    for (int64_t s : sizes) out += (out.size() > 1 ? ", " : "") + (s < 0 ? std::string("any") : std::to_string(s));
    return out + ")";
  }

  const char* op_;
  const char* name_;
  py::handle object_;
  void* data_ = nullptr;
  dlpack::Device device_{};
  std::vector<int64_t> shape_, strides_;
  Dtype dtype_ = Dtype::other;
};

}  // namespace gencosmo
