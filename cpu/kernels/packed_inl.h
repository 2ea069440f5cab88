// Packed formats (cpu/formats/packed.h) times activations in int16: a row in each lane, so weights
// are used as they lie and no sum runs across lanes.
#pragma once

#include "cpu/kernels/activations_inl.h"
#include "cpu/kernels/packed_formats_inl.h"

namespace ac::cpu::AC_ISA {
namespace {

template <class Format>
AC_INLINE size_t packed_units(size_t n_in) {
  return (n_in + Format::kUnitColumns - 1) / Format::kUnitColumns;
}

// How far ahead of its use a line is asked for. The processor's own prefetching stops at page ends.
constexpr size_t kPrefetchBytes = 4096;

// Block b's share of the unit, which lies kPrefetchBytes on.
template <class Format>
AC_INLINE void prefetch_share(const uint8_t* unit, size_t b) {
  constexpr size_t kLines = Format::kUnitBytes / 64;
  constexpr size_t kShare = (kLines + Format::kUnitBlocks - 1) / Format::kUnitBlocks;
  const uint8_t* first = unit + kPrefetchBytes + 64 * kShare * b;
#pragma GCC unroll 17
  for (size_t line = 0; line < kShare; ++line) prefetch(first + 64 * line);
}

// Adds the products of one part of a block, kLanes rows from lane `row`, to `sums`.
template <class Format, size_t kTokens>
AC_INLINE void dot_part(const uint8_t* block, size_t part, size_t row,
                        const uint8_t* const (&records)[kTokens], QuadSum (&sums)[kTokens]) {
#pragma GCC unroll 4
  for (size_t step = 0; step < Format::kSteps; ++step) {
    Words words[2];
    Format::codes(block, part, step, row, words[0], words[1]);
#pragma GCC unroll 2
    for (size_t i = 0; i < 2; ++i) {
      const QuadWeights w = Format::kAreSigned ? quads_of_signed(words[i]) : quads_of(words[i]);
      const size_t quad = 4 * part + step + i * Format::kSteps;
#pragma GCC unroll 8
      for (size_t t = 0; t < kTokens; ++t) quads_dot(sums[t], w, records[t] + 8 * quad);
    }
  }
}

// Adds one part of a block, kLanes rows from lane `row`, times the activations to the totals of
// vector `v`. `unit` is the block's and `b` its place there.
template <class Format, size_t kTokens, size_t kVectors>
AC_INLINE void add_part(const uint8_t* unit, size_t b, size_t part, size_t v,
                        const uint8_t* const (&records)[kTokens], F32 (&total)[kTokens][kVectors]) {
  constexpr int32_t kBias = Format::kAreSigned ? kSignedQuadBias : Format::kBias;
  const size_t row = v * kLanes;
  const uint8_t* block = unit + Format::kHeadBytes + b * Format::kBlockBytes;
  const F32 scale = Format::scale(unit, b, part, row);
  QuadSum sums[kTokens];
#pragma GCC unroll 8
  for (size_t t = 0; t < kTokens; ++t) {
    const BlockSums& of = block_sums(records[t]);
    const int32_t sum = Format::kParts == 2 ? of.sums[part] : of.sums[0] + of.sums[1];
    sums[t] = quads_start(kBias == 0 ? 0 : -kBias * sum);
  }
  dot_part<Format, kTokens>(block, part, row, records, sums);
#pragma GCC unroll 8
  for (size_t t = 0; t < kTokens; ++t) {
    const BlockSums& of = block_sums(records[t]);
    total[t][v] = fma(quads_total(sums[t]), mul(scale, splat(of.scale)), total[t][v]);
    if constexpr (Format::kHasOffset) {
      const float sum =
          Format::kParts == 2 ? of.scale * static_cast<float>(of.sums[part]) : of.total;
      total[t][v] = fma(Format::offset(unit, b, part, row), splat(sum), total[t][v]);
    }
  }
}

// Whether the weights are one matrix, or the sum of two: nested precision.
enum class Planes { kOne, kTwo };

// One group of 16 rows times kTokens tokens from `token` on.
template <class Format, Planes kPlanes, size_t kTokens>
void multiply_group(const MatmulArgs& args, size_t group, size_t token, bool is_streamed) {
  constexpr size_t kVectors = 16 / kLanes;
  constexpr bool kNested = kPlanes == Planes::kTwo;
  const size_t n_units = packed_units<Format>(args.n_in);
  const size_t group_bytes = n_units * Format::kUnitBytes;
  const uint8_t* unit = reinterpret_cast<const uint8_t*>(args.weights) + group * group_bytes;
  const uint8_t* residual = nullptr;
  if constexpr (kNested) {
    residual = reinterpret_cast<const uint8_t*>(args.residual) + group * group_bytes;
  }
  const uint8_t* records[kTokens];
  F32 total[kTokens][kVectors];
#pragma GCC unroll 8
  for (size_t t = 0; t < kTokens; ++t) {
    records[t] =
        static_cast<const uint8_t*>(args.activations) + (token + t) * blocks_token_bytes(args.n_in);
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) total[t][v] = zero();
  }
  for (size_t u = 0; u < n_units; ++u, unit += Format::kUnitBytes) {
    for (size_t b = 0; b < Format::kUnitBlocks; ++b) {
      if (is_streamed) {
        prefetch_share<Format>(unit, b);
        if constexpr (kNested) prefetch_share<Format>(residual, b);
      }
#pragma GCC unroll 2
      for (size_t part = 0; part < Format::kParts; ++part) {
#pragma GCC unroll 4
        for (size_t v = 0; v < kVectors; ++v) {
          // Activations are to be read again for every vector: kept from one to the next, all 64
          // broadcasts of a block would move to the stack and back, at half the speed.
          __asm__ volatile("" ::: "memory");
          add_part<Format>(unit, b, part, v, records, total);
          if constexpr (kNested) {
            __asm__ volatile("" ::: "memory");
            add_part<Format>(residual, b, part, v, records, total);
          }
        }
      }
#pragma GCC unroll 8
      for (size_t t = 0; t < kTokens; ++t) records[t] += kRecordBytes;
    }
    if constexpr (kNested) residual += Format::kUnitBytes;
  }
  const size_t row = 16 * group;
  const size_t n_rows = args.n_out - row < 16 ? args.n_out - row : 16;
#pragma GCC unroll 8
  for (size_t t = 0; t < kTokens; ++t) {
    float* y = args.y + (token + t) * args.y_stride + row;
    if (n_rows == 16) {
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; ++v) {
        F32 sum = total[t][v];
        if (args.bias != nullptr) sum = add(sum, load(args.bias + row + v * kLanes));
        store(y + v * kLanes, sum);
      }
    } else {
      float padded[16];
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; ++v) store(padded + v * kLanes, total[t][v]);
      for (size_t i = 0; i < n_rows; ++i) {
        y[i] = args.bias != nullptr ? padded[i] + args.bias[row + i] : padded[i];
      }
    }
  }
}

