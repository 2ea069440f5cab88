// Blocks of GGUF as grids: the values that a group of 32 weights may take, candidates for the best
// grid, and the bytes of a block once grid and codes are chosen.
//
// The formats are cpu/formats/{q8_0,q4_0,q4_k}.h. There a grid is chosen for the weights alone;
// here several are offered, and a caller who knows what the weights are multiplied with picks one.
// A grid's numbers are those that a reader will compute: d is rounded to half before any code is.
//
// An encoder takes a block (32 or 256 weights) in this order: begin_block, then for each group of
// 32 candidates and choose, then set_code for each weight of the block, then write.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "cpu/formats/f16.h"
#include "cpu/formats/k_scales.h"
#include "cpu/formats/rounding.h"

namespace ac {

inline constexpr size_t kGroupWeights = 32;
inline constexpr size_t kMaxGrids = 24;

// value(q) = scale * q - minimum, for whole q in [low, high].
struct Grid {
  float scale = 0;
  float minimum = 0;
  float inverse = 0;  // 1 / scale, or 0
  float low = 0;
  float high = 0;

  float code(float w) const {
    // Adding 1.5 * 2^23 rounds to a whole number, ties to even; the clamp keeps it in reach.
    constexpr float kRound = 12582912.0f;
    const float x = std::min(std::max((w + minimum) * inverse, low), high);
    return (x + kRound) - kRound;
  }
  float value(float code) const { return scale * code - minimum; }
};

struct GridList {
  std::array<Grid, kMaxGrids> grids;
  size_t n = 0;

  void add(const Grid& grid) {
    for (size_t i = 0; i < n; ++i) {
      if (grids[i].scale == grid.scale && grids[i].minimum == grid.minimum) return;
    }
    if (n < kMaxGrids) grids[n++] = grid;
  }
};

inline float rounded_to_half(float value) { return cpu::f16_to_f32(cpu::f32_to_f16(value)); }

// A symmetric format: one half d for 32 weights, w = d * q. Candidates: what least squares,
// weighted by `weight`, make of codes at slightly different ranges (ggml's make_qx_quants).
template <int kLow, int kHigh, int kSteps>
class SymmetricBlock {
 public:
  static constexpr size_t kBlockWeights = kGroupWeights;

  void begin_block(const float*, const float*) {}

  GridList candidates(size_t, const float* w, const float* weight) const {
    GridList list;
    const float extreme = cpu::signed_extreme(w, kGroupWeights);
    add(list, extreme / static_cast<float>(-levels()));
    if (extreme == 0.0f || !std::isfinite(extreme)) return list;
    for (int step = -kSteps; step <= kSteps; ++step) {
      const float inverse =
          -(static_cast<float>(levels()) + step_width() * static_cast<float>(step)) / extreme;
      const Grid trial = {.inverse = inverse, .low = kLow, .high = kHigh};
      float xq = 0.0f, qq = 0.0f;
      for (size_t i = 0; i < kGroupWeights; ++i) {
        const float q = trial.code(w[i]);
        xq += weight[i] * w[i] * q;
        qq += weight[i] * q * q;
      }
      if (qq > 0.0f) add(list, xq / qq);
    }
    return list;
  }
  void choose(size_t, const Grid& grid) { d_ = grid.scale; }
  void set_code(size_t i, float code) { codes_[i] = static_cast<int8_t>(code); }

 protected:
  static constexpr int levels() { return -kLow; }
  static constexpr float step_width() { return kHigh > 15 ? 0.5f : 0.1f; }
  static void add(GridList& list, float d) {
    const float rounded = rounded_to_half(d);
    if (!std::isfinite(rounded)) return;
    list.add(
        {.scale = rounded, .inverse = cpu::inverse_or_zero(rounded), .low = kLow, .high = kHigh});
  }

  float d_ = 0;
  std::array<int8_t, kGroupWeights> codes_ = {};
};

class Q8_0Block : public SymmetricBlock<-127, 127, 4> {
 public:
  static constexpr size_t kBlockBytes = 34;
  void write(std::byte* block) const {
    cpu::store_unaligned(block, cpu::f32_to_f16(d_));
    for (size_t i = 0; i < kGroupWeights; ++i) block[2 + i] = static_cast<std::byte>(codes_[i]);
  }
};

class Q4_0Block : public SymmetricBlock<-8, 7, 9> {
 public:
  static constexpr size_t kBlockBytes = 18;
  void write(std::byte* block) const {
    cpu::store_unaligned(block, cpu::f32_to_f16(d_));
    for (size_t i = 0; i < 16; ++i) {
      block[2 + i] = static_cast<std::byte>((codes_[i] + 8) | (codes_[i + 16] + 8) << 4);
    }
  }
};

// 256 weights with halves d and d_min; each group has a 6-bit scale and a 6-bit minimum.
// begin_block fixes d and d_min; a group's two codes are chosen when its turn comes.
class Q4_KBlock {
 public:
  static constexpr size_t kBlockWeights = 256;
  static constexpr size_t kBlockBytes = 144;

