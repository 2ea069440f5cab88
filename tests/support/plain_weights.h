// Weights as doubles, for references. F32, F16, BF16 and Q8_0 are decoded here from their
// definitions; the other formats through the project's codecs, whose own tests they have.
#pragma once

#include <vector>

#include "runtime/core/tensor.h"

namespace ac::test {

// All weights of `view`, row-major.
std::vector<double> plain_weights(const TensorView& view);

}  // namespace ac::test