// Tokens that share one pass over a group's weights: at most as many as the accumulators have
// registers for. Not every number has a copy of the kernel: 5, 6 and 7 are 4 and some.
constexpr size_t kMaxTokens = kLanes == 16 ? 8 : 4;

AC_INLINE size_t tokens_of_pass(size_t left) {
  return left >= kMaxTokens ? kMaxTokens : (left < 4 ? left : 4);
}

// Weights of a panel of groups stay in the L2 cache while all tokens go by.
constexpr size_t kPanelBytes = 512 * 1024;

template <class Format, Planes kPlanes>
void multiply_tokens(const MatmulArgs& args, size_t group, size_t token, size_t n_tokens,
                     bool is_streamed) {
  switch (n_tokens) {
    case 1:
      return multiply_group<Format, kPlanes, 1>(args, group, token, is_streamed);
    case 2:
      return multiply_group<Format, kPlanes, 2>(args, group, token, is_streamed);
    case 3:
      return multiply_group<Format, kPlanes, 3>(args, group, token, is_streamed);
    case 4:
      return multiply_group<Format, kPlanes, 4>(args, group, token, is_streamed);
    default:
      return multiply_group<Format, kPlanes, kMaxTokens>(args, group, token, is_streamed);
  }
}

template <class Format, Planes kPlanes>
void multiply_blocks(const MatmulArgs& args) noexcept {
  constexpr size_t kMatrices = kPlanes == Planes::kTwo ? 2 : 1;
  const size_t group_bytes = kMatrices * packed_units<Format>(args.n_in) * Format::kUnitBytes;
  const size_t group_end = (args.row_end + 15) / 16;
  size_t panel = kPanelBytes / group_bytes;
  if (panel < 1) panel = 1;
  for (size_t begin = args.row_begin / 16; begin < group_end; begin += panel) {
    const size_t end = begin + panel < group_end ? begin + panel : group_end;
    size_t n_tokens = 0;
    for (size_t token = 0; token < args.n_tokens; token += n_tokens) {
      n_tokens = tokens_of_pass(args.n_tokens - token);
      for (size_t group = begin; group < end; ++group) {
        multiply_tokens<Format, kPlanes>(args, group, token, n_tokens, token == 0);
      }
    }
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
