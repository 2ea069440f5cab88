// One codec per weight format: a row of weights to f32 and back. Plain and portable; the fast paths
// for products are the kernels. Thread-safe: pure functions.
#pragma once

#include <cstddef>

#include "runtime/core/weight_format.h"

namespace ac::cpu {

struct Codec {
  WeightFormat format;
  // n weights, whole blocks (WeightFormatInfo::block_weights). No alignment is asked of the bytes.
  // decode_row is nullptr for the packed `_r16` formats, which have no rows of their own
  // (packed.h); encode_row is nullptr also where this project only reads the format.
  void (*decode_row)(const std::byte* row, float* out, size_t n) noexcept;
  // Rounds to nearest. Weights that are not finite give codes within range, never undefined
  // behaviour.
  void (*encode_row)(const float* in, std::byte* row, size_t n) noexcept;
};

const Codec& codec(WeightFormat format);

// Bytes of a row of n weights in a format with one row a group. REQUIRES: n is whole blocks.
size_t row_bytes(WeightFormat format, size_t n);

}  // namespace ac::cpu