  void begin_block(const float* w, const float* weight) {
    float largest_scale = 0.0f, largest_min = 0.0f;
    for (size_t group = 0; group < 8; ++group) {
      const Fit fit = search(w + group * kGroupWeights, weight + group * kGroupWeights, nullptr);
      largest_scale = std::max(largest_scale, fit.scale);
      largest_min = std::max(largest_min, fit.minimum);
    }
    d_ = rounded_to_half(largest_scale / 63.0f);
    d_min_ = rounded_to_half(largest_min / 63.0f);
  }

  GridList candidates(size_t, const float* w, const float* weight) const {
    GridList list;
    const Fit best = search(w, weight, &list);
    const auto [scale, minimum] = codes_of(best);
    for (int s = -1; s <= 1; ++s) {
      for (int m = -1; m <= 1; ++m) add(list, scale + s, minimum + m);
    }
    return list;
  }
  void choose(size_t group, const Grid& grid) {
    scales_.scale[group] =
        static_cast<uint8_t>(cpu::round_to(grid.scale * cpu::inverse_or_zero(d_), 0, 63));
    scales_.min[group] =
        static_cast<uint8_t>(cpu::round_to(grid.minimum * cpu::inverse_or_zero(d_min_), 0, 63));
  }
  void set_code(size_t i, float code) { codes_[i] = static_cast<uint8_t>(code); }
  void write(std::byte* block) const {
    cpu::store_unaligned(block, cpu::f32_to_f16(d_));
    cpu::store_unaligned(block + 2, cpu::f32_to_f16(d_min_));
    cpu::pack_k_scales(scales_, block + 4);
    for (size_t quarter = 0; quarter < 4; ++quarter) {
      for (size_t i = 0; i < 32; ++i) {
        const size_t at = 64 * quarter + i;
        block[16 + 32 * quarter + i] = static_cast<std::byte>(codes_[at] | codes_[at + 32] << 4);
      }
    }
  }

 private:
  struct Fit {
    float scale = 0;
    float minimum = 0;
  };
  struct Codes {
    int scale, minimum;
  };

  Codes codes_of(const Fit& fit) const {
    return {cpu::round_to(fit.scale * cpu::inverse_or_zero(d_), 0, 63),
            cpu::round_to(fit.minimum * cpu::inverse_or_zero(d_min_), 0, 63)};
  }
  void add(GridList& list, int scale, int minimum) const {
    const float s = d_ * static_cast<float>(std::clamp(scale, 0, 63));
    const float m = d_min_ * static_cast<float>(std::clamp(minimum, 0, 63));
    list.add({.scale = s, .minimum = m, .inverse = cpu::inverse_or_zero(s), .low = 0, .high = 15});
  }

  // Weighted least squares for scale and minimum (>= 0) at codes of slightly different ranges; the
  // best of them, and each as a grid in `list`.
  Fit search(const float* w, const float* weight, GridList* list) const {
    cpu::Range range = cpu::range_of(w, kGroupWeights);
    range.min = std::min(range.min, 0.0f);
    const float width = range.max - range.min;
    if (!(width > 0.0f) || !std::isfinite(width)) {
      return {0.0f, std::isfinite(range.min) ? -range.min : 0.0f};
    }
    Fit best{width / 15.0f, -range.min};
    float best_error = INFINITY;
    for (int step = 0; step <= 14; ++step) {
      const float inverse = (15.0f - 0.9f + 0.15f * static_cast<float>(step)) / width;
      const Grid trial = {.minimum = -range.min, .inverse = inverse, .low = 0, .high = 15};
      float sum = 0, sum_q = 0, sum_qq = 0, sum_x = 0, sum_xq = 0;
      float codes[kGroupWeights];
      for (size_t i = 0; i < kGroupWeights; ++i) {
        const float q = codes[i] = trial.code(w[i]);
        sum += weight[i];
        sum_q += weight[i] * q;
        sum_qq += weight[i] * q * q;
        sum_x += weight[i] * w[i];
        sum_xq += weight[i] * w[i] * q;
      }
      const float determinant = sum * sum_qq - sum_q * sum_q;
      if (!(determinant > 0.0f)) continue;
      Fit fit{(sum * sum_xq - sum_x * sum_q) / determinant,
              (sum_q * sum_xq - sum_qq * sum_x) / determinant};
      if (fit.minimum < 0.0f) fit = {sum_xq / sum_qq, 0.0f};
      if (!(fit.scale > 0.0f)) continue;
      float error = 0;
      for (size_t i = 0; i < kGroupWeights; ++i) {
        const float e = fit.scale * codes[i] - fit.minimum - w[i];
        error += weight[i] * e * e;
      }
      if (error < best_error) {
        best_error = error;
        best = fit;
      }
      if (list != nullptr) {
        const auto [scale, minimum] = codes_of(fit);
        add(*list, scale, minimum);
      }
    }
    return best;
  }

  float d_ = 0;
  float d_min_ = 0;
  cpu::KScales scales_ = {};
  std::array<uint8_t, kBlockWeights> codes_ = {};
};

}  // namespace ac
