// How weights are written down: the one table of formats, and the one function that computes how
// many bytes a tensor takes.
//
// Codecs (encode, decode, dot products) live in cpu/formats, one header a format.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "runtime/core/result.h"

namespace ac {

// The values are the tensor type ids of GGUF. They are on disk: never renumber.
// The `_r16` formats are this project's: the same numbers as the format they are named after, with
// 16 rows interleaved so that kernels read them in order (drawn in cpu/formats/packed.h). They occur
// only inside a zoo; `zoo extract` turns them back. Their id is that of their namesake, plus "AC".
enum class WeightFormat : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kBF16 = 30,
  kQ4_0_R16 = 0x41430002,
  kQ4_1_R16 = 0x41430003,
  kQ5_0_R16 = 0x41430006,
  kQ5_1_R16 = 0x41430007,
  kQ8_0_R16 = 0x41430008,
  kQ2_K_R16 = 0x4143000a,
  kQ3_K_R16 = 0x4143000b,
  kQ4_K_R16 = 0x4143000c,
  kQ5_K_R16 = 0x4143000d,
  kQ6_K_R16 = 0x4143000e,
};

struct WeightFormatInfo {
  WeightFormat format;
  std::string_view name;     // as users write it: "q8_0"
  uint32_t block_weights;    // weights that share a block along a row; a row must be a multiple
  uint32_t block_bytes;      // bytes of one block (of one row)
  uint32_t group_rows;       // rows interleaved (1, or 16 for the packed formats)
  uint32_t group_pad_weights;  // packed formats pad a row to a multiple of this
  double bits_per_weight;
};

// All formats, in the order in which they are listed to users.
std::span<const WeightFormatInfo> weight_formats();

// REQUIRES: `format` came from weight_format_from_id or is one of the enumerators.
const WeightFormatInfo& weight_format_info(WeightFormat format);

std::optional<WeightFormat> weight_format_from_id(uint32_t gguf_type);
std::optional<WeightFormat> weight_format_from_name(std::string_view name);

// Bytes of a row-major tensor whose last axis is contiguous. This is the only place that computes
// the size of a tensor. `shape` has 1 to 4 axes, outermost first.
// Errors: kCorruptFile when an axis is zero or negative, when a row is not whole blocks, or when the
// size does not fit 63 bits.
Result<uint64_t> tensor_bytes(WeightFormat format, std::span<const int64_t> shape);

}  // namespace ac
