// Single rows of a table of weights, in any format, as f32.
#pragma once

#include "cpu/kernels/small_kernels.h"
#include "cpu/matmul.h"

namespace ac::cpu {

// Row `row` of the matrix, with its residual -> out [n_in]. `scratch` [n_in] is needed where there
// is a residual. REQUIRES: row < n_out.
void decode_matrix_row(const SmallKernels& kernels, const Matrix& matrix, size_t row, float* out,
                       float* scratch) noexcept;

}  // namespace ac::cpu
