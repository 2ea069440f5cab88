// The packed weight formats `_r16`: 16 rows interleaved, in the order in which the kernels of every
// instruction set read them. They hold the same numbers as their GGUF namesakes, and nothing is
// rounded: packing is a bijection (but for padding, which is zeros).
//
// A matrix [n_out, n_in] is padded to whole groups of 16 rows and whole units of 64 columns, or of
// 256 for the K-quants:
//
//   matrix = groups, from row 0 on; a group is 16 consecutive rows
//   group  = units, from column 0 on
//   unit   = a head of scales, then blocks of 32 columns (2, or 8), each in lines of 64 bytes
//   line   = a 32-bit word for each of the 16 rows
//
// So a line has for each row what dot product instructions (dpbusd, sdot) take, with a row in each
// lane, so that no sum over lanes is ever needed. A "quad" is four consecutive columns: quad j of a
// block is columns 4j .. 4j+3, byte i of a word belongs to column 4j + i.
//
//            unit bytes  head (each of 16 rows)                       lines of a block
//   Q8_0         1088    d f16[2 blocks]                              8 codes
//   Q4_0          576    d f16[2]                                     4 nibbles
//   Q4_1          640    d f16[2], m f16[2]                           4 nibbles
//   Q5_0          704    d f16[2]                                     4 nibbles, 1 fifths
//   Q5_1          768    d f16[2], m f16[2]                           4 nibbles, 1 fifths
//   Q4_K         2368    d f16, -d_min f16, scale u8[8], min u8[8]    4 nibbles
//   Q5_K         2880    d f16, -d_min f16, scale u8[8], min u8[8]    4 nibbles, 1 fifths
//   Q6_K         3392    d f16, zero f16, s i8[8][2]                  of each half of 16 columns:
//                                                                     2 half nibbles, 1 pairs
//   Q3_K         1856    d f16, zero f16, s - 32 i8[8][2]             1 pairs of each half, 1 thirds
//   Q2_K         1344    d f16, -d_min f16, s u8[8][2]                1 pairs of each half
//
//   codes        line j: int8 of quad j
//   nibbles      line j, j in 0..3: quad j in the low nibbles, quad j + 4 in the high ones
//   half nibbles line j, j in 0..1, of half h: quad 4h + j low, quad 4h + 2 + j high
//   pairs        bits 2j+1 .. 2j of the word's bytes: two bits of quad 4h + j, j in 0..3
//   fifths, thirds    bit j of the word's bytes: the highest bit of quad j, j in 0..7
//
// The meaning of d, scale, s ... is that of the GGUF blocks, drawn in the header of each format.
// The K-quants' 6-bit scales take whole bytes here, so those formats have up to 5 % more bytes than
// in GGUF.
#pragma once

#include <cstdint>

#include "cpu/kernel_table.h"
#include "runtime/core/weight_format.h"

namespace ac::cpu {

inline constexpr int64_t kPackedRows = 16;     // rows in a group
inline constexpr int64_t kPackedColumns = 64;  // columns in a unit, but for the K-quants
inline constexpr int64_t kPairBytesQ8 = 1088;  // 64 of scales, 16 lines
inline constexpr int64_t kPairBytesQ4 = 576;   // 64 of scales, 8 lines

inline constexpr int64_t packed_groups(int64_t n_out) {
  return (n_out + kPackedRows - 1) / kPackedRows;
}
inline constexpr int64_t packed_pairs(int64_t n_in) {
  return (n_in + kPackedColumns - 1) / kPackedColumns;
}

// The packed form of a format, and back: the same format where it has none, or is one.
WeightFormat packed_format(WeightFormat format);    // kQ8_0 -> kQ8_0_R16
WeightFormat unpacked_format(WeightFormat format);  // kQ8_0_R16 -> kQ8_0

// Rewrites the groups [group_begin, group_end) of `from`, the whole matrix [n_out, n_in] in
// `format`, as its packed form in `to`. Groups are independent: call it from several threads on
// disjoint ranges. REQUIRES: packed_format(format) != format; n_in is whole blocks; `to` 64-byte
// aligned.
void pack_groups(const MatmulKernels& kernels, WeightFormat format, const PackArgs& args);
// The reverse; `format` is the unpacked one.
void unpack_groups(const MatmulKernels& kernels, WeightFormat format, const PackArgs& args);

// Row `row` of a packed matrix [.., n_in] as f32: the same bits as those of its GGUF row.
void decode_packed_row(WeightFormat packed, const std::byte* data, size_t n_in, size_t row,
                       float* out) noexcept;

}  // namespace ac::cpu
