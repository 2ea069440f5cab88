// Q6_K: 256 weights of 6 bits, an 8-bit scale for each 16; 6.5625 bits a weight.
//
//   byte 0..127    low four bits, two halves of 64. Half h, byte i: low nibble is weight 128 h + i,
//                  high nibble is weight 128 h + 64 + i
//   byte 128..191  high two bits, two halves of 32. Half h, byte i, bits 2 j + 1 .. 2 j:
//                  weight 128 h + 32 j + i
//   byte 192..207  s[16]  int8, of weights 16 k .. 16 k + 15
//   byte 208..209  d      half          w = d * s * (q - 32)
#pragma once

#include "cpu/formats/f16.h"
#include "cpu/formats/k_search.h"

namespace ac::cpu {

struct Q6_K {
  static constexpr size_t kBlockWeights = 256;
  static constexpr size_t kBlockBytes = 210;

  static void decode_block(const std::byte* block, float* out) {
    const float d = f16_to_f32(load_unaligned<uint16_t>(block + 208));
    for (size_t k = 0; k < 16; ++k) {
      const float scale = d * static_cast<float>(static_cast<int8_t>(block[192 + k]));
      for (size_t i = 16 * k; i < 16 * (k + 1); ++i) {
        const Place place = place_of(i);
        const uint32_t low = static_cast<uint32_t>(block[place.low]) >> place.low_shift & 15u;
        const uint32_t high = static_cast<uint32_t>(block[place.high]) >> place.high_shift & 3u;
        out[i] = scale * static_cast<float>(static_cast<int32_t>(low | high << 4) - 32);
      }
    }
  }

  static void encode_block(const float* in, std::byte* block) {
    float scales[16];
    for (size_t k = 0; k < 16; ++k) scales[k] = search_scale(in + 16 * k, 16, 32);
    // The scale of largest magnitude is given the code -128, the longer side of an int8.
    const uint16_t d_half = f32_to_f16(signed_extreme(scales, 16) / -128.0f);
    const float d = f16_to_f32(d_half);
    std::memset(block, 0, 192);
    store_unaligned(block + 208, d_half);
    for (size_t k = 0; k < 16; ++k) {
      const int32_t code = round_to(scales[k] * inverse_or_zero(d), -128, 127);
      block[192 + k] = static_cast<std::byte>(code);
      const float inverse = inverse_or_zero(d * static_cast<float>(code));
      for (size_t i = 16 * k; i < 16 * (k + 1); ++i) {
        const auto q = static_cast<uint32_t>(round_to(in[i] * inverse, -32, 31) + 32);
        const Place place = place_of(i);
        block[place.low] |= static_cast<std::byte>((q & 15u) << place.low_shift);
        block[place.high] |= static_cast<std::byte>((q >> 4) << place.high_shift);
      }
    }
  }

 private:
  struct Place {
    size_t low, low_shift, high, high_shift;
  };
  static constexpr Place place_of(size_t i) {
    const size_t half = i / 128;
    const size_t in_half = i % 128;
    return {half * 64 + in_half % 64, in_half / 64 * 4, 128 + half * 32 + in_half % 32,
            in_half / 32 * 2};
  }
};

}  // namespace ac::cpu
