// Between GGUF's rows of blocks and the packed layout (cpu/formats/packed.h): a transposition of
// 32-bit quads.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

struct GgufQ8 {
  static constexpr size_t kBlockBytes = 34;
  static constexpr size_t kQuads = 8;  // in a block
};
struct GgufQ4 {
  static constexpr size_t kBlockBytes = 18;
  static constexpr size_t kQuads = 4;
};

// quads[row][i] -> lines[i][row] for the first n_lines of 16 columns, a square of lanes at a time.
AC_INLINE void transpose_quads(const uint32_t (&quads)[16][16], size_t n_lines, uint8_t* lines) {
  const auto* from = reinterpret_cast<const float*>(quads);
  auto* to = reinterpret_cast<float*>(lines);
  for (size_t i = 0; i < n_lines; i += kLanes) {
    for (size_t row = 0; row < 16; row += kLanes) {
      F32 square[kLanes];
#pragma GCC unroll 16
      for (size_t j = 0; j < kLanes; ++j) square[j] = load(from + (row + j) * 16 + i);
      transpose(square);
#pragma GCC unroll 16
      for (size_t j = 0; j < kLanes; ++j) {
        if (i + j < n_lines) store(to + (i + j) * 16 + row, square[j]);
      }
    }
  }
}

template <class Gguf>
void pack_matrix(const PackArgs& args) noexcept {
  constexpr size_t kQuads = Gguf::kQuads;
  constexpr size_t kPairBytes = 64 + 2 * kQuads * 64;
  const size_t n_blocks = args.n_in / 32;
  const size_t n_pairs = (n_blocks + 1) / 2;
  const auto* from = static_cast<const uint8_t*>(args.from);
  for (size_t group = args.group_begin; group < args.group_end; ++group) {
    auto* pair = static_cast<uint8_t*>(args.to) + group * n_pairs * kPairBytes;
    for (size_t p = 0; p < n_pairs; ++p, pair += kPairBytes) {
      uint16_t scales[2][16] = {};
      alignas(64) uint32_t quads[16][16];
      if (2 * p + 2 > n_blocks || 16 * group + 16 > args.n_out) {
        __builtin_memset(quads, 0, sizeof(quads));
      }
      for (size_t r = 0; r < 16 && 16 * group + r < args.n_out; ++r) {
        const uint8_t* row = from + (16 * group + r) * n_blocks * Gguf::kBlockBytes;
        for (size_t b = 0; b < 2 && 2 * p + b < n_blocks; ++b) {
          const uint8_t* block = row + (2 * p + b) * Gguf::kBlockBytes;
          __builtin_memcpy(&scales[b][r], block, 2);
          __builtin_memcpy(&quads[r][b * kQuads], block + 2, 4 * kQuads);
        }
      }
      __builtin_memcpy(pair, scales, 64);
      transpose_quads(quads, 2 * kQuads, pair + 64);
    }
  }
}

template <class Gguf>
void unpack_matrix(const PackArgs& args) noexcept {
  constexpr size_t kQuads = Gguf::kQuads;
  constexpr size_t kPairBytes = 64 + 2 * kQuads * 64;
  const size_t n_blocks = args.n_in / 32;
  const size_t n_pairs = (n_blocks + 1) / 2;
  auto* to = static_cast<uint8_t*>(args.to);
  for (size_t group = args.group_begin; group < args.group_end; ++group) {
    const auto* pair = static_cast<const uint8_t*>(args.from) + group * n_pairs * kPairBytes;
    for (size_t p = 0; p < n_pairs; ++p, pair += kPairBytes) {
      for (size_t r = 0; r < 16 && 16 * group + r < args.n_out; ++r) {
        uint8_t* row = to + (16 * group + r) * n_blocks * Gguf::kBlockBytes;
        for (size_t b = 0; b < 2 && 2 * p + b < n_blocks; ++b) {
          uint8_t* block = row + (2 * p + b) * Gguf::kBlockBytes;
          __builtin_memcpy(block, pair + 32 * b + 2 * r, 2);
          for (size_t i = 0; i < kQuads; ++i) {
            __builtin_memcpy(block + 2 + 4 * i, pair + 64 + (b * kQuads + i) * 64 + 4 * r, 4);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
