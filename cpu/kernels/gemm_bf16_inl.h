// C[m, n] += A[m, k] B on AMX tiles, from and to f32, for training: both operands are rounded to
// bf16 once, into the layouts of amx_inl.h, and either may be transposed. One thread; callers split
// m or n.
#pragma once

#include "cpu/kernels/amx_inl.h"

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
#pragma GCC unroll 16
  for (size_t i = 0; i < 16; ++i) {
    out[i] = i < n_lines && n_in_line > 0 ? load_part(first + i * stride, n_in_line) : zero();
  }
  if (transposed) transpose(out);
}

// 32 rows of A, from `row` on, as A tiles.
void fill_a(const GemmBf16Args& args, size_t row, size_t steps, uint8_t* out) {
  for (size_t step = 0; step < steps; ++step) {
    for (size_t tile = 0; tile < 2; ++tile, out += kTileBytes) {
      __m512 low[16];
      __m512 high[16];
      load_square(args.a, args.a_stride, args.a_is_transposed, args.m, args.k, row + 16 * tile,
                  32 * step, low);
      load_square(args.a, args.a_stride, args.a_is_transposed, args.m, args.k, row + 16 * tile,
                  32 * step + 16, high);
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) _mm512_store_si512(out + 64 * i, to_bf16(low[i], high[i]));
    }
  }
}

// 32 columns of the product, rows of B = [n, k], from `row` on, as B tiles.
void fill_b(const GemmBf16Args& args, size_t row, size_t steps, uint8_t* out) {
  for (size_t step = 0; step < steps; ++step) {
    for (size_t tile = 0; tile < 2; ++tile, out += kTileBytes) {
      for (size_t half = 0; half < 2; ++half) {
        // By columns of B: its transpose.
        __m512 k[16];
        load_square(args.b, args.b_stride, !args.b_is_transposed, args.k, args.n,
                    32 * step + 16 * half, row + 16 * tile, k);
#pragma GCC unroll 4
        for (size_t i = 0; i < 16; i += 4) {
          store_quad(out + 512 * half + 32 * i, k[i], k[i + 1], k[i + 2], k[i + 3]);
        }
      }
    }
  }
}

void gemm_bf16(const GemmBf16Args& args) noexcept {
  const size_t steps = column_steps(args.k);
  const size_t square_bytes = steps * kStepBytes;
  const size_t m_squares = (args.m + 31) / 32;
  uint8_t* a = align_4096(args.scratch);
  uint8_t* b = a + m_squares * square_bytes + 2048;
  for (size_t i = 0; i < m_squares; ++i) fill_a(args, 32 * i, steps, a + i * square_bytes);
  configure_tiles();
  for (size_t column = 0; column < args.n; column += 32) {
    fill_b(args, column, steps, b);
    const size_t n_columns = left(args.n, column) < 32 ? left(args.n, column) : 32;
    for (size_t row = 0; row < args.m; row += 32) {
      const size_t n_rows = left(args.m, row) < 32 ? left(args.m, row) : 32;
      float* c = args.c + row * args.c_stride + column;
      const uint8_t* tiles = a + row / 32 * square_bytes;
      if (n_rows == 32 && n_columns == 32) {
        multiply_square(tiles, b, steps, 32, 2, c, args.c_stride, c, args.c_stride);
        continue;
      }
      alignas(64) float corner[32 * 32] = {};
      for (size_t i = 0; i < n_rows; ++i) {
        for (size_t j = 0; j < n_columns; ++j) corner[32 * i + j] = c[i * args.c_stride + j];
      }
      multiply_square(tiles, b, steps, 32, 2, corner, 32, corner, 32);
      for (size_t i = 0; i < n_rows; ++i) {
        for (size_t j = 0; j < n_columns; ++j) c[i * args.c_stride + j] = corner[32 * i + j];
      }
    }
  }
  _tile_release();
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
