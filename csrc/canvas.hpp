// The canvas: many planes (one channel of one sample of one image each) in one flat array.
#pragma once
#include "host_device.hpp"

namespace gencosmo {

struct Plane {  // one row of `layout`
  int64_t offset, height, width, row0, col0, key;
};
struct Window {  // one row of `windows`; row and col may lie outside the plane
  int64_t plane, row, col;
};
static_assert(sizeof(Plane) == 48 && sizeof(Window) == 24);

enum Field { kZ = 0, kSigma = 1, kBase = 2, kBaseVar = 3, kSmooth = 4, kFields = 5 };

}  // namespace gencosmo
