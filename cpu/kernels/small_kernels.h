// The small kernels (norm, rope, attention, activations ...) of one instruction set.
// Included by files compiled for one instruction set: <cstddef> and <cstdint> only, no functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ac::cpu {

struct SmallKernels {};

}  // namespace ac::cpu
