// Q4_K: 256 weights of 4 bits, a 6-bit scale and a 6-bit minimum for each 32; 4.5 bits a weight.
//
//   byte 0..1     d       half
//   byte 2..3     d_min   half
//   byte 4..15    eight scales and minimums, see k_scales.h
//   byte 16..143  128 bytes, four quarters of 32. Quarter p, byte i: low nibble is q of weight
//                 64 p + i, high nibble of weight 64 p + 32 + i
//                                     w = d * scale * q - d_min * minimum
//
// Encoding: each 32 weights get the scale and minimum of a small search (k_search.h); the 6-bit
// codes of those are then fixed and the weights rounded once more against what the reader will see.
#pragma once

#include "cpu/formats/f16.h"
#include "cpu/formats/k_scales.h"
#include "cpu/formats/k_search.h"

namespace ac::cpu {

struct Q4_K {
  static constexpr size_t kBlockWeights = 256;
  static constexpr size_t kBlockBytes = 144;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block));
    const float d_min = f16_to_f32(load_unaligned<uint16_t>(block + 2));
    const KScales scales = unpack_k_scales(block + 4);
    for (size_t k = 0; k < 8; ++k) {
      const float scale = d * static_cast<float>(scales.scale[k]);
      const float minimum = d_min * static_cast<float>(scales.min[k]);
      const std::byte* bytes = block + 16 + k / 2 * 32;
      const size_t shift = k % 2 * 4;
      for (size_t i = 0; i < 32; ++i) {
        const uint32_t q = static_cast<uint32_t>(bytes[i]) >> shift & 15u;
        out[32 * k + i] = scale * static_cast<float>(q) - minimum;
      }
    }
  }

  static void encode_block(const float* in, std::byte* block) {
    ScaleAndMin fits[8];
    float largest_scale = 0.0f;
    float largest_min = 0.0f;
    for (size_t k = 0; k < 8; ++k) {
      fits[k] = search_scale_and_min(in + 32 * k, 32, 15);
      largest_scale = std::fmax(largest_scale, fits[k].scale);
      largest_min = std::fmax(largest_min, fits[k].min);
    }
    const uint16_t d_half = f32_to_f16(largest_scale / 63.0f);
    const uint16_t d_min_half = f32_to_f16(largest_min / 63.0f);
    const float d = f16_to_f32(d_half);
    const float d_min = f16_to_f32(d_min_half);
    KScales scales;
    for (size_t k = 0; k < 8; ++k) {
      scales.scale[k] = static_cast<uint8_t>(round_to(fits[k].scale * inverse_or_zero(d), 0, 63));
      scales.min[k] = static_cast<uint8_t>(round_to(fits[k].min * inverse_or_zero(d_min), 0, 63));
    }
    store_unaligned(block, d_half);
    store_unaligned(block + 2, d_min_half);
    pack_k_scales(scales, block + 4);
    for (size_t k = 0; k < 8; k += 2) {
      for (size_t i = 0; i < 32; ++i) {
        uint32_t pair = 0;
        for (size_t side = 0; side < 2; ++side) {
          const float inverse = inverse_or_zero(d * static_cast<float>(scales.scale[k + side]));
          const float minimum = d_min * static_cast<float>(scales.min[k + side]);
          const float x = (in[32 * (k + side) + i] + minimum) * inverse;
          pair |= static_cast<uint32_t>(round_to(x, 0, 15)) << (4 * side);
        }
        block[16 + k / 2 * 32 + i] = static_cast<std::byte>(pair);
      }
    }
  }
};

}  // namespace ac::cpu
