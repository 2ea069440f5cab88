// Single f16 and bf16 values, in integer arithmetic: for tails and for the scalar instruction set.
// Not for whole rows where the processor has instructions for them.
#pragma once

#include <cstddef>
#include <cstdint>

#define AC_INLINE inline __attribute__((always_inline))

namespace ac::cpu::AC_ISA {
namespace {

AC_INLINE float float_of_bits(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

AC_INLINE uint32_t bits_of_float(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}

AC_INLINE float bf16_to_f32(uint16_t bits) {
  return float_of_bits(static_cast<uint32_t>(bits) << 16);
}

// Rounds to nearest even; a NaN stays one.
AC_INLINE uint16_t f32_to_bf16(float value) {
  const uint32_t bits = bits_of_float(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

AC_INLINE float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) return float_of_bits(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  // Shifted into place the exponent is 112 too small; a multiplication by 2^112 corrects it, and
  // makes a subnormal half the normal float that it is.
  const float scaled = float_of_bits(magnitude << 13) * float_of_bits((127u + 112u) << 23);
  return float_of_bits(bits_of_float(scaled) | sign);
}

AC_INLINE uint16_t f32_to_f16(float value) {
  const uint32_t bits = bits_of_float(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00u);  // rounds past 65504
  if (magnitude < 0x38800000u) {
    // Subnormal: adding 0.5 makes the float's own rounding drop exactly the bits that do not fit.
    const float shifted = float_of_bits(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (bits_of_float(shifted) - 0x3f000000u));
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23);
  return static_cast<uint16_t>(sign | (rounded >> 13));
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
