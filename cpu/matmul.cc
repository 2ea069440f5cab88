#include "cpu/matmul.h"

#include <algorithm>

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

// From how many tokens on a panel of weights, converted once for all of them, pays.
constexpr size_t kMinTokensAmx = 16;
constexpr size_t kMinTokensTiles = 6;

size_t padded_columns(size_t n_in) { return (n_in + 63) / 64 * 64; }

// See kernels/amx_inl.h: a panel of bf16 that takes half of an L2 cache of 2 MiB, and 16 rows of
// f32 where a format is decoded. 4096 more for the alignment that tiles need.
MatmulPlan plan_amx(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  constexpr size_t kPanelBytes = size_t{1} << 20;
  const size_t columns = padded_columns(matrix.n_in);
  const size_t panel_rows = std::max<size_t>(1, kPanelBytes / (32 * columns * 2)) * 32;
  MatmulPlan plan = {.kernel = kernels.amx_decoded,
                     .prepare = kernels.prepare_bf16_tiles,
                     .activation_layout = ActivationLayout::kBf16Tiles,
                     .n_tokens = n_tokens,
                     .activation_bytes = (n_tokens + 31) / 32 * 32 * columns * 2 + 4096,
                     .scratch_bytes = panel_rows * columns * 2 + 4096 + 2048,
                     .panel_rows = panel_rows,
                     .row_step = 32};
  if (matrix.format == WeightFormat::kQ8_0_R16) {
    plan.kernel = kernels.amx_q8_0_r16;
  } else if (matrix.format == WeightFormat::kQ4_0_R16) {
    plan.kernel = kernels.amx_q4_0_r16;
  } else {
    plan.scratch_bytes += 16 * columns * sizeof(float);
  }
  return plan;
}

// See kernels/tiles_inl.h: at most 32 rows of f32 in a panel, and 16 more where a format is
// decoded.
MatmulPlan plan_tiles(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  MatmulPlan plan = {.activation_layout = ActivationLayout::kRows,
                     .n_tokens = n_tokens,
                     .scratch_bytes = 32 * matrix.n_in * sizeof(float),
                     .row_step = 32};
  if (matrix.format == WeightFormat::kF32) {
    plan.kernel = kernels.tiles_f32;
  } else if (matrix.format == WeightFormat::kF16) {
    plan.kernel = kernels.tiles_f16;
  } else if (matrix.format == WeightFormat::kBF16) {
    plan.kernel = kernels.tiles_bf16;
  } else {
    plan.kernel = kernels.tiles_decoded;
    plan.scratch_bytes += 16 * matrix.n_in * sizeof(float);
  }
  return plan;
}

bool is_float(WeightFormat format) {
  return format == WeightFormat::kF32 || format == WeightFormat::kF16 ||
         format == WeightFormat::kBF16;
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
    plan.kernel = kernels.rows_decoded;
    plan.scratch_bytes = matrix.n_in * sizeof(float);
  }
  return plan;
}

}  // namespace

MatmulPlan plan_matmul(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  const bool packed =
      matrix.format == WeightFormat::kQ8_0_R16 || matrix.format == WeightFormat::kQ4_0_R16;
  AC_CHECK(packed || is_float(matrix.format) || matrix.decode_row != nullptr);
  // Matrices kept in floating point are not rounded further: no bf16 products for them.
  if (kernels.amx_decoded != nullptr && n_tokens >= kMinTokensAmx && !is_float(matrix.format)) {
    return plan_amx(kernels, matrix, n_tokens);
  }
  if (packed) return plan_blocks(kernels, matrix, n_tokens);
  if (n_tokens >= kMinTokensTiles) return plan_tiles(kernels, matrix, n_tokens);
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
               .scratch = scratch,
               .panel_rows = plan.panel_rows});
}

}  // namespace ac::cpu
