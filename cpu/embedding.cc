#include "cpu/embedding.h"

#include "cpu/formats/codecs.h"
#include "cpu/formats/packed.h"

namespace ac::cpu {

void decode_matrix_row(const SmallKernels& kernels, const Matrix& matrix, size_t row, float* out,
                       float* scratch) noexcept {
  if (unpacked_format(matrix.format) != matrix.format) {
    decode_packed_row(matrix.format, matrix.data, matrix.n_in, row, out);
    if (matrix.residual == nullptr) return;
    decode_packed_row(matrix.format, matrix.residual, matrix.n_in, row, scratch);
    kernels.add(out, scratch, matrix.n_in);
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
