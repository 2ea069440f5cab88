// BF16: the upper half of a float.
//
//   bit  15    14..7         6..0
//        sign  exponent+127  fraction
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "cpu/formats/f32.h"

namespace ac::cpu {

inline float bf16_to_f32(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

// Rounds to nearest, ties to even; a NaN stays a NaN.
inline uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

struct BF16 {
  static constexpr size_t kBlockWeights = 1;
  static constexpr size_t kBlockBytes = 2;

  static void decode_block(const std::byte* block, float* out) {
    *out = bf16_to_f32(load_unaligned<uint16_t>(block));
  }
  static void encode_block(const float* in, std::byte* block) {
    store_unaligned(block, f32_to_bf16(*in));
  }
};

}  // namespace ac::cpu
