// F16: IEEE 754 half precision. Also the type of the scales of most block formats.
//
//   bit  15    14..10       9..0
//        sign  exponent+15  fraction
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "cpu/formats/f32.h"

namespace ac::cpu {

// Exact: every half is a float.
inline float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity, NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
  }
  if (magnitude >= 0x0400u) {  // normal: the exponent's bias grows from 15 to 127
    return std::bit_cast<float>(sign | ((magnitude << 13) + (112u << 23)));
  }
  const float subnormal = static_cast<float>(magnitude) * 0x1.0p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(subnormal));
}

// Rounds to nearest, ties to even; beyond the largest half to infinity; a NaN stays a NaN.
inline uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // 65520 and more: nearer to 65536, which is not a half
    half = 0x7c00u;
  } else if (magnitude >= 0x38800000u) {  // 2^-14 and more: a normal half
    // Adding just under half of the last kept bit, plus that bit itself, rounds ties to even.
    half = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  } else {
    // A subnormal half counts in units of 2^-24; adding 0.5f leaves just those units in the
    // fraction, rounded by the addition itself.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    half = std::bit_cast<uint32_t>(shifted) - std::bit_cast<uint32_t>(0.5f);
  }
  return static_cast<uint16_t>(sign | half);
}

struct F16 {
  static constexpr size_t kBlockWeights = 1;
  static constexpr size_t kBlockBytes = 2;

  static void decode_block(const std::byte* block, float* out) {
    *out = f16_to_f32(load_unaligned<uint16_t>(block));
  }
  static void encode_block(const float* in, std::byte* block) {
    store_unaligned(block, f32_to_f16(*in));
  }
};

}  // namespace ac::cpu
