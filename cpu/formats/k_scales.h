// The 12 bytes in which Q4_K and Q5_K keep eight 6-bit scales and eight 6-bit minimums.
//
//              bits 7..6               bits 5..0
//   byte 0..3  scale[4..7] bits 5..4   scale[0..3]
//   byte 4..7  min[4..7]   bits 5..4   min[0..3]
//              bits 7..4               bits 3..0
//   byte 8..11 min[4..7]   bits 3..0   scale[4..7] bits 3..0
#pragma once

#include <cstddef>
#include <cstdint>

namespace ac::cpu {

struct KScales {
  uint8_t scale[8];  // 0..63
  uint8_t min[8];    // 0..63
};

inline KScales unpack_k_scales(const std::byte* bytes) {
  KScales scales;
  for (size_t i = 0; i < 4; ++i) {
    const auto a = static_cast<uint32_t>(bytes[i]);
    const auto b = static_cast<uint32_t>(bytes[4 + i]);
    const auto c = static_cast<uint32_t>(bytes[8 + i]);
    scales.scale[i] = static_cast<uint8_t>(a & 63u);
    scales.min[i] = static_cast<uint8_t>(b & 63u);
    scales.scale[4 + i] = static_cast<uint8_t>((c & 15u) | (a >> 6) << 4);
    scales.min[4 + i] = static_cast<uint8_t>(c >> 4 | (b >> 6) << 4);
  }
  return scales;
}

inline void pack_k_scales(const KScales& scales, std::byte* bytes) {
  for (size_t i = 0; i < 4; ++i) {
    const uint32_t scale = scales.scale[4 + i];
    const uint32_t min = scales.min[4 + i];
    bytes[i] = static_cast<std::byte>(scales.scale[i] | (scale >> 4) << 6);
    bytes[4 + i] = static_cast<std::byte>(scales.min[i] | (min >> 4) << 6);
    bytes[8 + i] = static_cast<std::byte>((scale & 15u) | (min & 15u) << 4);
  }
}

}  // namespace ac::cpu
