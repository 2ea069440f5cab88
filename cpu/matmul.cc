#include "cpu/matmul.h"

#include <algorithm>

#include "runtime/core/check.h"

namespace ac::cpu {
namespace {

// Null for formats that are not packed.
const PackedKernels* packed_kernels(const MatmulKernels& kernels, WeightFormat format) {
  switch (format) {  // no default: a new format that nothing multiplies does not compile
    case WeightFormat::kQ8_0_R16:
      return &kernels.q8_0_r16;
    case WeightFormat::kQ6_K_R16:
      return &kernels.q6_k_r16;
    case WeightFormat::kQ5_K_R16:
      return &kernels.q5_k_r16;
    case WeightFormat::kQ5_1_R16:
      return &kernels.q5_1_r16;
    case WeightFormat::kQ5_0_R16:
      return &kernels.q5_0_r16;
    case WeightFormat::kQ4_K_R16:
      return &kernels.q4_k_r16;
    case WeightFormat::kQ4_1_R16:
      return &kernels.q4_1_r16;
    case WeightFormat::kQ4_0_R16:
      return &kernels.q4_0_r16;
    case WeightFormat::kQ3_K_R16:
      return &kernels.q3_k_r16;
    case WeightFormat::kQ2_K_R16:
      return &kernels.q2_k_r16;
    case WeightFormat::kF32:
    case WeightFormat::kF16:
    case WeightFormat::kBF16:
    case WeightFormat::kQ8_0:
    case WeightFormat::kQ6_K:
    case WeightFormat::kQ5_K:
    case WeightFormat::kQ5_1:
    case WeightFormat::kQ5_0:
    case WeightFormat::kQ4_K:
    case WeightFormat::kQ4_1:
    case WeightFormat::kQ4_0:
    case WeightFormat::kQ3_K:
    case WeightFormat::kQ2_K:
      return nullptr;
  }
  return nullptr;
}

// Bytes that prepare_blocks writes for all tokens: see kernels/activations_inl.h.
size_t blocks_bytes(size_t n_in, size_t n_tokens) { return (n_in + 63) / 64 * 2 * 80 * n_tokens; }

MatmulPlan plan_blocks(const MatmulKernels& kernels, const PackedKernels& packed,
                       const Matrix& matrix, size_t n_tokens) {
  return {.kernel = packed.blocks,
          .prepare = kernels.prepare_blocks,
          .activation_layout = ActivationLayout::kBlocks,
          .n_tokens = n_tokens,
          .activation_bytes = blocks_bytes(matrix.n_in, n_tokens)};
}

// From how many tokens on a panel of weights, converted once for all of them, pays.
constexpr size_t kMinTokensAmx = 16;
constexpr size_t kMinTokensTiles = 6;

size_t padded_columns(size_t n_in) { return (n_in + 63) / 64 * 64; }

// See kernels/amx_inl.h: a panel of bf16 that takes half of an L2 cache of 2 MiB. 4096 more for the
// alignment that tiles need.
MatmulPlan plan_amx(const MatmulKernels& kernels, const PackedKernels& packed, const Matrix& matrix,
                    size_t n_tokens) {
  constexpr size_t kPanelBytes = size_t{1} << 20;
  const size_t columns = padded_columns(matrix.n_in);
  const size_t panel_rows = std::max<size_t>(1, kPanelBytes / (64 * columns * 2)) * 64;
  return {.kernel = packed.amx,
          .prepare = kernels.prepare_bf16_tiles,
          .activation_layout = ActivationLayout::kBf16Tiles,
          .n_tokens = n_tokens,
          .activation_bytes = (n_tokens + 31) / 32 * 32 * columns * 2 + 4096,
          .scratch_bytes = panel_rows * columns * 2 + 4096 + 2048,
          .panel_rows = panel_rows,
          .row_step = 32};
}

bool is_float(WeightFormat format) {
  return format == WeightFormat::kF32 || format == WeightFormat::kF16 ||
         format == WeightFormat::kBF16;
}

// See kernels/tiles_inl.h: at most 32 rows of f32 in a panel.
MatmulPlan plan_tiles(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  return {.kernel = matrix.format == WeightFormat::kF32   ? kernels.tiles_f32
                    : matrix.format == WeightFormat::kF16 ? kernels.tiles_f16
                                                          : kernels.tiles_bf16,
          .activation_layout = ActivationLayout::kRows,
          .n_tokens = n_tokens,
          .scratch_bytes = 32 * matrix.n_in * sizeof(float),
          .row_step = 32};
}

MatmulPlan plan_rows(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  return {.kernel = matrix.format == WeightFormat::kF32   ? kernels.rows_f32
                    : matrix.format == WeightFormat::kF16 ? kernels.rows_f16
                                                          : kernels.rows_bf16,
          .activation_layout = ActivationLayout::kRows,
          .n_tokens = n_tokens};
}

}  // namespace

bool can_nest(WeightFormat format) { return format == WeightFormat::kQ4_0_R16; }

MatmulPlan plan_matmul(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens) {
  AC_CHECK(matrix.residual == nullptr || can_nest(matrix.format));
  const PackedKernels* packed = matrix.residual != nullptr ? &kernels.q4_0_r16_nested
                                                           : packed_kernels(kernels, matrix.format);
  if (packed != nullptr) {
    return packed->amx != nullptr && n_tokens >= kMinTokensAmx
               ? plan_amx(kernels, *packed, matrix, n_tokens)
               : plan_blocks(kernels, *packed, matrix, n_tokens);
  }
  // Matrices kept in floating point are not rounded further: no bf16 products for them.
  AC_CHECK(is_float(matrix.format));
  return n_tokens >= kMinTokensTiles ? plan_tiles(kernels, matrix, n_tokens)
                                     : plan_rows(kernels, matrix, n_tokens);
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

void prepare_row(const MatmulPlan& plan, const float* row, size_t n_in, size_t token,
                 void* activations) noexcept {
  AC_CHECK(plan.prepare != nullptr && plan.token_step == 1);
  plan.prepare({.x = row,  // a stride of nothing: the first row is every row
                .x_stride = 0,
                .n_in = n_in,
                .n_tokens = plan.n_tokens,
                .token_begin = token,
                .token_end = token + 1,
                .out = activations});
}

void run_matmul(const MatmulPlan& plan, const Matrix& matrix, const void* activations,
                size_t row_begin, size_t row_end, const MatmulResult& result,
                void* scratch) noexcept {
  plan.kernel({.weights = matrix.data,
               .residual = matrix.residual,
               .row_bytes = matrix.row_bytes,
               .n_out = matrix.n_out,
               .n_in = matrix.n_in,
               .row_begin = row_begin,
               .row_end = row_end,
               .n_tokens = plan.n_tokens,
               .activations = activations,
               .y = result.y,
               .y_stride = result.y_stride,
               .bias = result.bias,
               .scratch = scratch,
               .panel_rows = plan.panel_rows,
               .adds_to_y = result.adds_to_y,
               .gated = result.gated});
}

}  // namespace ac::cpu
