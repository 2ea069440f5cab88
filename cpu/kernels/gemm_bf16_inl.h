// C[m, n] = A[m, k] B[n, k]^T for training. Both operands are rounded to bf16 once, into the layout
// of bf16_tiles_inl.h with zeros where it is padded, and either may come from a transposed matrix;
// products add up in f32. One thread; callers split m, n and the packing.
#pragma once

#include "cpu/kernel_table.h"
#if defined(AC_ISA_amx)
#include "cpu/kernels/amx_square_inl.h"
#else
#include "cpu/kernels/dot_square_inl.h"
#endif

namespace ac::cpu::AC_ISA {
namespace {

// Up to 16 of the `n` floats at p, zeros behind them.
AC_INLINE __m512 load_part(const float* p, size_t n) { return n >= 16 ? load(p) : load_n(p, n); }

AC_INLINE size_t left(size_t total, size_t used) { return total > used ? total - used : 0; }

// 16 x 16 of a matrix [rows, columns] from (row, column) on, zeros outside it; `transposed` says
// that it is stored as [columns, rows]. out[i] is row `row + i`.
AC_INLINE void load_square(const float* matrix, size_t stride, bool transposed, size_t rows,
                           size_t columns, size_t row, size_t column, __m512 (&out)[16]) {
  const size_t n_rows = left(rows, row);
  const size_t n_columns = left(columns, column);
  const size_t n_lines = transposed ? n_columns : n_rows;
  const size_t n_in_line = transposed ? n_rows : n_columns;
  const float* first = n_rows == 0 || n_columns == 0
                           ? matrix
                           : matrix + (transposed ? column * stride + row : row * stride + column);
  if (n_lines >= 16 && n_in_line >= 16) {
#pragma GCC unroll 16
    for (size_t i = 0; i < 16; ++i) out[i] = load(first + i * stride);
  } else {
    for (size_t i = 0; i < 16; ++i) {
      out[i] = i < n_lines && n_in_line > 0 ? load_part(first + i * stride, n_in_line) : zero();
    }
  }
  if (transposed) transpose(out);
}

// A tile of 16 rows and 32 columns: line i is row i.
AC_INLINE void fill_a_tile(const PackBf16Args& args, size_t row, size_t column, uint8_t* out) {
  __m512 low[16];
  __m512 high[16];
  load_square(args.from, args.stride, args.is_transposed, args.n_rows, args.n_columns, row, column,
              low);
  load_square(args.from, args.stride, args.is_transposed, args.n_rows, args.n_columns, row,
              column + 16, high);
#pragma GCC unroll 16
  for (size_t i = 0; i < 16; ++i) _mm512_store_si512(out + 64 * i, to_bf16(low[i], high[i]));
}

// A tile of 16 rows and 32 columns: line i has columns 2i and 2i+1 of every row.
AC_INLINE void fill_b_tile(const PackBf16Args& args, size_t row, size_t column, uint8_t* out) {
#pragma GCC unroll 2
  for (size_t half = 0; half < 2; ++half) {
    __m512 k[16];
    load_square(args.from, args.stride, !args.is_transposed, args.n_columns, args.n_rows,
                column + 16 * half, row, k);
#pragma GCC unroll 4
    for (size_t i = 0; i < 16; i += 4) {
      store_quad(out + 512 * half + 32 * i, k[i], k[i + 1], k[i + 2], k[i + 3]);
    }
  }
}

template <class FillTile>
AC_INLINE void pack_squares(const PackBf16Args& args, uint8_t* first, const FillTile& fill_tile) {
  const size_t steps = column_steps(args.n_columns);
  for (size_t row = 0; row < args.n_rows; row += 32) {
    uint8_t* out = first + (row / 32 * args.steps + args.step_begin) * kStepBytes;
    for (size_t step = 0; step < steps; ++step, out += kStepBytes) {
      fill_tile(args, row, 32 * step, out);
      fill_tile(args, row + 16, 32 * step, out + kTileBytes);
    }
  }
}

void pack_bf16_a(const PackBf16Args& args) noexcept {
  pack_squares(args, static_cast<uint8_t*>(args.to), fill_a_tile);
}

void pack_bf16_b(const PackBf16Args& args) noexcept {
  pack_squares(args, static_cast<uint8_t*>(args.to), fill_b_tile);
}

// A product that C has no room for in whole squares, by way of a square of its own.
void multiply_edge(const GemmBf16Args& args, const uint8_t* a, const uint8_t* b, float* c,
                   size_t n_rows, size_t n_columns) {
  alignas(64) float square[32 * 32];
  multiply_whole_square(a, b, args.steps, nullptr, 0, square, 32);
  for (size_t i = 0; i < n_rows; ++i) {
    for (size_t j = 0; j < n_columns; ++j) {
      float& out = c[i * args.c_stride + j];
      out = args.accumulates ? out + square[32 * i + j] : square[32 * i + j];
    }
  }
}

// A square of B stays in the first cache while all of A passes.
void gemm_bf16(const GemmBf16Args& args) noexcept {
  const auto* a = static_cast<const uint8_t*>(args.a);
  const auto* b = static_cast<const uint8_t*>(args.b);
  begin_squares();
  for (size_t column = 0; column < args.n; column += 32, b += args.b_steps * kStepBytes) {
    const size_t n_columns = left(args.n, column) < 32 ? left(args.n, column) : 32;
    const uint8_t* a_square = a;
    for (size_t row = 0; row < args.m; row += 32, a_square += args.a_steps * kStepBytes) {
      const size_t n_rows = left(args.m, row) < 32 ? left(args.m, row) : 32;
      float* c = args.c + row * args.c_stride + column;
      if (n_rows < 32 || n_columns < 32) {
        multiply_edge(args, a_square, b, c, n_rows, n_columns);
      } else if (args.accumulates) {
        multiply_whole_square(a_square, b, args.steps, c, args.c_stride, c, args.c_stride);
      } else {
        multiply_whole_square(a_square, b, args.steps, nullptr, 0, c, args.c_stride);
      }
    }
  }
  end_squares();
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
