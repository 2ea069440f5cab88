// y = x W^T + bias on the kernels: which of them, with how much memory, and one worker's share of
// it.
//
// A matmul has two parallel parts. First the activations are rewritten for the kernel (rows of x,
// that is tokens, are independent); when all is written, ranges of rows of W are computed. Any
// split of either gives the same bits. Nothing here allocates or starts threads.
//
//   MatmulPlan plan = plan_matmul(isa, matrix, n_tokens);
//   (workers) prepare_activations(plan, x, token_begin, token_end, activations);
//   (barrier)
//   (workers) run_matmul(plan, matrix, activations, rows, {y, n_out, bias}, scratch_of_worker);
//
// Matrices of one x share the first part when their plans have the same `activation_layout`.
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/isa.h"
#include "runtime/core/tensor.h"

namespace ac::cpu {

// A matrix of weights [n_out, n_in]. `data` is 64-byte aligned for the packed formats.
struct Matrix {
  WeightFormat format = WeightFormat::kF32;
  size_t n_out = 0;
  size_t n_in = 0;
  const std::byte* data = nullptr;
  // Nested precision: what is added to it, in the same format and layout; null: nothing.
  const std::byte* residual = nullptr;
  size_t row_bytes = 0;  // f32, f16, bf16: one row after the other
};

enum class ActivationLayout {
  kRows,       // x itself: there is nothing to prepare
  kBlocks,     // int16 per block of 32, for the packed formats
  kBf16Tiles,  // for AMX
};

struct MatmulPlan {
  MatmulKernel kernel = nullptr;
  PrepareKernel prepare = nullptr;  // null: pass x as the activations
  ActivationLayout activation_layout = ActivationLayout::kRows;
  size_t n_tokens = 0;
  size_t activation_bytes = 0;  // shared by the workers, 64-byte aligned
  size_t scratch_bytes = 0;     // for each worker, 64-byte aligned
  size_t panel_rows = 0;        // of the weights, converted at once into scratch
  size_t row_step = 16;         // ranges of rows should be multiples of this (and must be of 16)
  size_t token_step = 1;        // ranges of tokens to prepare must be multiples of this
};

// Whether a matrix of this format may have a residual.
bool can_nest(WeightFormat format);

// REQUIRES: the format is f32, f16, bf16 or a packed one; with a residual, one that can_nest.
MatmulPlan plan_matmul(const MatmulKernels& kernels, const Matrix& matrix, size_t n_tokens);

// Rewrites tokens [token_begin, token_end) of x [n_tokens, n_in]. Does nothing where plan.prepare
// is null.
void prepare_activations(const MatmulPlan& plan, const float* x, size_t n_in, size_t token_begin,
                         size_t token_end, void* activations) noexcept;
// The same for one token, whose row lies by itself. REQUIRES: plan.prepare, plan.token_step == 1.
void prepare_row(const MatmulPlan& plan, const float* row, size_t n_in, size_t token,
                 void* activations) noexcept;

// Where a product goes. More than a bias only where the activations are bf16 tiles.
struct MatmulResult {
  float* y = nullptr;           // [n_tokens, y_stride]
  size_t y_stride = 0;          // floats
  const float* bias = nullptr;  // [n_out] or null
  bool adds_to_y = false;       // y += product; no bias
  // Instead of y: see GatedTiles. The matrix is the gate's; `up` has its shape and format, and a
  // residual if it has one.
  const GatedTiles* gated = nullptr;
};

// Computes columns [row_begin, row_end) of y. `activations` is what was prepared, or x where
// plan.prepare is null.
void run_matmul(const MatmulPlan& plan, const Matrix& matrix, const void* activations,
                size_t row_begin, size_t row_end, const MatmulResult& result,
                void* scratch) noexcept;

}  // namespace ac::cpu
