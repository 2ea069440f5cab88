#include "cpu/matmul.h"

#include "runtime/core/check.h"

namespace ac::cpu {
namespace {

// Bytes that prepare_blocks writes for one token: see kernels/packed_inl.h.
size_t blocks_bytes(size_t n_in, size_t n_tokens) { return (n_in + 63) / 64 * 2 * 72 * n_tokens; }

MatmulPlan plan_blocks(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  return {.kernel = matrix.format == WeightFormat::kQ8_0_R16 ? kernels.blocks_q8_0_r16
                                                             : kernels.blocks_q4_0_r16,
          .prepare = kernels.prepare_blocks,
          .activation_layout = ActivationLayout::kBlocks,
          .n_tokens = n_tokens,
          .activation_bytes = blocks_bytes(matrix.n_in, n_tokens)};
}

MatmulPlan plan_rows(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  MatmulPlan plan = {.activation_layout = ActivationLayout::kRows, .n_tokens = n_tokens};
  if (matrix.format == WeightFormat::kF32) {
    plan.kernel = kernels.rows_f32;
  } else if (matrix.format == WeightFormat::kF16) {
    plan.kernel = kernels.rows_f16;
  } else if (matrix.format == WeightFormat::kBF16) {
    plan.kernel = kernels.rows_bf16;
  } else {
    AC_CHECK(matrix.decode_row != nullptr);
    plan.kernel = kernels.rows_decoded;
    plan.scratch_bytes = matrix.n_in * sizeof(float);
  }
  return plan;
}

}  // namespace

MatmulPlan plan_matmul(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  if (matrix.format == WeightFormat::kQ8_0_R16 || matrix.format == WeightFormat::kQ4_0_R16) {
    return plan_blocks(kernels, matrix, n_tokens);
  }
  return plan_rows(kernels, matrix, n_tokens);
}

void prepare_activations(const MatmulPlan& plan, const float* x, size_t n_in, size_t token_begin,
                         size_t token_end, void* activations) noexcept {
  if (plan.prepare == nullptr) return;
  plan.prepare({.x = x,
                .x_stride = n_in,
                .n_in = n_in,
                .n_tokens = plan.n_tokens,
                .token_begin = token_begin,
                .token_end = token_end,
                .out = activations});
}

void run_matmul(const MatmulPlan& plan, const Matrix& matrix, const void* activations,
                size_t row_begin, size_t row_end, float* y, size_t y_stride, const float* bias,
                void* scratch) noexcept {
  plan.kernel({.weights = matrix.data,
               .row_bytes = matrix.row_bytes,
               .decode_row = matrix.decode_row,
               .n_out = matrix.n_out,
               .n_in = matrix.n_in,
               .row_begin = row_begin,
               .row_end = row_end,
               .n_tokens = plan.n_tokens,
               .activations = activations,
               .y = y,
               .y_stride = y_stride,
               .bias = bias,
               .scratch = scratch});
}

}  // namespace ac::cpu
