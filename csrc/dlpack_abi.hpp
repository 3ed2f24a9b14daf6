// The part of the DLPack 1.3 C ABI that gencosmo uses, declared from the specification
// (https://dmlc.github.io/dlpack/latest/c_api.html). Nothing is vendored: the layouts below are fixed by the
// specification's major version, and the static_asserts check that this compiler lays them out as it says.
#pragma once
#include <cstddef>
#include <cstdint>

namespace gencosmo::dlpack {

constexpr uint32_t kMajor = 1;

enum DeviceType : int32_t { kCpu = 1, kCuda = 2, kCudaHost = 3, kCudaManaged = 13 };
enum TypeCode : uint8_t { kInt = 0, kUInt = 1, kFloat = 2, kBfloat = 4, kBool = 6 };

struct Version {
  uint32_t major, minor;
};
struct Device {
  DeviceType type;
  int32_t id;
};
struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct Tensor {
  void* data;
  Device device;
  int32_t ndim;
  DataType dtype;
  int64_t* shape;
  int64_t* strides;  // in elements; may be null for a compact row-major tensor
  uint64_t byte_offset;
};

// The exchange API: a static table that a tensor type publishes as the capsule "dlpack_exchange_api" in its
// attribute __dlpack_c_exchange_api__. Functions return 0, or -1 with a Python error set.
struct ApiHeader {
  Version version;
  const ApiHeader* previous;
};
struct ExchangeApi {
  ApiHeader header;
  void* managed_tensor_allocator;                                      // not used here: arrays are allocated in Python
  void* managed_tensor_from_py_object;                                 // not used: no ownership is taken
  void* managed_tensor_to_py_object;                                   // not used
  int (*tensor_from_py_object_no_sync)(void* py_object, Tensor* out);  // borrowed view; may be null
  int (*current_work_stream)(DeviceType type, int32_t id, void** stream);
};

static_assert(sizeof(void*) == 8, "gencosmo needs a 64-bit platform");
static_assert(sizeof(Version) == 8 && sizeof(Device) == 8 && sizeof(DataType) == 4);
static_assert(sizeof(Tensor) == 48);
static_assert(offsetof(Tensor, device) == 8 && offsetof(Tensor, ndim) == 16 && offsetof(Tensor, dtype) == 20);
static_assert(offsetof(Tensor, shape) == 24 && offsetof(Tensor, strides) == 32 && offsetof(Tensor, byte_offset) == 40);
static_assert(sizeof(ApiHeader) == 16 && sizeof(ExchangeApi) == 56);
static_assert(offsetof(ExchangeApi, tensor_from_py_object_no_sync) == 40);
static_assert(offsetof(ExchangeApi, current_work_stream) == 48);

}  // namespace gencosmo::dlpack
