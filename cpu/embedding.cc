#include "cpu/embedding.h"

#include <cstring>

#include "cpu/formats/codecs.h"
#include "cpu/formats/f16.h"
#include "cpu/formats/packed.h"

namespace ac::cpu {
namespace {

// The layout is drawn in formats/packed.h: pairs of blocks of 16 rows; a quad is 4 bytes of one
// row.
template <bool kNibbles>
void decode_packed_row(const std::byte* data, size_t n_in, size_t row, float* out) {
  constexpr size_t kPairBytes = kNibbles ? kPairBytesQ4 : kPairBytesQ8;
  const auto n_pairs = static_cast<size_t>(packed_pairs(static_cast<int64_t>(n_in)));
  const std::byte* pair = data + row / 16 * n_pairs * kPairBytes;
  const size_t lane = row % 16;
  for (size_t column = 0; column < n_in; column += 32) {
    const size_t block = column / 32 % 2;
    if (column > 0 && block == 0) pair += kPairBytes;
    const float d = f16_to_f32(load_unaligned<uint16_t>(pair + (block * 16 + lane) * 2));
    const std::byte* lines = pair + 64 + block * (kNibbles ? 4 : 8) * 64 + lane * 4;
    for (size_t i = 0; i < (kNibbles ? 16 : 32); ++i) {
      const std::byte quant = lines[i / 4 * 64 + i % 4];
      if constexpr (kNibbles) {
        const auto both = static_cast<int32_t>(quant);
        out[column + i] = d * static_cast<float>((both & 15) - 8);
        out[column + i + 16] = d * static_cast<float>((both >> 4) - 8);
      } else {
        out[column + i] = d * static_cast<float>(static_cast<int8_t>(quant));
      }
    }
  }
}

}  // namespace

void decode_matrix_row(const SmallKernels& kernels, const Matrix& matrix, size_t row,
                       float* out) noexcept {
  if (matrix.format == WeightFormat::kQ8_0_R16) {
    decode_packed_row<false>(matrix.data, matrix.n_in, row, out);
    return;
  }
  if (matrix.format == WeightFormat::kQ4_0_R16) {
    decode_packed_row<true>(matrix.data, matrix.n_in, row, out);
    return;
  }
  const std::byte* bytes = matrix.data + row * matrix.row_bytes;
  const bool aligned = reinterpret_cast<uintptr_t>(bytes) % alignof(uint16_t) == 0;
  if (matrix.format == WeightFormat::kF16 && aligned) {
    kernels.decode_f16(reinterpret_cast<const uint16_t*>(bytes), out, matrix.n_in);
    return;
  }
  codec(matrix.format).decode_row(bytes, out, matrix.n_in);
}

}  // namespace ac::cpu
