#include "cpu/formats/codecs.h"

#include "cpu/formats/bf16.h"
#include "cpu/formats/f16.h"
#include "cpu/formats/f32.h"
#include "cpu/formats/q2_k.h"
#include "cpu/formats/q3_k.h"
#include "cpu/formats/q4_0.h"
#include "cpu/formats/q4_1.h"
#include "cpu/formats/q4_k.h"
#include "cpu/formats/q5_0.h"
#include "cpu/formats/q5_1.h"
#include "cpu/formats/q5_k.h"
#include "cpu/formats/q6_k.h"
#include "cpu/formats/q8_0.h"
#include "runtime/core/check.h"

namespace ac::cpu {
namespace {

template <class Format>
void decode(const std::byte* row, float* out, size_t n) noexcept {
  AC_CHECK(n % Format::kBlockWeights == 0);
  for (size_t i = 0; i < n; i += Format::kBlockWeights, row += Format::kBlockBytes) {
    Format::decode_block(row, out + i);
  }
}

template <class Format>
void encode(const float* in, std::byte* row, size_t n) noexcept {
  AC_CHECK(n % Format::kBlockWeights == 0);
  for (size_t i = 0; i < n; i += Format::kBlockWeights, row += Format::kBlockBytes) {
    Format::encode_block(in + i, row);
  }
}

template <class Format>
constexpr Codec reads_and_writes(WeightFormat format) {
  return {format, decode<Format>, encode<Format>};
}
template <class Format>
constexpr Codec reads(WeightFormat format) {
  return {format, decode<Format>, nullptr};
}
constexpr Codec packed(WeightFormat format) { return {format, nullptr, nullptr}; }

}  // namespace

const Codec& codec(WeightFormat format) {
  static constexpr Codec kF32 = reads_and_writes<F32>(WeightFormat::kF32);
  static constexpr Codec kF16 = reads_and_writes<F16>(WeightFormat::kF16);
  static constexpr Codec kBF16 = reads_and_writes<BF16>(WeightFormat::kBF16);
  static constexpr Codec kQ8_0 = reads_and_writes<Q8_0>(WeightFormat::kQ8_0);
  static constexpr Codec kQ4_0 = reads_and_writes<Q4_0>(WeightFormat::kQ4_0);
  static constexpr Codec kQ4_1 = reads_and_writes<Q4_1>(WeightFormat::kQ4_1);
  static constexpr Codec kQ5_0 = reads_and_writes<Q5_0>(WeightFormat::kQ5_0);
  static constexpr Codec kQ5_1 = reads_and_writes<Q5_1>(WeightFormat::kQ5_1);
  static constexpr Codec kQ2_K = reads<Q2_K>(WeightFormat::kQ2_K);
  static constexpr Codec kQ3_K = reads<Q3_K>(WeightFormat::kQ3_K);
  static constexpr Codec kQ4_K = reads_and_writes<Q4_K>(WeightFormat::kQ4_K);
  static constexpr Codec kQ5_K = reads<Q5_K>(WeightFormat::kQ5_K);
  static constexpr Codec kQ6_K = reads_and_writes<Q6_K>(WeightFormat::kQ6_K);
  static constexpr Codec kQ8_0_R16 = packed(WeightFormat::kQ8_0_R16);
  static constexpr Codec kQ6_K_R16 = packed(WeightFormat::kQ6_K_R16);
  static constexpr Codec kQ5_K_R16 = packed(WeightFormat::kQ5_K_R16);
  static constexpr Codec kQ5_1_R16 = packed(WeightFormat::kQ5_1_R16);
  static constexpr Codec kQ5_0_R16 = packed(WeightFormat::kQ5_0_R16);
  static constexpr Codec kQ4_K_R16 = packed(WeightFormat::kQ4_K_R16);
  static constexpr Codec kQ4_1_R16 = packed(WeightFormat::kQ4_1_R16);
  static constexpr Codec kQ4_0_R16 = packed(WeightFormat::kQ4_0_R16);
  static constexpr Codec kQ3_K_R16 = packed(WeightFormat::kQ3_K_R16);
  static constexpr Codec kQ2_K_R16 = packed(WeightFormat::kQ2_K_R16);
  switch (format) {  // no default: a new format without a codec does not compile
    case WeightFormat::kF32:
      return kF32;
    case WeightFormat::kF16:
      return kF16;
    case WeightFormat::kBF16:
      return kBF16;
    case WeightFormat::kQ8_0:
      return kQ8_0;
    case WeightFormat::kQ4_0:
      return kQ4_0;
    case WeightFormat::kQ4_1:
      return kQ4_1;
    case WeightFormat::kQ5_0:
      return kQ5_0;
    case WeightFormat::kQ5_1:
      return kQ5_1;
    case WeightFormat::kQ2_K:
      return kQ2_K;
    case WeightFormat::kQ3_K:
      return kQ3_K;
    case WeightFormat::kQ4_K:
      return kQ4_K;
    case WeightFormat::kQ5_K:
      return kQ5_K;
    case WeightFormat::kQ6_K:
      return kQ6_K;
    case WeightFormat::kQ8_0_R16:
      return kQ8_0_R16;
    case WeightFormat::kQ6_K_R16:
      return kQ6_K_R16;
    case WeightFormat::kQ5_K_R16:
      return kQ5_K_R16;
    case WeightFormat::kQ5_1_R16:
      return kQ5_1_R16;
    case WeightFormat::kQ5_0_R16:
      return kQ5_0_R16;
    case WeightFormat::kQ4_K_R16:
      return kQ4_K_R16;
    case WeightFormat::kQ4_1_R16:
      return kQ4_1_R16;
    case WeightFormat::kQ4_0_R16:
      return kQ4_0_R16;
    case WeightFormat::kQ3_K_R16:
      return kQ3_K_R16;
    case WeightFormat::kQ2_K_R16:
      return kQ2_K_R16;
  }
  check_failed("known weight format", __FILE__, __LINE__);
}

size_t row_bytes(WeightFormat format, size_t n) {
  const WeightFormatInfo& info = weight_format_info(format);
  AC_CHECK(info.group_rows == 1 && n % info.block_weights == 0);
  return n / info.block_weights * info.block_bytes;
}

}  // namespace ac::cpu
