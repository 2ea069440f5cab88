// One row's lane of a unit of packed weights, from GGUF blocks and back; the layouts are drawn in
// packed.h. Plain integer code, the same on every machine. (Q8_0 and Q4_0, which are words moved as
// they are, have kernels of their own for whole groups: kernels/pack_inl.h.)
//
// Every conversion below exchanges bit fields between words, and is its own inverse: what packs
// also unpacks.
#pragma once

#include <array>
#include <cstring>

#include "cpu/formats/f32.h"
#include "cpu/formats/k_scales.h"

namespace ac::cpu {

// The fields of `a` at `mask << shift` change places with those of `b` at `mask`.
inline void exchange_fields(uint32_t& a, uint32_t& b, uint32_t shift, uint32_t mask) {
  const uint32_t difference = (a >> shift ^ b) & mask;
  b ^= difference;
  a ^= difference << shift;
}

// words[q] field j <-> words[j] field q, of the four 2-bit fields of each byte.
inline void transpose_pairs(uint32_t* words) {
  for (const uint32_t i : {0u, 1u}) exchange_fields(words[i], words[i + 2], 4, 0x0f0f0f0f);
  for (const uint32_t i : {0u, 2u}) exchange_fields(words[i], words[i + 1], 2, 0x33333333);
}

// words[q] bit j <-> words[j] bit q, of the eight bits of each byte.
inline void transpose_bits(uint32_t* words) {
  for (const uint32_t i : {0u, 1u, 2u, 3u}) exchange_fields(words[i], words[i + 4], 4, 0x0f0f0f0f);
  for (const uint32_t i : {0u, 1u, 4u, 5u}) exchange_fields(words[i], words[i + 2], 2, 0x33333333);
  for (const uint32_t i : {0u, 2u, 4u, 6u}) exchange_fields(words[i], words[i + 1], 1, 0x55555555);
}

// Bit 4j + i of the fifth bits of Q5_0 and Q5_1 <-> bit j of byte i, j in 0..7.
inline uint32_t fifths_from_gguf(uint32_t bits) {
  uint32_t word = 0;
  for (uint32_t j = 0; j < 8; ++j) {
    // The multiplication puts bit i of the nibble at bit 8i, among others.
    word |= ((bits >> (4 * j) & 15u) * 0x00204081u & 0x01010101u) << j;
  }
  return word;
}
inline uint32_t fifths_to_gguf(uint32_t word) {
  uint32_t bits = 0;
  for (uint32_t j = 0; j < 8; ++j) {
    // Bit 8i meets the factor's bit 28 - 7i at bit 28 + i; what else there is stays below 28.
    bits |= (((word >> j & 0x01010101u) * 0x10204080u) >> 28) << (4 * j);
  }
  return bits;
}

// Where a lane's parts lie. `row` is in 0..15.
class Lane {
 public:
  Lane(std::byte* unit, size_t row) : unit_(unit), row_(row) {}

  std::byte* half(size_t offset) const { return unit_ + offset + 2 * row_; }
  std::byte* byte(size_t offset) const { return unit_ + offset + row_; }
  std::byte* word(size_t offset) const { return unit_ + offset + 4 * row_; }  // offset of a line

 private:
  std::byte* unit_;
  size_t row_;
};

enum class Direction { kPack, kUnpack };

template <Direction kDirection>
void move_bytes(std::byte* block, std::byte* lane, size_t n) {
  std::memcpy(kDirection == Direction::kPack ? lane : block,
              kDirection == Direction::kPack ? block : lane, n);
}

// n words of a block and those of the lane that hold the same bits; exchange(words) leads from one
// to the other and back.
template <Direction kDirection, size_t n, class Exchange>
void move_words(const std::array<std::byte*, n>& block, const std::array<std::byte*, n>& lane,
                const Exchange& exchange) {
  const auto& from = kDirection == Direction::kPack ? block : lane;
  const auto& to = kDirection == Direction::kPack ? lane : block;
  uint32_t words[n];
  for (size_t i = 0; i < n; ++i) words[i] = load_unaligned<uint32_t>(from[i]);
  exchange(words);
  for (size_t i = 0; i < n; ++i) store_unaligned(to[i], words[i]);
}

inline void exchange_nibbles(uint32_t* words) { exchange_fields(words[0], words[1], 4, 0x0f0f0f0f); }

// --- formats -------------------------------------------------------------------------------------
// kUnitBlocks: GGUF blocks in a unit. convert(block, b, lane) moves block b of the unit between
// `block`, one GGUF block, and the lane; it writes to one of them only.

// Q4_1, Q5_0, Q5_1: blocks of 32 that become half a unit each.
template <size_t kHalves, bool kHasFifths>
struct LaneOf32 {
  static constexpr size_t kUnitBlocks = 2;
  static constexpr size_t kLines = kHasFifths ? 5 : 4;
  static constexpr size_t kHeadBytes = 64 * kHalves;
  static constexpr size_t kUnitBytes = kHeadBytes + 2 * 64 * kLines;

