// Q2_K: 256 weights of 2 bits, a 4-bit scale and a 4-bit minimum for each 16; 2.625 bits a weight.
//
//   byte 0..15    s[16]   low nibble: scale, high nibble: minimum, of weights 16 k .. 16 k + 15
//   byte 16..79   64 bytes, two halves of 32. Half h, byte i, bits 2 j + 1 .. 2 j:
//                         q of weight 128 h + 32 j + i
//   byte 80..81   d       half
//   byte 82..83   d_min   half        w = d * scale * q - d_min * minimum
#pragma once

#include "cpu/formats/f16.h"

namespace ac::cpu {

struct Q2_K {
  static constexpr size_t kBlockWeights = 256;
  static constexpr size_t kBlockBytes = 84;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block + 80));
    const float d_min = f16_to_f32(load_unaligned<uint16_t>(block + 82));
    for (size_t k = 0; k < 16; ++k) {
      const auto s = static_cast<uint32_t>(block[k]);
      const float scale = d * static_cast<float>(s & 15u);
      const float minimum = d_min * static_cast<float>(s >> 4);
      const size_t first = 16 * k;
      const std::byte* bytes = block + 16 + first / 128 * 32 + first % 32;
      const size_t shift = first % 128 / 32 * 2;
      for (size_t i = 0; i < 16; ++i) {
        const uint32_t q = static_cast<uint32_t>(bytes[i]) >> shift & 3u;
        out[first + i] = scale * static_cast<float>(q) - minimum;
      }
    }
  }
};

}  // namespace ac::cpu
