#include "runtime/core/weight_format.h"

#include <array>
#include <limits>

namespace ac {
namespace {

constexpr std::array<WeightFormatInfo, 23> kFormats = {{
    {WeightFormat::kF32, "f32", 1, 4, 1, 1, 32.0},
    {WeightFormat::kF16, "f16", 1, 2, 1, 1, 16.0},
    {WeightFormat::kBF16, "bf16", 1, 2, 1, 1, 16.0},
    {WeightFormat::kQ8_0, "q8_0", 32, 34, 1, 1, 8.5},
    {WeightFormat::kQ6_K, "q6_k", 256, 210, 1, 1, 6.5625},
    {WeightFormat::kQ5_K, "q5_k", 256, 176, 1, 1, 5.5},
    {WeightFormat::kQ5_1, "q5_1", 32, 24, 1, 1, 6.0},
    {WeightFormat::kQ5_0, "q5_0", 32, 22, 1, 1, 5.5},
    {WeightFormat::kQ4_K, "q4_k", 256, 144, 1, 1, 4.5},
    {WeightFormat::kQ4_1, "q4_1", 32, 20, 1, 1, 5.0},
    {WeightFormat::kQ4_0, "q4_0", 32, 18, 1, 1, 4.5},
    {WeightFormat::kQ3_K, "q3_k", 256, 110, 1, 1, 3.4375},
    {WeightFormat::kQ2_K, "q2_k", 256, 84, 1, 1, 2.625},
    {WeightFormat::kQ8_0_R16, "q8_0_r16", 32, 34, 16, 64, 8.5},
    {WeightFormat::kQ6_K_R16, "q6_k_r16", 256, 212, 16, 256, 6.625},
    {WeightFormat::kQ5_K_R16, "q5_k_r16", 256, 180, 16, 256, 5.625},
    {WeightFormat::kQ5_1_R16, "q5_1_r16", 32, 24, 16, 64, 6.0},
    {WeightFormat::kQ5_0_R16, "q5_0_r16", 32, 22, 16, 64, 5.5},
    {WeightFormat::kQ4_K_R16, "q4_k_r16", 256, 148, 16, 256, 4.625},
    {WeightFormat::kQ4_1_R16, "q4_1_r16", 32, 20, 16, 64, 5.0},
    {WeightFormat::kQ4_0_R16, "q4_0_r16", 32, 18, 16, 64, 4.5},
    {WeightFormat::kQ3_K_R16, "q3_k_r16", 256, 116, 16, 256, 3.625},
    {WeightFormat::kQ2_K_R16, "q2_k_r16", 256, 84, 16, 256, 2.625},
}};

bool multiply(uint64_t a, uint64_t b, uint64_t* product) {
  return !__builtin_mul_overflow(a, b, product) &&
         *product <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

uint64_t round_up(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

}  // namespace

std::span<const WeightFormatInfo> weight_formats() { return kFormats; }

const WeightFormatInfo& weight_format_info(WeightFormat format) {
  for (const WeightFormatInfo& info : kFormats) {
    if (info.format == format) return info;
  }
  check_failed("known weight format", __FILE__, __LINE__);
}

std::optional<WeightFormat> weight_format_from_id(uint32_t gguf_type) {
  for (const WeightFormatInfo& info : kFormats) {
    if (static_cast<uint32_t>(info.format) == gguf_type) return info.format;
  }
  return std::nullopt;
}

std::optional<WeightFormat> weight_format_from_name(std::string_view name) {
  for (const WeightFormatInfo& info : kFormats) {
    if (info.name == name) return info.format;
  }
  return std::nullopt;
}

Result<uint64_t> tensor_bytes(WeightFormat format, std::span<const int64_t> shape) {
  const WeightFormatInfo& info = weight_format_info(format);
  if (shape.empty() || shape.size() > 4) {
    return fail(ErrorCode::kCorruptFile, "a tensor has 1 to 4 axes, this one has {}", shape.size());
  }
  for (int64_t axis : shape) {
    if (axis <= 0 || axis > std::numeric_limits<int64_t>::max() / 2) {
      return fail(ErrorCode::kCorruptFile, "a tensor axis has length {}, expected at least 1",
                  axis);
    }
  }
  const auto row_weights = static_cast<uint64_t>(shape.back());
  if (row_weights % info.block_weights != 0) {
    return fail(ErrorCode::kCorruptFile,
                "rows of {} weights are not whole {} blocks, expected a multiple of {}",
                row_weights, info.name, info.block_weights);
  }
  uint64_t n_rows = 1;
  bool fits = true;
  for (size_t i = 0; i + 1 < shape.size(); ++i) {
    fits = fits && multiply(n_rows, static_cast<uint64_t>(shape[i]), &n_rows);
  }
  uint64_t bytes = 0;
  fits = fits && n_rows <= std::numeric_limits<uint64_t>::max() / 2;
  fits = fits && multiply(round_up(row_weights, info.group_pad_weights) / info.block_weights,
                          info.block_bytes, &bytes);
  fits = fits && multiply(bytes, round_up(n_rows, info.group_rows), &bytes);
  if (!fits) {
    return fail(ErrorCode::kCorruptFile, "the size of a tensor of {} axes overflows", shape.size());
  }
  return bytes;
}

}  // namespace ac
