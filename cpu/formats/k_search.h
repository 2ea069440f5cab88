// Scales for a sub-block of a K-quant: try a few, keep the one with the smallest squared error.
//
// For a fixed choice of integer codes the best scale (and minimum) is a least-squares solution, so
// each trial is: guess a scale, round, solve. The guesses shrink the range step by step, because
// giving up the extreme weight a little often pays for the many in the middle.
#pragma once

#include <cmath>
#include <cstddef>

#include "cpu/formats/rounding.h"

namespace ac::cpu {

// w ~ scale * q, q in [-levels, levels - 1]. The scale may be negative. n <= 32.
inline float search_scale(const float* in, size_t n, int32_t levels) {
  const float extreme = signed_extreme(in, n);
  if (extreme == 0.0f || !std::isfinite(extreme)) return 0.0f;
  float best_scale = 0.0f;
  float best_gain = -1.0f;
  for (int32_t step = -9; step <= 9; ++step) {
    const float inverse = -(static_cast<float>(levels) + 0.1f * static_cast<float>(step)) / extreme;
    float xq = 0.0f;
    float qq = 0.0f;
    for (size_t i = 0; i < n; ++i) {
      const auto q = static_cast<float>(round_to(in[i] * inverse, -levels, levels - 1));
      const float weight = in[i] * in[i];  // large weights matter more to the product
      xq += weight * in[i] * q;
      qq += weight * q * q;
    }
    // The error is sum(weight x^2) - xq^2 / qq: the larger the second term the better.
    if (qq > 0.0f && xq * xq > best_gain * qq) {
      best_gain = xq * xq / qq;
      best_scale = xq / qq;
    }
  }
  return best_scale;
}

struct ScaleAndMin {
  float scale;  // >= 0
  float min;    // >= 0, subtracted
};

// w ~ scale * q - min, q in [0, max_code]. n <= 32.
inline ScaleAndMin search_scale_and_min(const float* in, size_t n, int32_t max_code) {
  Range range = range_of(in, n);
  range.min = std::fmin(range.min, 0.0f);  // the minimum cannot be positive: its code has no sign
  const float width = range.max - range.min;
  if (!(width > 0.0f) || !std::isfinite(width)) {
    return {0.0f, std::isfinite(range.min) ? -range.min : 0.0f};
  }
  ScaleAndMin best{width / static_cast<float>(max_code), -range.min};
  float best_error = INFINITY;
  for (int32_t step = 0; step <= 20; ++step) {
    const float inverse =
        (static_cast<float>(max_code) + 0.1f * static_cast<float>(step - 10)) / width;
    float codes[32];
    float sum_q = 0.0f, sum_qq = 0.0f, sum_x = 0.0f, sum_xq = 0.0f;
    for (size_t i = 0; i < n; ++i) {
      codes[i] = static_cast<float>(round_to((in[i] - range.min) * inverse, 0, max_code));
      sum_q += codes[i];
      sum_qq += codes[i] * codes[i];
      sum_x += in[i];
      sum_xq += in[i] * codes[i];
    }
    const auto count = static_cast<float>(n);
    const float determinant = count * sum_qq - sum_q * sum_q;
    if (!(determinant > 0.0f)) continue;
    ScaleAndMin trial{(count * sum_xq - sum_x * sum_q) / determinant,
                      (sum_q * sum_xq - sum_qq * sum_x) / determinant};
    if (trial.min < 0.0f) trial = {sum_xq / sum_qq, 0.0f};
    if (!(trial.scale > 0.0f)) continue;
    float error = 0.0f;
    for (size_t i = 0; i < n; ++i) {
      const float difference = trial.scale * codes[i] - trial.min - in[i];
      error += difference * difference;
    }
    if (error < best_error) {
      best_error = error;
      best = trial;
    }
  }
  return best;
}

}  // namespace ac::cpu
