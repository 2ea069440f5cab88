// Q4_1: 32 weights of 4 bits with a scale and a minimum; 5 bits a weight.
//
//   byte 0..1    d      half
//   byte 2..3    m      half
//   byte 4..19   16 bytes; byte 4 + i holds q[i] in its low nibble and q[i + 16] in its high one
//                                     w[i] = d * q[i] + m
#pragma once

#include "cpu/formats/f16.h"
#include "cpu/formats/rounding.h"

namespace ac::cpu {

struct Q4_1 {
  static constexpr size_t kBlockWeights = 32;
  static constexpr size_t kBlockBytes = 20;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block));
    const float m = f16_to_f32(load_unaligned<uint16_t>(block + 2));
    for (size_t i = 0; i < 16; ++i) {
      const auto pair = static_cast<uint8_t>(block[4 + i]);
      out[i] = d * static_cast<float>(pair & 15) + m;
      out[i + 16] = d * static_cast<float>(pair >> 4) + m;
    }
  }

  static void encode_block(const float* in, std::byte* block) {
    const Range range = range_of(in, kBlockWeights);
    const float d = (range.max - range.min) / 15.0f;
    const float inverse = inverse_or_zero(d);
    store_unaligned(block, f32_to_f16(d));
    store_unaligned(block + 2, f32_to_f16(range.min));
    for (size_t i = 0; i < 16; ++i) {
      const int32_t low = truncate_to((in[i] - range.min) * inverse + 0.5f, 0, 15);
      const int32_t high = truncate_to((in[i + 16] - range.min) * inverse + 0.5f, 0, 15);
      block[4 + i] = static_cast<std::byte>(low | high << 4);
    }
  }
};

}  // namespace ac::cpu
