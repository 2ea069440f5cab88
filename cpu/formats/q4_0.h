// Q4_0: 32 weights of 4 bits with one scale; 4.5 bits a weight.
//
//   byte 0..1    d      half
//   byte 2..17   16 bytes; byte 2 + i holds q[i] in its low nibble and q[i + 16] in its high one
//                                     w[i] = d * (q[i] - 8)
//
// Encoding: the weight of largest magnitude is given code 0, so d = w_extreme / -8 and
// q = floor(w / d + 8.5), at most 15.
#pragma once

#include "cpu/formats/f16.h"
#include "cpu/formats/rounding.h"

namespace ac::cpu {

struct Q4_0 {
  static constexpr size_t kBlockWeights = 32;
  static constexpr size_t kBlockBytes = 18;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block));
    for (size_t i = 0; i < 16; ++i) {
      const auto pair = static_cast<uint8_t>(block[2 + i]);
      out[i] = d * static_cast<float>((pair & 15) - 8);
      out[i + 16] = d * static_cast<float>((pair >> 4) - 8);
    }
  }

  static void encode_block(const float* in, std::byte* block) {
    const float d = signed_extreme(in, kBlockWeights) / -8.0f;
    const float inverse = inverse_or_zero(d);
    store_unaligned(block, f32_to_f16(d));
    for (size_t i = 0; i < 16; ++i) {
      const int32_t low = truncate_to(in[i] * inverse + 8.5f, 0, 15);
      const int32_t high = truncate_to(in[i + 16] * inverse + 8.5f, 0, 15);
      block[2 + i] = static_cast<std::byte>(low | high << 4);
    }
  }
};

}  // namespace ac::cpu
