// One lane and no intrinsics: runs everywhere, and is what the other instruction sets are read
// against. The names are explained in simd.h.
#pragma once

#include "cpu/simd/half.h"

namespace ac::cpu::AC_ISA {
namespace {

using F32 = float;
using I32 = int32_t;
constexpr size_t kLanes = 1;

AC_INLINE F32 load(const float* p) { return *p; }
AC_INLINE void store(float* p, F32 v) { *p = v; }
AC_INLINE F32 load_n(const float*, size_t) { return 0.0f; }
AC_INLINE void store_n(float*, F32, size_t) {}
AC_INLINE F32 load_f16(const uint16_t* p) { return f16_to_f32(*p); }
AC_INLINE F32 load_f16_n(const uint16_t*, size_t) { return 0.0f; }
AC_INLINE void store_f16(uint16_t* p, F32 v) { *p = f32_to_f16(v); }
AC_INLINE void store_f16_n(uint16_t*, F32, size_t) {}
AC_INLINE F32 load_bf16(const uint16_t* p) { return bf16_to_f32(*p); }
AC_INLINE F32 load_bf16_n(const uint16_t*, size_t) { return 0.0f; }
AC_INLINE F32 load_i8(const int8_t* p) { return static_cast<float>(*p); }
AC_INLINE F32 load_i8_n(const int8_t*, size_t) { return 0.0f; }

AC_INLINE F32 splat(float x) { return x; }
AC_INLINE F32 zero() { return 0.0f; }
AC_INLINE F32 add(F32 a, F32 b) { return a + b; }
AC_INLINE F32 sub(F32 a, F32 b) { return a - b; }
AC_INLINE F32 mul(F32 a, F32 b) { return a * b; }
AC_INLINE F32 div(F32 a, F32 b) { return a / b; }
AC_INLINE F32 fma(F32 a, F32 b, F32 c) { return a * b + c; }
AC_INLINE F32 vmin(F32 a, F32 b) { return a < b ? a : b; }
AC_INLINE F32 vmax(F32 a, F32 b) { return a > b ? a : b; }
AC_INLINE F32 vabs(F32 a) { return __builtin_fabsf(a); }
AC_INLINE F32 vsqrt(F32 a) { return __builtin_sqrtf(a); }
AC_INLINE float reduce_add(F32 v) { return v; }
AC_INLINE float reduce_max(F32 v) { return v; }

AC_INLINE I32 to_i32(F32 v) { return static_cast<int32_t>(__builtin_lrintf(v)); }
AC_INLINE F32 to_f32(I32 v) { return static_cast<float>(v); }
AC_INLINE F32 pow2(I32 n) { return float_of_bits(static_cast<uint32_t>(n + 127) << 23); }
AC_INLINE void store_i8(int8_t* p, F32 v) {
  *p = static_cast<int8_t>(to_i32(vmin(vmax(v, -128.0f), 127.0f)));
}
AC_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 1); }

AC_INLINE void transpose(F32 (&)[1]) {}

// --- quads -------------------------------------------------------------------------------------
constexpr bool kQuadsArePlanes = false;
constexpr int32_t kSignedQuadBias = 0;

using Words = uint32_t;
AC_INLINE Words load_words(const uint8_t* p) {
  uint32_t word;
  __builtin_memcpy(&word, p, sizeof(word));
  return word;
}
AC_INLINE Words load_bytes_wide(const uint8_t* p) { return *p; }
AC_INLINE Words words_and(Words w, uint32_t mask) { return w & mask; }
AC_INLINE Words words_or(Words a, Words b) { return a | b; }
AC_INLINE Words words_right(Words w, uint32_t n) { return w >> n; }
AC_INLINE Words words_left(Words w, uint32_t n) { return w << n; }
AC_INLINE F32 words_to_f32(Words w) { return static_cast<float>(w); }

struct QuadWeights {
  int32_t k[4];
};
using QuadSum = int32_t;

AC_INLINE QuadWeights quads_of(Words w) {
  QuadWeights quads;
  for (size_t i = 0; i < 4; ++i) quads.k[i] = static_cast<int32_t>(w >> (8 * i) & 255u);
  return quads;
}
AC_INLINE QuadWeights quads_of_signed(Words w) {
  QuadWeights quads;
  for (size_t i = 0; i < 4; ++i) quads.k[i] = static_cast<int8_t>(w >> (8 * i));
  return quads;
}
AC_INLINE QuadSum quads_start(int32_t s) { return s; }
AC_INLINE void quads_dot(QuadSum& sum, const QuadWeights& w, const uint8_t* a) {
  int16_t pairs[4];  // activations 0, 2, 1, 3
  __builtin_memcpy(pairs, a, sizeof(pairs));
  sum += w.k[0] * pairs[0] + w.k[2] * pairs[1] + w.k[1] * pairs[2] + w.k[3] * pairs[3];
}
AC_INLINE F32 quads_total(QuadSum sum) { return static_cast<float>(sum); }

}  // namespace
}  // namespace ac::cpu::AC_ISA
