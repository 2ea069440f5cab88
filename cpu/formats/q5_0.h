// Q5_0: 32 weights of 5 bits with one scale; 5.5 bits a weight.
//
//   byte 0..1    d      half
//   byte 2..5    h      32 bits; bit i is the fifth bit of q[i]
//   byte 6..21   16 bytes; byte 6 + i holds the low four bits of q[i] and, above, of q[i + 16]
//                                     w[i] = d * (q[i] - 16)
//
// Encoding as in Q4_0: d = w_extreme / -16, q = floor(w / d + 16.5), at most 31.
#pragma once

#include "cpu/formats/f16.h"
#include "cpu/formats/rounding.h"

namespace ac::cpu {

struct Q5_0 {
  static constexpr size_t kBlockWeights = 32;
  static constexpr size_t kBlockBytes = 22;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block));
    const auto fifth = load_unaligned<uint32_t>(block + 2);
    for (uint32_t i = 0; i < 16; ++i) {
      const auto pair = static_cast<uint32_t>(block[6 + i]);
      const uint32_t low = (pair & 15u) | ((fifth >> i) & 1u) << 4;
      const uint32_t high = pair >> 4 | ((fifth >> (i + 16)) & 1u) << 4;
      out[i] = d * static_cast<float>(static_cast<int32_t>(low) - 16);
      out[i + 16] = d * static_cast<float>(static_cast<int32_t>(high) - 16);
    }
  }

  static void encode_block(const float* in, std::byte* block) {
    const float d = signed_extreme(in, kBlockWeights) / -16.0f;
    const float inverse = inverse_or_zero(d);
    uint32_t fifth = 0;
    for (uint32_t i = 0; i < 16; ++i) {
      const auto low = static_cast<uint32_t>(truncate_to(in[i] * inverse + 16.5f, 0, 31));
      const auto high = static_cast<uint32_t>(truncate_to(in[i + 16] * inverse + 16.5f, 0, 31));
      block[6 + i] = static_cast<std::byte>((low & 15u) | (high & 15u) << 4);
      fifth |= (low >> 4) << i | (high >> 4) << (i + 16);
    }
    store_unaligned(block, f32_to_f16(d));
    store_unaligned(block + 2, fifth);
  }
};

}  // namespace ac::cpu
