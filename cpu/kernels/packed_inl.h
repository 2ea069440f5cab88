// Packed formats (cpu/formats/packed.h) times activations in int16: a row in each lane, so weights
// are used as they lie and no sum runs across lanes.
//
// Why 16 bits: with activations rounded to 8 bits per block each product has a relative squared
// error of 3e-5, which over the layers of a model adds up to more than all else; with 16 it is
// 5e-10. The second byte costs dot products, of which a processor waiting for memory has plenty.
//
// Activations of one token, n_blocks = blocks of 32 columns, padded to an even number with zeros:
//
//   quants [n_blocks][8 quads][8 bytes]   a quad is four consecutive columns k, as
//                                           planes: high bytes of k0 k1 k2 k3, then their low bytes
//                                           else:   int16 k0 k2 k1 k3
//   scales [n_blocks] f32                 x = scale * quant; |quant| <= 32512 = 127 * 256
//   sums   [n_blocks] i32                 of the quants; kernels that add a bias to weights take
//                                         bias * sum away
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

constexpr float kMaxQuant = 32512.0f;

// Bytes of one token.
AC_INLINE size_t blocks_token_bytes(size_t n_in) { return (n_in + 63) / 64 * 2 * 72; }

// The address of a token's three arrays.
struct TokenBlocks {
  const uint8_t* quants;
  const float* scales;
  const int32_t* sums;
};

AC_INLINE TokenBlocks token_blocks(const void* activations, size_t token, size_t n_in) {
  const size_t n_blocks = (n_in + 63) / 64 * 2;
  const auto* base = static_cast<const uint8_t*>(activations) + token * blocks_token_bytes(n_in);
  const auto* scales = reinterpret_cast<const float*>(base + n_blocks * 64);
  return {base, scales, reinterpret_cast<const int32_t*>(scales + n_blocks)};
}

// Columns of one block, `n` <= 32 of them, into quants; returns the scale and the sum.
AC_INLINE void quantize_block(const float* x, uint8_t* quants, float* scale, int32_t* sum) {
  F32 largest = zero();
  for (size_t i = 0; i < 32; i += kLanes) largest = vmax(largest, vabs(load(x + i)));
  const float limit = reduce_max(largest);
  // A block of zeros, or of numbers too small to divide by, is zeros. Anything not finite comes out
  // as a scale that is not finite, and so as an output that is not.
  const bool tiny = limit < 1e-30f;
  const float inverse = tiny ? 0.0f : kMaxQuant / limit;
  *scale = tiny ? 0.0f : limit / kMaxQuant;
  float rounded[32];
  for (size_t i = 0; i < 32; i += kLanes) {
    store(rounded + i, to_f32(to_i32(mul(load(x + i), splat(inverse)))));
  }
  int32_t total = 0;
  for (size_t quad = 0; quad < 8; ++quad) {
    int32_t q[4];
    for (size_t i = 0; i < 4; ++i) {
      q[i] = static_cast<int32_t>(rounded[4 * quad + i]);
      total += q[i];
    }
    uint8_t* out = quants + 8 * quad;
    if constexpr (kQuadsArePlanes) {
      for (size_t i = 0; i < 4; ++i) {
        out[i] = static_cast<uint8_t>((q[i] + 128) >> 8);
        out[4 + i] = static_cast<uint8_t>(q[i] & 255);
      }
    } else {
      const int16_t pairs[4] = {static_cast<int16_t>(q[0]), static_cast<int16_t>(q[2]),
                                static_cast<int16_t>(q[1]), static_cast<int16_t>(q[3])};
      __builtin_memcpy(out, pairs, sizeof(pairs));
    }
  }
  *sum = total;
}

void prepare_blocks(const PrepareArgs& args) noexcept {
  const size_t n_blocks = (args.n_in + 63) / 64 * 2;
  for (size_t token = args.token_begin; token < args.token_end; ++token) {
    const float* x = args.x + token * args.x_stride;
    auto* quants = static_cast<uint8_t*>(args.out) + token * blocks_token_bytes(args.n_in);
    auto* scales = reinterpret_cast<float*>(quants + n_blocks * 64);
    auto* sums = reinterpret_cast<int32_t*>(scales + n_blocks);
    for (size_t block = 0; block < n_blocks; ++block) {
      const size_t column = 32 * block;
      if (column + 32 <= args.n_in) {
        quantize_block(x + column, quants + 64 * block, scales + block, sums + block);
        continue;
      }
      float padded[32];
      for (size_t i = 0; i < 32; ++i) padded[i] = column + i < args.n_in ? x[column + i] : 0.0f;
      quantize_block(padded, quants + 64 * block, scales + block, sums + block);
    }
  }
}

struct FormatQ8 {
  static constexpr size_t kPairBytes = 1088;
  static constexpr int32_t kBias = kQuadBiasQ8;

  // The products of one block (b = 0 or 1 of the pair at `pair`) for kLanes rows from lane `row`.
  template <size_t kTokens>
  AC_INLINE static void dot(const uint8_t* pair, size_t b, size_t row,
                            const uint8_t* const (&quants)[kTokens], QuadSum (&sums)[kTokens]) {
    const uint8_t* line = pair + 64 + b * 512 + 4 * row;
#pragma GCC unroll 8
    for (size_t quad = 0; quad < 8; ++quad) {
      const QuadWeights w = quads_q8(line + 64 * quad);
#pragma GCC unroll 8
      for (size_t t = 0; t < kTokens; ++t) quads_dot(sums[t], w, quants[t] + 64 * b + 8 * quad);
    }
  }
};

struct FormatQ4 {
  static constexpr size_t kPairBytes = 576;
  static constexpr int32_t kBias = kQuadBiasQ4;

