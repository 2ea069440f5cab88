// AVX-512 F, BW, VL, DQ and VNNI. The names are explained in simd.h.
#pragma once

#include <immintrin.h>

#include "cpu/simd/half.h"

namespace ac::cpu::AC_ISA {
namespace {

using F32 = __m512;
using I32 = __m512i;
constexpr size_t kLanes = 16;

AC_INLINE __mmask16 first(size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

AC_INLINE F32 load(const float* p) { return _mm512_loadu_ps(p); }
AC_INLINE void store(float* p, F32 v) { _mm512_storeu_ps(p, v); }
AC_INLINE F32 load_n(const float* p, size_t n) { return _mm512_maskz_loadu_ps(first(n), p); }
AC_INLINE void store_n(float* p, F32 v, size_t n) { _mm512_mask_storeu_ps(p, first(n), v); }
AC_INLINE F32 load_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
AC_INLINE F32 load_f16_n(const uint16_t* p, size_t n) {
  return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p));
}
AC_INLINE __m256i to_f16_bits(F32 v) {
  return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
AC_INLINE void store_f16(uint16_t* p, F32 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_f16_bits(v));
}
AC_INLINE void store_f16_n(uint16_t* p, F32 v, size_t n) {
  _mm256_mask_storeu_epi16(p, first(n), to_f16_bits(v));
}
AC_INLINE F32 widen_bf16(__m256i bits) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
AC_INLINE F32 load_bf16(const uint16_t* p) {
  return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
AC_INLINE F32 load_bf16_n(const uint16_t* p, size_t n) {
  return widen_bf16(_mm256_maskz_loadu_epi16(first(n), p));
}
AC_INLINE F32 load_i8(const int8_t* p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
AC_INLINE F32 load_i8_n(const int8_t* p, size_t n) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(first(n), p)));
}

AC_INLINE F32 splat(float x) { return _mm512_set1_ps(x); }
AC_INLINE F32 zero() { return _mm512_setzero_ps(); }
AC_INLINE F32 add(F32 a, F32 b) { return _mm512_add_ps(a, b); }
AC_INLINE F32 sub(F32 a, F32 b) { return _mm512_sub_ps(a, b); }
AC_INLINE F32 mul(F32 a, F32 b) { return _mm512_mul_ps(a, b); }
AC_INLINE F32 div(F32 a, F32 b) { return _mm512_div_ps(a, b); }
AC_INLINE F32 fma(F32 a, F32 b, F32 c) { return _mm512_fmadd_ps(a, b, c); }
AC_INLINE F32 vmin(F32 a, F32 b) { return _mm512_min_ps(a, b); }
AC_INLINE F32 vmax(F32 a, F32 b) { return _mm512_max_ps(a, b); }
AC_INLINE F32 vabs(F32 a) { return _mm512_abs_ps(a); }
AC_INLINE F32 vsqrt(F32 a) { return _mm512_sqrt_ps(a); }
AC_INLINE float reduce_add(F32 v) { return _mm512_reduce_add_ps(v); }
AC_INLINE float reduce_max(F32 v) { return _mm512_reduce_max_ps(v); }

AC_INLINE I32 to_i32(F32 v) { return _mm512_cvtps_epi32(v); }
AC_INLINE F32 to_f32(I32 v) { return _mm512_cvtepi32_ps(v); }
AC_INLINE F32 pow2(I32 n) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
}
AC_INLINE void store_i8(int8_t* p, F32 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(to_i32(v)));
}
AC_INLINE void prefetch(const void* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
}

AC_INLINE void transpose(F32 (&m)[16]) {
  F32 t[16];
  // Pairs, then fours within the four quarters of 128 bits, then the quarters.
#pragma GCC unroll 8
  for (size_t i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(m[i], m[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(m[i], m[i + 1]);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < 16; i += 4) {
    m[i] = _mm512_shuffle_ps(t[i], t[i + 2], 0x44);
    m[i + 1] = _mm512_shuffle_ps(t[i], t[i + 2], 0xee);
    m[i + 2] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    m[i + 3] = _mm512_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    // m[4 * j + i], quarter q, holds column 4 * q + i of rows 4 * j .. 4 * j + 3.
    t[i] = _mm512_shuffle_f32x4(m[i], m[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_f32x4(m[i], m[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_f32x4(m[i + 8], m[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_f32x4(m[i + 8], m[i + 12], 0xdd);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    m[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
    m[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    m[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
    m[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// --- quads: unsigned weights times signed activations, dpbusd ----------------------------------
// An activation is 16 bits, a high and a low byte with one dot product each.
constexpr bool kQuadsArePlanes = true;
constexpr int32_t kSignedQuadBias = 128;

using Words = __m512i;
AC_INLINE Words load_words(const uint8_t* p) { return _mm512_loadu_si512(p); }
AC_INLINE Words load_bytes_wide(const uint8_t* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
AC_INLINE Words words_and(Words w, uint32_t mask) {
  return _mm512_and_si512(w, _mm512_set1_epi32(static_cast<int32_t>(mask)));
}
AC_INLINE Words words_or(Words a, Words b) { return _mm512_or_si512(a, b); }
AC_INLINE Words words_right(Words w, uint32_t n) { return _mm512_srli_epi32(w, n); }
AC_INLINE Words words_left(Words w, uint32_t n) { return _mm512_slli_epi32(w, n); }
AC_INLINE F32 words_to_f32(Words w) { return to_f32(w); }

using QuadWeights = __m512i;
struct QuadSum {
  __m512i high;
  __m512i low;
};

AC_INLINE QuadWeights quads_of(Words w) { return w; }
AC_INLINE QuadWeights quads_of_signed(Words w) {
  return _mm512_xor_si512(w, _mm512_set1_epi8(-128));
}
AC_INLINE QuadSum quads_start(int32_t s) { return {_mm512_setzero_si512(), _mm512_set1_epi32(s)}; }
AC_INLINE int32_t quad_at(const uint8_t* a) {
  int32_t quad;
  __builtin_memcpy(&quad, a, sizeof(quad));
  return quad;
}
AC_INLINE void quads_dot(QuadSum& sum, QuadWeights w, const uint8_t* a) {
  sum.high = _mm512_dpbusd_epi32(sum.high, w, _mm512_set1_epi32(quad_at(a)));
  sum.low = _mm512_dpbusd_epi32(sum.low, w, _mm512_set1_epi32(quad_at(a + 4)));
}
AC_INLINE F32 quads_total(QuadSum sum) {
  return to_f32(_mm512_add_epi32(_mm512_slli_epi32(sum.high, 8), sum.low));
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
