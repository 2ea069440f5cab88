// Products of squares of bf16 (bf16_tiles_inl.h) with AVX-512's dot product of pairs, for processors
// that have AVX512_BF16 and no tiles.
//
// A line of a B tile is a register as it lies: the same two columns of 16 rows. Of A, the same two
// columns of one row are broadcast. Eight rows of A and 32 of B are sixteen sums, enough to hide the
// latency of each; an operand loaded from memory is used twice (A) or eight times (B).
#pragma once

#include "cpu/kernels/bf16_tiles_inl.h"

namespace ac::cpu::AC_ISA {
namespace {

// Around any number of products.
AC_INLINE void begin_squares() {}
AC_INLINE void end_squares() {}

constexpr size_t kDotRows = 8;

// kDotRows rows of A from `a` on, times the two tiles at b. `start` as multiply_whole_square has it.
AC_INLINE void multiply_dot_rows(const uint8_t* a, const uint8_t* b, size_t steps,
                                 const float* start, size_t start_stride, float* c,
                                 size_t c_stride) {
  __m512 sums[kDotRows][2];
#pragma GCC unroll 8
  for (size_t i = 0; i < kDotRows; ++i) {
    sums[i][0] = start == nullptr ? zero() : load(start + i * start_stride);
    sums[i][1] = start == nullptr ? zero() : load(start + i * start_stride + 16);
  }
  for (size_t step = 0; step < steps; ++step, a += kStepBytes, b += kStepBytes) {
#pragma GCC unroll 4
    for (size_t pair = 0; pair < 16; ++pair) {
      const auto low = reinterpret_cast<__m512bh>(_mm512_load_si512(b + 64 * pair));
      const auto high = reinterpret_cast<__m512bh>(_mm512_load_si512(b + kTileBytes + 64 * pair));
#pragma GCC unroll 8
      for (size_t i = 0; i < kDotRows; ++i) {
        int32_t columns;
        __builtin_memcpy(&columns, a + 64 * i + 4 * pair, sizeof columns);
        const auto row = reinterpret_cast<__m512bh>(_mm512_set1_epi32(columns));
        sums[i][0] = _mm512_dpbf16_ps(sums[i][0], row, low);
        sums[i][1] = _mm512_dpbf16_ps(sums[i][1], row, high);
      }
    }
  }
#pragma GCC unroll 8
  for (size_t i = 0; i < kDotRows; ++i) {
    store(c + i * c_stride, sums[i][0]);
    store(c + i * c_stride + 16, sums[i][1]);
  }
}

// 32 rows of A times 32 of B, C [32, 32] beginning as what lies at `start`, or as zeros where it is
// null.
void multiply_whole_square(const uint8_t* a, const uint8_t* b, size_t steps, const float* start,
                           size_t start_stride, float* c, size_t c_stride) {
  for (size_t row = 0; row < 32; row += kDotRows) {
    const uint8_t* rows = a + row / 16 * kTileBytes + row % 16 * 64;
    const float* from = start == nullptr ? nullptr : start + row * start_stride;
    multiply_dot_rows(rows, b, steps, from, start_stride, c + row * c_stride, c_stride);
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