  template <Direction kDirection>
  static void convert(std::byte* block, size_t b, Lane lane) {
    const size_t lines = kHeadBytes + 64 * kLines * b;
    for (size_t i = 0; i < kHalves; ++i, block += 2) {
      move_bytes<kDirection>(block, lane.half(64 * i + 32 * b), 2);
    }
    if constexpr (kHasFifths) {
      move_words<kDirection, 1>({block}, {lane.word(lines + 256)}, [](uint32_t* word) {
        *word =
            kDirection == Direction::kPack ? fifths_from_gguf(*word) : fifths_to_gguf(*word);
      });
      block += 4;
    }
    for (size_t j = 0; j < 4; ++j) {
      move_bytes<kDirection>(block + 4 * j, lane.word(lines + 64 * j), 4);
    }
  }
};
using LaneQ4_1 = LaneOf32<2, false>;
using LaneQ5_0 = LaneOf32<1, true>;
using LaneQ5_1 = LaneOf32<2, true>;

// Half h of 256 columns has four blocks whose bits lie side by side in the bytes of eight words at
// `block`. The line of half-block p of block b = 4h + j is at lines + b * block_bytes + p *
// part_bytes.
template <Direction kDirection>
void move_pairs(std::byte* block, size_t h, Lane lane, size_t lines, size_t block_bytes,
                size_t part_bytes) {
  for (size_t p = 0; p < 2; ++p) {
    std::array<std::byte*, 4> quads, blocks;
    for (size_t i = 0; i < 4; ++i) {
      quads[i] = block + 4 * (4 * p + i);
      blocks[i] = lane.word(lines + (4 * h + i) * block_bytes + p * part_bytes);
    }
    move_words<kDirection>(quads, blocks, transpose_pairs);
  }
}

// The highest bits of 256 weights: bit b of the bytes of word q is of quad q of block b.
template <Direction kDirection>
void move_highest_bits(std::byte* block, Lane lane, size_t lines, size_t block_bytes) {
  std::array<std::byte*, 8> quads, blocks;
  for (size_t i = 0; i < 8; ++i) {
    quads[i] = block + 4 * i;
    blocks[i] = lane.word(lines + i * block_bytes);
  }
  move_words<kDirection>(quads, blocks, transpose_bits);
}

// d and -d_min.
template <Direction kDirection>
void move_d_and_min(std::byte* block, Lane lane) {
  move_bytes<kDirection>(block, lane.half(0), 2);
  move_bytes<kDirection>(block + 2, lane.half(32), 2);
  std::byte& sign = kDirection == Direction::kPack ? lane.half(32)[1] : block[3];
  sign ^= std::byte{0x80};
}

// Q4_K, Q5_K.
template <bool kHasFifths>
struct LaneOfK {
  static constexpr size_t kUnitBlocks = 1;
  static constexpr size_t kBlockBytes = kHasFifths ? 5 * 64 : 4 * 64;  // in the unit
  static constexpr size_t kHeadBytes = 64 + 2 * 128;
  static constexpr size_t kUnitBytes = kHeadBytes + 8 * kBlockBytes;

  template <Direction kDirection>
  static void convert(std::byte* block, size_t, Lane lane) {
    move_d_and_min<kDirection>(block, lane);
    KScales scales = {};
    if constexpr (kDirection == Direction::kPack) scales = unpack_k_scales(block + 4);
    for (size_t b = 0; b < 8; ++b) {
      move_bytes<kDirection>(reinterpret_cast<std::byte*>(scales.scale + b),
                             lane.byte(64 + 16 * b), 1);
      move_bytes<kDirection>(reinterpret_cast<std::byte*>(scales.min + b), lane.byte(192 + 16 * b),
                             1);
    }
    if constexpr (kDirection == Direction::kUnpack) pack_k_scales(scales, block + 4);
    block += 16;
    if constexpr (kHasFifths) {
      move_highest_bits<kDirection>(block, lane, kHeadBytes + 256, kBlockBytes);
      block += 32;
    }
    // GGUF has block 2p in the low nibbles of eight words, and block 2p + 1 in the high ones.
    for (size_t p = 0; p < 4; ++p) {
      for (size_t j = 0; j < 4; ++j) {
        std::byte* quad = block + 32 * p + 4 * j;
        const size_t line = kHeadBytes + 2 * p * kBlockBytes + 64 * j;
        move_words<kDirection, 2>({quad, quad + 16},
                                  {lane.word(line), lane.word(line + kBlockBytes)},
                                  exchange_nibbles);
      }
    }
  }
};
using LaneQ4_K = LaneOfK<false>;
using LaneQ5_K = LaneOfK<true>;

struct LaneQ6_K {
  static constexpr size_t kUnitBlocks = 1;
  static constexpr size_t kPartBytes = 3 * 64;
  static constexpr size_t kBlockBytes = 2 * kPartBytes;
  static constexpr size_t kHeadBytes = 64 + 256;
  static constexpr size_t kUnitBytes = kHeadBytes + 8 * kBlockBytes;

