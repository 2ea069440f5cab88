#include "cpu/formats/packed.h"

#include <algorithm>
#include <cstring>

#include "cpu/formats/codecs.h"
#include "cpu/formats/packed_lanes.h"
#include "cpu/formats/q4_0.h"
#include "cpu/formats/q8_0.h"
#include "runtime/core/check.h"

namespace ac::cpu {
namespace {

// "AC" in the upper half of an id: runtime/core/weight_format.h.
constexpr uint32_t kPackedId = 0x41430000;

// The lanes of Q8_0 and Q4_0, for single rows: whole groups have kernels.
template <class Gguf>
struct LaneOfWords {
  static constexpr size_t kUnitBlocks = 2;
  static constexpr size_t kLines = Gguf::kBlockBytes / 4;
  static constexpr size_t kUnitBytes = 64 + 2 * 64 * kLines;

  template <Direction kDirection>
  static void convert(std::byte* block, size_t b, Lane lane) {
    move_bytes<kDirection>(block, lane.half(32 * b), 2);
    for (size_t j = 0; j < kLines; ++j) {
      move_bytes<kDirection>(block + 2 + 4 * j, lane.word(64 + 64 * (kLines * b + j)), 4);
    }
  }
};

// Both directions of a whole range of groups. One of the two matrices is written.
template <Direction kDirection, class LaneOf>
void convert_groups(WeightFormat format, std::byte* rows, std::byte* packed, const PackArgs& args) {
  const WeightFormatInfo& info = weight_format_info(format);
  const size_t n_blocks = args.n_in / info.block_weights;
  const size_t n_units = (n_blocks + LaneOf::kUnitBlocks - 1) / LaneOf::kUnitBlocks;
  for (size_t group = args.group_begin; group < args.group_end; ++group) {
    const size_t n_rows = std::min<size_t>(args.n_out - 16 * group, 16);
    for (size_t u = 0; u < n_units; ++u) {
      std::byte* unit = packed + (group * n_units + u) * LaneOf::kUnitBytes;
      if constexpr (kDirection == Direction::kPack) std::memset(unit, 0, LaneOf::kUnitBytes);
      const size_t end = std::min(LaneOf::kUnitBlocks, n_blocks - u * LaneOf::kUnitBlocks);
      for (size_t r = 0; r < n_rows; ++r) {
        std::byte* block =
            rows + ((16 * group + r) * n_blocks + u * LaneOf::kUnitBlocks) * info.block_bytes;
        for (size_t b = 0; b < end; ++b, block += info.block_bytes) {
          LaneOf::template convert<kDirection>(block, b, Lane(unit, r));
        }
      }
    }
  }
}

template <class LaneOf>
void decode_lane(WeightFormat format, const std::byte* data, size_t n_in, size_t row, float* out) {
  const WeightFormatInfo& info = weight_format_info(format);
  const auto decode = codec(format).decode_row;
  const size_t n_blocks = n_in / info.block_weights;
  const size_t n_units = (n_blocks + LaneOf::kUnitBlocks - 1) / LaneOf::kUnitBlocks;
  std::byte block[256];
  for (size_t i = 0; i < n_blocks; ++i, out += info.block_weights) {
    const std::byte* unit =
        data + (row / 16 * n_units + i / LaneOf::kUnitBlocks) * LaneOf::kUnitBytes;
    // Unpacking only reads the lane.
    const Lane lane(const_cast<std::byte*>(unit), row % 16);
    LaneOf::template convert<Direction::kUnpack>(block, i % LaneOf::kUnitBlocks, lane);
    decode(block, out, info.block_weights);
  }
}

// Calls `action` with the lane of a format that has one, nullptr-typed.
template <class Action>
void with_lane(WeightFormat format, const Action& action) {
  switch (format) {
    case WeightFormat::kQ8_0:
      return action(LaneOfWords<Q8_0>());
    case WeightFormat::kQ6_K:
      return action(LaneQ6_K());
    case WeightFormat::kQ5_K:
      return action(LaneQ5_K());
    case WeightFormat::kQ5_1:
      return action(LaneQ5_1());
    case WeightFormat::kQ5_0:
      return action(LaneQ5_0());
    case WeightFormat::kQ4_K:
      return action(LaneQ4_K());
    case WeightFormat::kQ4_1:
      return action(LaneQ4_1());
    case WeightFormat::kQ4_0:
      return action(LaneOfWords<Q4_0>());
    case WeightFormat::kQ3_K:
      return action(LaneQ3_K());
    case WeightFormat::kQ2_K:
      return action(LaneQ2_K());
    default:
      check_failed("a format with a packed form", __FILE__, __LINE__);
  }
}

template <Direction kDirection>
void convert_any(WeightFormat format, std::byte* rows, std::byte* packed, const PackArgs& args) {
  with_lane(format, [&](auto lane) {
    convert_groups<kDirection, decltype(lane)>(format, rows, packed, args);
  });
}

}  // namespace

WeightFormat packed_format(WeightFormat format) {
  return weight_format_from_id(static_cast<uint32_t>(format) | kPackedId).value_or(format);
}

WeightFormat unpacked_format(WeightFormat format) {
  const auto id = static_cast<uint32_t>(format);
  return (id & 0xffff0000) == kPackedId ? *weight_format_from_id(id & 0xffff) : format;
}

void pack_groups(const MatmulKernels& kernels, WeightFormat format, const PackArgs& args) {
  AC_CHECK(args.n_in % weight_format_info(format).block_weights == 0);
  if (format == WeightFormat::kQ8_0) return kernels.pack_q8_0(args);
  if (format == WeightFormat::kQ4_0) return kernels.pack_q4_0(args);
  convert_any<Direction::kPack>(
      format, const_cast<std::byte*>(static_cast<const std::byte*>(args.from)),
      static_cast<std::byte*>(args.to), args);
}

void unpack_groups(const MatmulKernels& kernels, WeightFormat format, const PackArgs& args) {
  AC_CHECK(args.n_in % weight_format_info(format).block_weights == 0);
  if (format == WeightFormat::kQ8_0) return kernels.unpack_q8_0(args);
  if (format == WeightFormat::kQ4_0) return kernels.unpack_q4_0(args);
  convert_any<Direction::kUnpack>(
      format, static_cast<std::byte*>(args.to),
      const_cast<std::byte*>(static_cast<const std::byte*>(args.from)), args);
}

void decode_packed_row(WeightFormat packed, const std::byte* data, size_t n_in, size_t row,
                       float* out) noexcept {
  const WeightFormat format = unpacked_format(packed);
  with_lane(format, [&](auto lane) { decode_lane<decltype(lane)>(format, data, n_in, row, out); });
}

}  // namespace ac::cpu
