// Q5_K: 256 weights of 5 bits, a 6-bit scale and a 6-bit minimum for each 32; 5.5 bits a weight.
//
//   byte 0..1     d       half
//   byte 2..3     d_min   half
//   byte 4..15    eight scales and minimums, see k_scales.h
//   byte 16..47   bit k of byte i: fifth bit of weight 32 k + i
//   byte 48..175  low four bits, laid out as in Q4_K
//                                     w = d * scale * q - d_min * minimum
#pragma once

#include "cpu/formats/f16.h"
#include "cpu/formats/k_scales.h"

namespace ac::cpu {

struct Q5_K {
  static constexpr size_t kBlockWeights = 256;
  static constexpr size_t kBlockBytes = 176;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block));
    const float d_min = f16_to_f32(load_unaligned<uint16_t>(block + 2));
    const KScales scales = unpack_k_scales(block + 4);
    for (size_t k = 0; k < 8; ++k) {
      const float scale = d * static_cast<float>(scales.scale[k]);
      const float minimum = d_min * static_cast<float>(scales.min[k]);
      const std::byte* fifths = block + 16;
      const std::byte* bytes = block + 48 + k / 2 * 32;
      const size_t shift = k % 2 * 4;
      for (size_t i = 0; i < 32; ++i) {
        const uint32_t fifth = static_cast<uint32_t>(fifths[i]) >> k & 1u;
        const uint32_t q = (static_cast<uint32_t>(bytes[i]) >> shift & 15u) | fifth << 4;
        out[32 * k + i] = scale * static_cast<float>(q) - minimum;
      }
    }
  }
};

}  // namespace ac::cpu
