// Q3_K: 256 weights of 3 bits, a 6-bit scale for each 16; 3.4375 bits a weight.
//
//   byte 0..31     bit 4 h + j of byte i: third bit of weight 128 h + 32 j + i
//   byte 32..95    low two bits, laid out as in Q2_K
//   byte 96..107   16 scales s[k] of 6 bits:
//                  low four bits:  byte 96 + k % 8, low nibble for k < 8, high nibble for k >= 8
//                  high two bits:  byte 104 + k % 4, bits 2 (k / 4) + 1 .. 2 (k / 4)
//   byte 108..109  d   half           w = d * (s - 32) * (q - 4)
#pragma once

#include "cpu/formats/f16.h"

namespace ac::cpu {

struct Q3_K {
  static constexpr size_t kBlockWeights = 256;
  static constexpr size_t kBlockBytes = 110;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block + 108));
    for (size_t k = 0; k < 16; ++k) {
      const uint32_t low = static_cast<uint32_t>(block[96 + k % 8]) >> (k < 8 ? 0 : 4) & 15u;
      const uint32_t high = static_cast<uint32_t>(block[104 + k % 4]) >> (2 * (k / 4)) & 3u;
      const float scale = d * static_cast<float>(static_cast<int32_t>(low | high << 4) - 32);
      const size_t first = 16 * k;
      const std::byte* thirds = block + first % 32;
      const std::byte* bytes = block + 32 + first / 128 * 32 + first % 32;
      const size_t j = first % 128 / 32;
      const size_t third_bit = first / 128 * 4 + j;
      for (size_t i = 0; i < 16; ++i) {
        const uint32_t third = static_cast<uint32_t>(thirds[i]) >> third_bit & 1u;
        const uint32_t q = (static_cast<uint32_t>(bytes[i]) >> (2 * j) & 3u) | third << 2;
        out[first + i] = scale * static_cast<float>(static_cast<int32_t>(q) - 4);
      }
    }
  }
};

}  // namespace ac::cpu
