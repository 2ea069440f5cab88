// Activations in int16 per block of 32 columns, for the packed formats.
//
// Why 16 bits: with activations rounded to 8 bits per block each product has a relative squared
// error of 3e-5, which over the layers of a model adds up to more than all else; with 16 it is
// 5e-10. The second byte costs dot products, of which a processor waiting for memory has plenty.
//
// A token is records of 80 bytes, one for each block, padded with zeros to an even number:
//
//   quants  [8 quads][8 bytes]   a quad is four consecutive columns k, as
//                                  planes: high bytes of k0 k1 k2 k3, then their low bytes
//                                  else:   int16 k0 k2 k1 k3
//   scale   f32                  x = scale * quant; |quant| <= 32512 = 127 * 256
//   total   f32                  scale * the sum of the 32 quants: what the offset of a weight
//                                format is multiplied with
//   sums    [2] i32              of the first and the last 16 quants; kernels that add a bias to
//                                weights take bias * sum away
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

constexpr float kMaxQuant = 32512.0f;
constexpr size_t kRecordBytes = 80;

// What follows the quants of a record.
struct BlockSums {
  float scale;
  float total;
  int32_t sums[2];
};

// Bytes of one token.
AC_INLINE size_t blocks_token_bytes(size_t n_in) { return (n_in + 63) / 64 * 2 * kRecordBytes; }

AC_INLINE const BlockSums& block_sums(const uint8_t* record) {
  return *reinterpret_cast<const BlockSums*>(record + 64);
}

// 32 columns into a record.
AC_INLINE void quantize_block(const float* x, uint8_t* record) {
  F32 largest = zero();
  for (size_t i = 0; i < 32; i += kLanes) largest = vmax(largest, vabs(load(x + i)));
  const float limit = reduce_max(largest);
  // A block of zeros, or of numbers too small to divide by, is zeros. Anything not finite comes out
  // as a scale that is not finite, and so as an output that is not.
  const bool tiny = limit < 1e-30f;
  const float inverse = tiny ? 0.0f : kMaxQuant / limit;
  BlockSums sums = {tiny ? 0.0f : limit / kMaxQuant, 0.0f, {0, 0}};
  float rounded[32];
  for (size_t i = 0; i < 32; i += kLanes) {
    store(rounded + i, to_f32(to_i32(mul(load(x + i), splat(inverse)))));
  }
  for (size_t quad = 0; quad < 8; ++quad) {
    int32_t q[4];
    for (size_t i = 0; i < 4; ++i) {
      q[i] = static_cast<int32_t>(rounded[4 * quad + i]);
      sums.sums[quad / 4] += q[i];
    }
    uint8_t* out = record + 8 * quad;
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
  sums.total = sums.scale * static_cast<float>(sums.sums[0] + sums.sums[1]);
  __builtin_memcpy(record + 64, &sums, sizeof(sums));
}

void prepare_blocks(const PrepareArgs& args) noexcept {
  const size_t n_blocks = (args.n_in + 63) / 64 * 2;
  for (size_t token = args.token_begin; token < args.token_end; ++token) {
    const float* x = args.x + token * args.x_stride;
    uint8_t* record = static_cast<uint8_t*>(args.out) + token * blocks_token_bytes(args.n_in);
    for (size_t block = 0; block < n_blocks; ++block, record += kRecordBytes) {
      const size_t column = 32 * block;
      if (column + 32 <= args.n_in) {
        quantize_block(x + column, record);
        continue;
      }
      float padded[32];
      for (size_t i = 0; i < 32; ++i) padded[i] = column + i < args.n_in ? x[column + i] : 0.0f;
      quantize_block(padded, record);
    }
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
