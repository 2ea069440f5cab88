// The packed weight formats: Q8_0 and Q4_0 with 16 rows interleaved, in the order in which the
// kernels of every instruction set read them. They hold the same numbers as their GGUF namesakes in
// as many bytes; packing is a bijection (but for padding, which is zeros).
//
// A matrix [n_out, n_in] is padded to whole groups of 16 rows and whole pairs of blocks, 64
// columns:
//
//   matrix   = groups, from row 0 on; a group is 16 consecutive rows
//   group    = pairs, from column 0 on; a pair is 64 consecutive columns of the 16 rows
//   pair     = 64 bytes of scales, then the quants in lines of 64 bytes
//   scales   = f16 [2 blocks][16 rows]
//   Q8_0     16 lines; line g:  row 0: k=4g 4g+1 4g+2 4g+3 | row 1: ... | ... | row 15     (int8)
//   Q4_0      8 lines; line 4b+j, for block b of the pair and j in 0..3, has in its low nibbles
//            columns 32b + 4j .. 4j+3 of each row, in the high nibbles columns 32b + 16 + 4j .. :
//            the four bytes 4j .. 4j+3 of the row's GGUF block as they are
//
// So a line has for each row a "quad" of four consecutive weights in 32 bits: what dot product
// instructions (dpbusd, sdot) take, with a row in each lane, so that no sum over lanes is ever
// needed; and 16 lines of Q8_0 are the tile that AMX takes as its second operand.
#pragma once

#include <cstdint>

#include "cpu/kernel_table.h"
#include "runtime/core/weight_format.h"

namespace ac::cpu {

inline constexpr int64_t kPackedRows = 16;     // rows in a group
inline constexpr int64_t kPackedColumns = 64;  // columns in a pair of blocks
inline constexpr int64_t kPairBytesQ8 = 1088;  // 64 of scales, 16 lines
inline constexpr int64_t kPairBytesQ4 = 576;   // 64 of scales, 8 lines

inline constexpr int64_t packed_groups(int64_t n_out) {
  return (n_out + kPackedRows - 1) / kPackedRows;
}
inline constexpr int64_t packed_pairs(int64_t n_in) {
  return (n_in + kPackedColumns - 1) / kPackedColumns;
}

// Whether `format` has a packed form, and back. nullopt-free: the same format where it has none.
WeightFormat packed_format(WeightFormat format);    // kQ8_0 -> kQ8_0_R16
WeightFormat unpacked_format(WeightFormat format);  // kQ8_0_R16 -> kQ8_0

// Rewrites the groups [group_begin, group_end) of `from`, the whole matrix [n_out, n_in] in
// `format` (kQ8_0 or kQ4_0), as its packed form in `to`. Groups are independent: call it from
// several threads on disjoint ranges. REQUIRES: n_in a multiple of 32; `to` 64-byte aligned.
void pack_groups(const MatmulKernels& kernels, WeightFormat format, const PackArgs& args);
// The reverse; `format` is the unpacked one.
void unpack_groups(const MatmulKernels& kernels, WeightFormat format, const PackArgs& args);

}  // namespace ac::cpu