  template <Direction kDirection>
  static void convert(std::byte* block, size_t, Lane lane) {
    move_bytes<kDirection>(block + 208, lane.half(0), 2);
    for (size_t k = 0; k < 16; ++k) {
      move_bytes<kDirection>(block + 192 + k, lane.byte(64 + 16 * k), 1);
    }
    for (size_t h = 0; h < 2; ++h) {
      // In half h, GGUF has blocks 4h and 4h + 1 in the low nibbles of sixteen words, the other two
      // in the high ones.
      for (size_t b = 0; b < 2; ++b) {
        for (size_t p = 0; p < 2; ++p) {
          for (size_t j = 0; j < 2; ++j) {
            std::byte* quad = block + 64 * h + 4 * (8 * b + 4 * p + j);
            const size_t line = kHeadBytes + (4 * h + b) * kBlockBytes + p * kPartBytes + 64 * j;
            move_words<kDirection, 2>({quad, quad + 8},
                                      {lane.word(line), lane.word(line + 2 * kBlockBytes)},
                                      exchange_nibbles);
          }
        }
      }
      move_pairs<kDirection>(block + 128 + 32 * h, h, lane, kHeadBytes + 128, kBlockBytes,
                             kPartBytes);
    }
  }
};

// The six bits s of each 16 weights, less 32, as bytes; see q3_k.h for where they come from.
struct LaneQ3_K {
  static constexpr size_t kUnitBlocks = 1;
  static constexpr size_t kBlockBytes = 3 * 64;
  static constexpr size_t kHeadBytes = 64 + 256;
  static constexpr size_t kUnitBytes = kHeadBytes + 8 * kBlockBytes;

  template <Direction kDirection>
  static void convert(std::byte* block, size_t, Lane lane) {
    move_bytes<kDirection>(block + 108, lane.half(0), 2);
    if constexpr (kDirection == Direction::kUnpack) std::memset(block + 96, 0, 12);
    for (uint32_t k = 0; k < 16; ++k) {
      std::byte& low = block[96 + k % 8];
      std::byte& high = block[104 + k % 4];
      std::byte& scale = *lane.byte(64 + 16 * k);
      const uint32_t low_shift = k / 8 * 4, high_shift = k / 4 * 2;
      if constexpr (kDirection == Direction::kPack) {
        const uint32_t s = (static_cast<uint32_t>(low) >> low_shift & 15u) |
                           (static_cast<uint32_t>(high) >> high_shift & 3u) << 4;
        scale = static_cast<std::byte>(s - 32u);
      } else {
        const uint32_t s = static_cast<uint32_t>(scale) + 32u;
        low |= static_cast<std::byte>((s & 15u) << low_shift);
        high |= static_cast<std::byte>((s >> 4 & 3u) << high_shift);
      }
    }
    move_highest_bits<kDirection>(block, lane, kHeadBytes + 128, kBlockBytes);
    for (size_t h = 0; h < 2; ++h) {
      move_pairs<kDirection>(block + 32 + 32 * h, h, lane, kHeadBytes, kBlockBytes, 64);
    }
  }
};

struct LaneQ2_K {
  static constexpr size_t kUnitBlocks = 1;
  static constexpr size_t kBlockBytes = 2 * 64;
  static constexpr size_t kHeadBytes = 64 + 256;
  static constexpr size_t kUnitBytes = kHeadBytes + 8 * kBlockBytes;

  template <Direction kDirection>
  static void convert(std::byte* block, size_t, Lane lane) {
    move_d_and_min<kDirection>(block + 80, lane);
    for (size_t k = 0; k < 16; ++k) {
      move_bytes<kDirection>(block + k, lane.byte(64 + 16 * k), 1);
    }
    for (size_t h = 0; h < 2; ++h) {
      move_pairs<kDirection>(block + 16 + 32 * h, h, lane, kHeadBytes, kBlockBytes, 64);
    }
  }
};

}  // namespace ac::cpu
