// AVX2 with FMA and F16C; with AVX-VNNI where AC_ISA_avx_vnni. The names are explained in simd.h.
#pragma once

#include <immintrin.h>

#include "cpu/simd/half.h"

namespace ac::cpu::AC_ISA {
namespace {

using F32 = __m256;
using I32 = __m256i;
constexpr size_t kLanes = 8;

AC_INLINE __m256i first(size_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int32_t>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
// Copies of n < 8 elements, for the types that have no masked load.
AC_INLINE void copy_n(const void* from, void* to, size_t bytes) {
  const auto* source = static_cast<const uint8_t*>(from);
  auto* target = static_cast<uint8_t*>(to);
  for (size_t i = 0; i < bytes; ++i) target[i] = source[i];
}

AC_INLINE F32 load(const float* p) { return _mm256_loadu_ps(p); }
AC_INLINE void store(float* p, F32 v) { _mm256_storeu_ps(p, v); }
AC_INLINE F32 load_n(const float* p, size_t n) { return _mm256_maskload_ps(p, first(n)); }
AC_INLINE void store_n(float* p, F32 v, size_t n) { _mm256_maskstore_ps(p, first(n), v); }
AC_INLINE F32 load_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
AC_INLINE F32 load_f16_n(const uint16_t* p, size_t n) {
  uint16_t padded[8] = {};
  copy_n(p, padded, n * sizeof(uint16_t));
  return load_f16(padded);
}
AC_INLINE void store_f16(uint16_t* p, F32 v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                   _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
AC_INLINE void store_f16_n(uint16_t* p, F32 v, size_t n) {
  uint16_t padded[8];
  store_f16(padded, v);
  copy_n(padded, p, n * sizeof(uint16_t));
}
AC_INLINE F32 load_bf16(const uint16_t* p) {
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
AC_INLINE F32 load_bf16_n(const uint16_t* p, size_t n) {
  uint16_t padded[8] = {};
  copy_n(p, padded, n * sizeof(uint16_t));
  return load_bf16(padded);
}
AC_INLINE F32 load_i8(const int8_t* p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
AC_INLINE F32 load_i8_n(const int8_t* p, size_t n) {
  int8_t padded[8] = {};
  copy_n(p, padded, n);
  return load_i8(padded);
}

AC_INLINE F32 splat(float x) { return _mm256_set1_ps(x); }
AC_INLINE F32 zero() { return _mm256_setzero_ps(); }
AC_INLINE F32 add(F32 a, F32 b) { return _mm256_add_ps(a, b); }
AC_INLINE F32 sub(F32 a, F32 b) { return _mm256_sub_ps(a, b); }
AC_INLINE F32 mul(F32 a, F32 b) { return _mm256_mul_ps(a, b); }
AC_INLINE F32 div(F32 a, F32 b) { return _mm256_div_ps(a, b); }
AC_INLINE F32 fma(F32 a, F32 b, F32 c) { return _mm256_fmadd_ps(a, b, c); }
AC_INLINE F32 vmin(F32 a, F32 b) { return _mm256_min_ps(a, b); }
AC_INLINE F32 vmax(F32 a, F32 b) { return _mm256_max_ps(a, b); }
AC_INLINE F32 vabs(F32 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
AC_INLINE F32 vsqrt(F32 a) { return _mm256_sqrt_ps(a); }
AC_INLINE float reduce_add(F32 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
AC_INLINE float reduce_max(F32 v) {
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

AC_INLINE I32 to_i32(F32 v) { return _mm256_cvtps_epi32(v); }
AC_INLINE F32 to_f32(I32 v) { return _mm256_cvtepi32_ps(v); }
AC_INLINE F32 pow2(I32 n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
AC_INLINE void store_i8(int8_t* p, F32 v) {
  const __m256i wide = to_i32(v);
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}
AC_INLINE void prefetch(const void* p) {
  _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
}

AC_INLINE void transpose(F32 (&m)[8]) {
  F32 t[8];
  // Pairs, then fours within the two halves of 128 bits, then the halves.
#pragma GCC unroll 4
  for (size_t i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(m[i], m[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(m[i], m[i + 1]);
  }
#pragma GCC unroll 2
  for (size_t i = 0; i < 8; i += 4) {
    m[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    m[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    m[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    m[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < 4; ++i) {
    const F32 low = m[i];
    const F32 high = m[i + 4];
    m[i] = _mm256_permute2f128_ps(low, high, 0x20);
    m[i + 4] = _mm256_permute2f128_ps(low, high, 0x31);
  }
}

AC_INLINE int32_t quad_at(const uint8_t* a) {
  int32_t quad;
  __builtin_memcpy(&quad, a, sizeof(quad));
  return quad;
}

using Words = __m256i;
AC_INLINE Words load_words(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
AC_INLINE Words load_bytes_wide(const uint8_t* p) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
AC_INLINE Words words_and(Words w, uint32_t mask) {
  return _mm256_and_si256(w, _mm256_set1_epi32(static_cast<int32_t>(mask)));
}
AC_INLINE Words words_or(Words a, Words b) { return _mm256_or_si256(a, b); }
AC_INLINE Words words_right(Words w, uint32_t n) {
  return _mm256_srli_epi32(w, static_cast<int32_t>(n));
}
AC_INLINE Words words_left(Words w, uint32_t n) {
  return _mm256_slli_epi32(w, static_cast<int32_t>(n));
}
AC_INLINE F32 words_to_f32(Words w) { return to_f32(w); }

#if defined(AC_ISA_avx_vnni)

// --- quads: unsigned weights times signed activations, dpbusd ----------------------------------
// An activation is 16 bits, a high and a low byte with one dot product each.
constexpr bool kQuadsArePlanes = true;
constexpr int32_t kSignedQuadBias = 128;

using QuadWeights = __m256i;
struct QuadSum {
  __m256i high;
  __m256i low;
};

AC_INLINE QuadWeights quads_of(Words w) { return w; }
AC_INLINE QuadWeights quads_of_signed(Words w) {
  return _mm256_xor_si256(w, _mm256_set1_epi8(-128));
}
AC_INLINE QuadSum quads_start(int32_t s) { return {_mm256_setzero_si256(), _mm256_set1_epi32(s)}; }
AC_INLINE void quads_dot(QuadSum& sum, QuadWeights w, const uint8_t* a) {
  sum.high = _mm256_dpbusd_avx_epi32(sum.high, w, _mm256_set1_epi32(quad_at(a)));
  sum.low = _mm256_dpbusd_avx_epi32(sum.low, w, _mm256_set1_epi32(quad_at(a + 4)));
}
AC_INLINE F32 quads_total(QuadSum sum) {
  return to_f32(_mm256_add_epi32(_mm256_slli_epi32(sum.high, 8), sum.low));
}

#else

// --- quads: 16-bit weights times 16-bit activations, madd --------------------------------------
// The even and the odd weights of a quad, sign-extended within their 16-bit lanes, meet the pairs
// (a0, a2) and (a1, a3): both sums land in the lane of their row.
constexpr bool kQuadsArePlanes = false;
constexpr int32_t kSignedQuadBias = 0;

struct QuadWeights {
  __m256i even;
  __m256i odd;
};
using QuadSum = __m256i;

AC_INLINE QuadWeights quads_of(Words w) {
  return {_mm256_and_si256(w, _mm256_set1_epi16(255)), _mm256_srli_epi16(w, 8)};
}
AC_INLINE QuadWeights quads_of_signed(Words w) {
  return {_mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8), _mm256_srai_epi16(w, 8)};
}
AC_INLINE QuadSum quads_start(int32_t s) { return _mm256_set1_epi32(s); }
AC_INLINE void quads_dot(QuadSum& sum, const QuadWeights& w, const uint8_t* a) {
  const __m256i even = _mm256_madd_epi16(w.even, _mm256_set1_epi32(quad_at(a)));
  const __m256i odd = _mm256_madd_epi16(w.odd, _mm256_set1_epi32(quad_at(a + 4)));
  sum = _mm256_add_epi32(_mm256_add_epi32(sum, even), odd);
  // Else the compiler first makes all products of a block, puts them on the stack, and adds later.
  __asm__("" : "+x"(sum));
}
AC_INLINE F32 quads_total(QuadSum sum) { return to_f32(sum); }

#endif

}  // namespace
}  // namespace ac::cpu::AC_ISA
