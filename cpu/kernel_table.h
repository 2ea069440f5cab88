// The matrix kernels that exist once per instruction set, as a plain struct of function pointers.
//
// This header is included by files that are compiled with the flags of one instruction set, so it
// includes nothing but <cstddef> and <cstdint> and defines no functions: an inline function
// compiled there could be the copy that the linker keeps for everybody. The small kernels (norm,
// rope, attention ...) have a table of their own, in cpu/kernels/small_kernels.h.
//
// What calls them is cpu/matmul.h, which chooses among them and sizes their buffers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ac::cpu {

// What becomes of the products of one x with two matrices of one shape and format, the gate and the
// up projection of a feed-forward block, without either being written: activation(gate) * up as the
// next product reads it, in the tiles that prepare_bf16_tiles would make of it.
struct GatedTiles {
  const std::byte* up = nullptr;  // MatmulArgs::weights is the gate
  const std::byte* up_residual = nullptr;  // nested kernels
  bool is_gelu = false;           // tanh's approximation of GELU; otherwise SiLU
  void* out = nullptr;            // the whole buffer, for [n_tokens, n_out]
};

// One piece of y = x W^T + bias: the rows [row_begin, row_end) of W, all tokens.
// row_begin is a multiple of 16; row_end is one too, or n_out.
struct MatmulArgs {
  const std::byte* weights = nullptr;  // the whole matrix, [n_out, n_in] in the kernel's format
  const std::byte* residual = nullptr;  // nested kernels: what is added to it, of the same shape
  size_t row_bytes = 0;                // row-major formats: bytes from one row to the next
  size_t n_out = 0;
  size_t n_in = 0;
  size_t row_begin = 0;
  size_t row_end = 0;
  size_t n_tokens = 0;
  const void* activations = nullptr;  // what the kernel's prepare function wrote
  float* y = nullptr;                 // [n_tokens, n_out]
  size_t y_stride = 0;                // floats from one token to the next
  const float* bias = nullptr;        // [n_out] or null
  void* scratch = nullptr;            // 64-byte aligned, of this worker alone
  size_t panel_rows = 0;              // rows for which scratch has room in their converted form
  // AMX kernels only, both without a bias: y += x W^T; or, with no y, what GatedTiles says.
  bool adds_to_y = false;
  const GatedTiles* gated = nullptr;
};

// Tokens [token_begin, token_end) of x, rewritten for the kernels.
struct PrepareArgs {
  const float* x = nullptr;  // [n_tokens, n_in]
  size_t x_stride = 0;       // floats from one token to the next
  size_t n_in = 0;
  size_t n_tokens = 0;  // of the whole step
  size_t token_begin = 0;
  size_t token_end = 0;
  void* out = nullptr;  // the whole buffer, 64-byte aligned
};

// For training: C[m, n] = A[m, k] B[n, k]^T with bf16 products and f32 sums. Each operand is rounded
// once into the layout of kernels/bf16_tiles_inl.h: squares of 32 rows, each a run
// of `steps` steps of 32 columns.
struct PackBf16Args {
  const float* from = nullptr;  // [n_rows, n_columns], or [n_columns, n_rows] when is_transposed
  size_t stride = 0;            // floats from one stored row to the next
  bool is_transposed = false;
  size_t n_rows = 0;
  size_t n_columns = 0;
  void* to = nullptr;     // the whole operand
  size_t steps = 0;       // of the whole operand, even
  size_t step_begin = 0;  // where these columns begin, even
};
// Strides count floats. Nothing may overlap.
struct GemmBf16Args {
  const void* a = nullptr;
  size_t a_steps = 0;  // steps from one square to the next
  const void* b = nullptr;
  size_t b_steps = 0;
  size_t steps = 0;  // how many are multiplied, even
  float* c = nullptr;
  size_t c_stride = 0;
  size_t m = 0, n = 0;
  bool accumulates = false;  // C += instead of C =
};

// Rows [16 * group_begin, 16 * group_end) between row-major GGUF blocks and the packed layout.
struct PackArgs {
  const void* from = nullptr;
  void* to = nullptr;
  size_t n_out = 0;
  size_t n_in = 0;
  size_t group_begin = 0;
  size_t group_end = 0;
};

using MatmulKernel = void (*)(const MatmulArgs&) noexcept;
using PrepareKernel = void (*)(const PrepareArgs&) noexcept;
using PackKernel = void (*)(const PackArgs&) noexcept;

// Products with one packed format, any number of tokens.
struct PackedKernels {
  MatmulKernel blocks;  // of what prepare_blocks wrote
  MatmulKernel amx;     // of what prepare_bf16_tiles wrote; null where there is no AMX
};

struct MatmulKernels {
  // Activations in int16 per block of 32, drawn in kernels/activations_inl.h.
  PrepareKernel prepare_blocks;
  // Activations in bf16, with weights in bf16 and f32 sums on AMX tiles: for many tokens. Null
  // where there is no AMX.
  PrepareKernel prepare_bf16_tiles;

  PackedKernels q8_0_r16;
  PackedKernels q6_k_r16;
  PackedKernels q5_k_r16;
  PackedKernels q5_1_r16;
  PackedKernels q5_0_r16;
  PackedKernels q4_k_r16;
  PackedKernels q4_1_r16;
  PackedKernels q4_0_r16;
  PackedKernels q3_k_r16;
  PackedKernels q2_k_r16;
  // Nested precision: the weights are the sum of two matrices of the format, read in one pass.
  PackedKernels q4_0_r16_nested;

  // f32 activations, row-major weights read in place: best for few tokens.
  MatmulKernel rows_f32;
  MatmulKernel rows_f16;
  MatmulKernel rows_bf16;

  // The same for many tokens: panels of weights in f32 in scratch.
  MatmulKernel tiles_f32;
  MatmulKernel tiles_f16;
  MatmulKernel tiles_bf16;

  // Packing of the formats that are packed most; formats/packed.h packs any.
  PackKernel pack_q8_0;
  PackKernel pack_q4_0;
  PackKernel unpack_q8_0;
  PackKernel unpack_q4_0;
};

// Products in bf16 for training: see the Args.
struct GemmKernels {
  void (*pack_a)(const PackBf16Args&) noexcept;
  void (*pack_b)(const PackBf16Args&) noexcept;
  void (*multiply)(const GemmBf16Args&) noexcept;
};

}  // namespace ac::cpu
