// What the encoders of the block formats share: the extremes of a block and safe rounding.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace ac::cpu {

// `value` as an integer in [low, high], cut towards zero. A NaN becomes `low`: weights come from
// files, and a conversion out of range would be undefined.
inline int32_t truncate_to(float value, int32_t low, int32_t high) {
  if (!(value > static_cast<float>(low))) return low;
  if (value >= static_cast<float>(high)) return high;
  return static_cast<int32_t>(value);
}

// The same, rounded to nearest with ties away from zero.
inline int32_t round_to(float value, int32_t low, int32_t high) {
  return truncate_to(std::round(value), low, high);
}

// 1 / value, and 0 for 0.
inline float inverse_or_zero(float value) { return value != 0.0f ? 1.0f / value : 0.0f; }

// The element of largest magnitude with its sign, the first of several.
inline float signed_extreme(const float* in, size_t n) {
  float extreme = 0.0f;
  float magnitude = 0.0f;
  for (size_t i = 0; i < n; ++i) {
    if (std::fabs(in[i]) > magnitude) {
      magnitude = std::fabs(in[i]);
      extreme = in[i];
    }
  }
  return extreme;
}

struct Range {
  float min;
  float max;
};
// REQUIRES: n > 0.
inline Range range_of(const float* in, size_t n) {
  Range range{in[0], in[0]};
  for (size_t i = 1; i < n; ++i) {
    if (in[i] < range.min) range.min = in[i];
    if (in[i] > range.max) range.max = in[i];
  }
  return range;
}

}  // namespace ac::cpu