  template <size_t kTokens>
  AC_INLINE static void dot(const uint8_t* pair, size_t b, size_t row,
                            const uint8_t* const (&quants)[kTokens], QuadSum (&sums)[kTokens]) {
    const uint8_t* line = pair + 64 + b * 256 + 4 * row;
#pragma GCC unroll 4
    for (size_t quad = 0; quad < 4; ++quad) {
      QuadWeights low;
      QuadWeights high;
      quads_q4(line + 64 * quad, low, high);
#pragma GCC unroll 8
      for (size_t t = 0; t < kTokens; ++t) {
        quads_dot(sums[t], low, quants[t] + 64 * b + 8 * quad);
        quads_dot(sums[t], high, quants[t] + 64 * b + 32 + 8 * quad);
      }
    }
  }
};

// How far ahead of its use a line is asked for. The processor's own prefetching stops at page ends.
constexpr size_t kPrefetchBytes = 4096;

template <class Format>
AC_INLINE void prefetch_pair(const uint8_t* pair) {
#pragma GCC unroll 17
  for (size_t line = 0; line < Format::kPairBytes; line += 64) {
    prefetch(pair + kPrefetchBytes + line);
  }
}

// One group of 16 rows times kTokens tokens from `token` on.
template <class Format, size_t kTokens>
void multiply_group(const MatmulArgs& args, size_t group, size_t token, bool is_streamed) {
  constexpr size_t kVectors = 16 / kLanes;
  const size_t n_pairs = (args.n_in + 63) / 64;
  const uint8_t* pair =
      reinterpret_cast<const uint8_t*>(args.weights) + group * n_pairs * Format::kPairBytes;
  const uint8_t* quants[kTokens];
  const float* scales[kTokens];
  const int32_t* block_sums[kTokens];
  F32 total[kTokens][kVectors];
#pragma GCC unroll 8
  for (size_t t = 0; t < kTokens; ++t) {
    const TokenBlocks blocks = token_blocks(args.activations, token + t, args.n_in);
    quants[t] = blocks.quants;
    scales[t] = blocks.scales;
    block_sums[t] = blocks.sums;
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) total[t][v] = zero();
  }
  for (size_t p = 0; p < n_pairs; ++p) {
    if (is_streamed) prefetch_pair<Format>(pair);
    for (size_t b = 0; b < 2; ++b) {
#pragma GCC unroll 4
      for (size_t v = 0; v < kVectors; ++v) {
        // Activations are to be read again for every vector: kept from one to the next, all 64
        // broadcasts of a block would move to the stack and back, at half the speed.
        __asm__ volatile("" ::: "memory");
        const F32 weight_scale =
            load_f16(reinterpret_cast<const uint16_t*>(pair) + 16 * b + v * kLanes);
        QuadSum sums[kTokens];
#pragma GCC unroll 8
        for (size_t t = 0; t < kTokens; ++t) {
          sums[t] = quads_start(Format::kBias == 0 ? 0 : -Format::kBias * block_sums[t][b]);
        }
        Format::template dot<kTokens>(pair, b, v * kLanes, quants, sums);
#pragma GCC unroll 8
        for (size_t t = 0; t < kTokens; ++t) {
          total[t][v] =
              fma(quads_total(sums[t]), mul(weight_scale, splat(scales[t][b])), total[t][v]);
        }
      }
    }
    pair += Format::kPairBytes;
#pragma GCC unroll 8
    for (size_t t = 0; t < kTokens; ++t) {
      quants[t] += 128;
      scales[t] += 2;
      block_sums[t] += 2;
    }
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

// Tokens that share one pass over a group's weights; as many as the accumulators have registers
// for.
constexpr size_t kMaxTokens = kLanes == 16 ? 8 : 4;
// Weights of a panel of groups stay in the L2 cache while all tokens go by.
constexpr size_t kPanelBytes = 512 * 1024;

template <class Format>
void multiply_tokens(const MatmulArgs& args, size_t group, size_t token, size_t n_tokens,
                     bool is_streamed) {
  switch (n_tokens) {
    case 1:
      return multiply_group<Format, 1>(args, group, token, is_streamed);
    case 2:
      return multiply_group<Format, 2>(args, group, token, is_streamed);
    case 3:
      return multiply_group<Format, 3>(args, group, token, is_streamed);
    case 4:
      return multiply_group<Format, 4>(args, group, token, is_streamed);
    default:
      break;
  }
  if constexpr (kMaxTokens == 8) {
    switch (n_tokens) {
      case 5:
        return multiply_group<Format, 5>(args, group, token, is_streamed);
      case 6:
        return multiply_group<Format, 6>(args, group, token, is_streamed);
      case 7:
        return multiply_group<Format, 7>(args, group, token, is_streamed);
      default:
        return multiply_group<Format, 8>(args, group, token, is_streamed);
    }
  }
}

template <class Format>
void multiply_blocks(const MatmulArgs& args) noexcept {
  const size_t group_bytes = (args.n_in + 63) / 64 * Format::kPairBytes;
  const size_t group_end = (args.row_end + 15) / 16;
  size_t panel = kPanelBytes / group_bytes;
  if (panel < 1) panel = 1;
  for (size_t begin = args.row_begin / 16; begin < group_end; begin += panel) {
    const size_t end = begin + panel < group_end ? begin + panel : group_end;
    for (size_t token = 0; token < args.n_tokens; token += kMaxTokens) {
      const size_t left = args.n_tokens - token;
      const size_t n_tokens = left < kMaxTokens ? left : kMaxTokens;
      for (size_t group = begin; group < end; ++group) {
        multiply_tokens<Format>(args, group, token, n_tokens, token == 0);
      }
    }
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
