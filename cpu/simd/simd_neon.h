// AArch64 with the dot product extension. The names are explained in simd.h.
#pragma once

#include <arm_neon.h>

#include "cpu/simd/half.h"

namespace ac::cpu::AC_ISA {
namespace {

using F32 = float32x4_t;
using I32 = int32x4_t;
constexpr size_t kLanes = 4;

AC_INLINE F32 load(const float* p) { return vld1q_f32(p); }
AC_INLINE void store(float* p, F32 v) { vst1q_f32(p, v); }
AC_INLINE F32 load_n(const float* p, size_t n) {
  float padded[4] = {};
  for (size_t i = 0; i < n; ++i) padded[i] = p[i];
  return vld1q_f32(padded);
}
AC_INLINE void store_n(float* p, F32 v, size_t n) {
  float padded[4];
  vst1q_f32(padded, v);
  for (size_t i = 0; i < n; ++i) p[i] = padded[i];
}
AC_INLINE F32 load_f16(const uint16_t* p) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
AC_INLINE F32 load_f16_n(const uint16_t* p, size_t n) {
  uint16_t padded[4] = {};
  for (size_t i = 0; i < n; ++i) padded[i] = p[i];
  return load_f16(padded);
}
AC_INLINE void store_f16(uint16_t* p, F32 v) { vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v))); }
AC_INLINE void store_f16_n(uint16_t* p, F32 v, size_t n) {
  uint16_t padded[4];
  store_f16(padded, v);
  for (size_t i = 0; i < n; ++i) p[i] = padded[i];
}
AC_INLINE F32 load_bf16(const uint16_t* p) {
  return vreinterpretq_f32_u32(vshlq_n_u32(vmovl_u16(vld1_u16(p)), 16));
}
AC_INLINE F32 load_bf16_n(const uint16_t* p, size_t n) {
  uint16_t padded[4] = {};
  for (size_t i = 0; i < n; ++i) padded[i] = p[i];
  return load_bf16(padded);
}
AC_INLINE F32 load_i8_n(const int8_t* p, size_t n) {
  int8_t padded[8] = {};
  for (size_t i = 0; i < n; ++i) padded[i] = p[i];
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(padded)))));
}
AC_INLINE F32 load_i8(const int8_t* p) { return load_i8_n(p, 4); }

AC_INLINE F32 splat(float x) { return vdupq_n_f32(x); }
AC_INLINE F32 zero() { return vdupq_n_f32(0.0f); }
AC_INLINE F32 add(F32 a, F32 b) { return vaddq_f32(a, b); }
AC_INLINE F32 sub(F32 a, F32 b) { return vsubq_f32(a, b); }
AC_INLINE F32 mul(F32 a, F32 b) { return vmulq_f32(a, b); }
AC_INLINE F32 div(F32 a, F32 b) { return vdivq_f32(a, b); }
AC_INLINE F32 fma(F32 a, F32 b, F32 c) { return vfmaq_f32(c, a, b); }
AC_INLINE F32 vmin(F32 a, F32 b) { return vminq_f32(a, b); }
AC_INLINE F32 vmax(F32 a, F32 b) { return vmaxq_f32(a, b); }
AC_INLINE F32 vabs(F32 a) { return vabsq_f32(a); }
AC_INLINE F32 vsqrt(F32 a) { return vsqrtq_f32(a); }
AC_INLINE float reduce_add(F32 v) { return vaddvq_f32(v); }
AC_INLINE float reduce_max(F32 v) { return vmaxvq_f32(v); }

AC_INLINE I32 to_i32(F32 v) { return vcvtnq_s32_f32(v); }
AC_INLINE F32 to_f32(I32 v) { return vcvtq_f32_s32(v); }
AC_INLINE F32 pow2(I32 n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}
AC_INLINE void store_i8(int8_t* p, F32 v) {
  const int16x4_t words = vqmovn_s32(to_i32(v));
  const int8x8_t bytes = vqmovn_s16(vcombine_s16(words, words));
  vst1_lane_s32(reinterpret_cast<int32_t*>(p), vreinterpret_s32_s8(bytes), 0);
}
AC_INLINE void prefetch(const void* p) { __builtin_prefetch(p, 0, 3); }

AC_INLINE void transpose(F32 (&m)[4]) {
  const float32x4x2_t low = vtrnq_f32(m[0], m[1]);
  const float32x4x2_t high = vtrnq_f32(m[2], m[3]);
  m[0] = vcombine_f32(vget_low_f32(low.val[0]), vget_low_f32(high.val[0]));
  m[1] = vcombine_f32(vget_low_f32(low.val[1]), vget_low_f32(high.val[1]));
  m[2] = vcombine_f32(vget_high_f32(low.val[0]), vget_high_f32(high.val[0]));
  m[3] = vcombine_f32(vget_high_f32(low.val[1]), vget_high_f32(high.val[1]));
}

// --- quads: signed dot products, sdot ------------------------------------------------------------
// An activation is 16 bits, a high and a low byte with one dot product each.
constexpr bool kQuadsArePlanes = true;
constexpr int32_t kSignedQuadBias = 0;

using Words = uint32x4_t;
AC_INLINE Words load_words(const uint8_t* p) { return vreinterpretq_u32_u8(vld1q_u8(p)); }
AC_INLINE Words load_bytes_wide(const uint8_t* p) {
  return Words{p[0], p[1], p[2], p[3]};
}
AC_INLINE Words words_and(Words w, uint32_t mask) { return vandq_u32(w, vdupq_n_u32(mask)); }
AC_INLINE Words words_or(Words a, Words b) { return vorrq_u32(a, b); }
AC_INLINE Words words_left(Words w, uint32_t n) {
  return vshlq_u32(w, vdupq_n_s32(static_cast<int32_t>(n)));
}
AC_INLINE Words words_right(Words w, uint32_t n) {
  return vshlq_u32(w, vdupq_n_s32(-static_cast<int32_t>(n)));
}
AC_INLINE F32 words_to_f32(Words w) { return vcvtq_f32_u32(w); }

using QuadWeights = int8x16_t;
struct QuadSum {
  int32x4_t high;
  int32x4_t low;
};

AC_INLINE QuadWeights quads_of(Words w) { return vreinterpretq_s8_u32(w); }
AC_INLINE QuadWeights quads_of_signed(Words w) { return vreinterpretq_s8_u32(w); }
AC_INLINE QuadSum quads_start(int32_t s) { return {vdupq_n_s32(0), vdupq_n_s32(s)}; }
AC_INLINE void quads_dot(QuadSum& sum, QuadWeights w, const uint8_t* a) {
  const int8x8_t both = vreinterpret_s8_u8(vld1_u8(a));
  sum.high = vdotq_lane_s32(sum.high, w, both, 0);
  sum.low = vdotq_lane_s32(sum.low, w, both, 1);
}
AC_INLINE F32 quads_total(QuadSum sum) {
  return to_f32(vaddq_s32(vshlq_n_s32(sum.high, 8), sum.low));
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
