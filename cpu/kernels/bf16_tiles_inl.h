// Tiles of bf16, the operands of AMX and of AVX-512's dot products of pairs.
//
// A tile is 16 lines of 64 bytes. Of a left operand (A): 16 rows x 32 columns. Of a right operand
// (B): line i has columns 2i and 2i + 1 of 16 rows. A product adds 16 x 16 sums over 32 columns.
//
//   operand  [squares of 32 rows][steps of 32 columns][2 tiles][1024 bytes]
#pragma once

#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

constexpr size_t kTileBytes = 1024;
constexpr size_t kStepBytes = 2 * kTileBytes;

// Columns are padded to 64.
AC_INLINE size_t column_steps(size_t n_in) { return (n_in + 63) / 64 * 2; }

// 32 floats -> 32 bf16, nearest even.
AC_INLINE __m512i to_bf16(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

// Two lines of a B tile from the four weights of each row's quad.
AC_INLINE void store_quad(uint8_t* lines, __m512 k0, __m512 k1, __m512 k2, __m512 k3) {
  // cvtne2ps puts one operand behind the other; the rows of both have to alternate.
  const __m512i zip = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                       23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  _mm512_store_si512(lines, _mm512_permutexvar_epi16(zip, to_bf16(k0, k1)));
  _mm512_store_si512(lines + 64, _mm512_permutexvar_epi16(zip, to_bf16(k2, k3)));
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
