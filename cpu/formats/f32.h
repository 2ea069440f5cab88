// F32: IEEE 754 single precision as it lies in memory (little-endian). A block is one weight.
//
//   byte 0..3   the weight
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace ac::cpu {

// Unaligned little-endian access; every format's blocks start at any address.
template <class T>
T load_unaligned(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}
template <class T>
void store_unaligned(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

struct F32 {
  static constexpr size_t kBlockWeights = 1;
  static constexpr size_t kBlockBytes = 4;

  static void decode_block(const std::byte* block, float* out) {
    *out = load_unaligned<float>(block);
  }
  static void encode_block(const float* in, std::byte* block) { store_unaligned(block, *in); }
};

}  // namespace ac::cpu
