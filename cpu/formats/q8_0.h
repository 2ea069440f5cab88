// Q8_0: 32 weights of 8 bits with one scale; 8.5 bits a weight.
//
//   byte 0..1    d      half
//   byte 2..33   q[32]  int8          w[i] = d * q[i]
//
// Encoding: d = max|w| / 127, q = round(w / d), ties away from zero, with the d that is not yet
// rounded to a half. Every reader and writer of GGUF agrees on this, so bytes can be compared.
#pragma once

#include "cpu/formats/f16.h"
#include "cpu/formats/rounding.h"

namespace ac::cpu {

struct Q8_0 {
  static constexpr size_t kBlockWeights = 32;
  static constexpr size_t kBlockBytes = 34;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block));
    for (size_t i = 0; i < kBlockWeights; ++i) {
      out[i] = d * static_cast<float>(static_cast<int8_t>(block[2 + i]));
    }
  }

  static void encode_block(const float* in, std::byte* block) {
    const float d = std::fabs(signed_extreme(in, kBlockWeights)) / 127.0f;
    const float inverse = inverse_or_zero(d);
    store_unaligned(block, f32_to_f16(d));
    for (size_t i = 0; i < kBlockWeights; ++i) {
      block[2 + i] = static_cast<std::byte>(round_to(in[i] * inverse, -127, 127));
    }
  }
};

}  // namespace ac::cpu
