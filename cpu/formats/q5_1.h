// Q5_1: 32 weights of 5 bits with a scale and a minimum; 6 bits a weight.
//
//   byte 0..1    d      half
//   byte 2..3    m      half
//   byte 4..7    h      32 bits; bit i is the fifth bit of q[i]
//   byte 8..23   16 bytes; byte 8 + i holds the low four bits of q[i] and, above, of q[i + 16]
//                                     w[i] = d * q[i] + m
#pragma once

#include "cpu/formats/f16.h"
#include "cpu/formats/rounding.h"

namespace ac::cpu {

struct Q5_1 {
  static constexpr size_t kBlockWeights = 32;
  static constexpr size_t kBlockBytes = 24;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block));
    const float m = f16_to_f32(load_unaligned<uint16_t>(block + 2));
    const auto fifth = load_unaligned<uint32_t>(block + 4);
    for (uint32_t i = 0; i < 16; ++i) {
      const auto pair = static_cast<uint32_t>(block[8 + i]);
      const uint32_t low = (pair & 15u) | ((fifth >> i) & 1u) << 4;
      const uint32_t high = pair >> 4 | ((fifth >> (i + 16)) & 1u) << 4;
      out[i] = d * static_cast<float>(low) + m;
      out[i + 16] = d * static_cast<float>(high) + m;
    }
  }

  static void encode_block(const float* in, std::byte* block) {
    const Range range = range_of(in, kBlockWeights);
    const float d = (range.max - range.min) / 31.0f;
    const float inverse = inverse_or_zero(d);
    uint32_t fifth = 0;
    for (uint32_t i = 0; i < 16; ++i) {
      const float x_low = (in[i] - range.min) * inverse + 0.5f;
      const float x_high = (in[i + 16] - range.min) * inverse + 0.5f;
      const auto low = static_cast<uint32_t>(truncate_to(x_low, 0, 31));
      const auto high = static_cast<uint32_t>(truncate_to(x_high, 0, 31));
      block[8 + i] = static_cast<std::byte>((low & 15u) | (high & 15u) << 4);
      fifth |= (low >> 4) << i | (high >> 4) << (i + 16);
    }
    store_unaligned(block, f32_to_f16(d));
    store_unaligned(block + 2, f32_to_f16(range.min));
    store_unaligned(block + 4, fifth);
  }
};

}  // namespace ac::cpu
