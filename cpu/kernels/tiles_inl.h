// f32 products for many tokens: y[token][row] = sum over k of x[token][k] * w[row][k].
//
// A tile of rows is transposed once into a panel [k][kTileRows] of f32 that stays in the L2 cache,
// and is then used by all tokens: a vector of rows times one broadcast activation, kTileTokens
// tokens at a time, with all sums in registers. Every sum runs over k in ascending order, so its
// bits do not depend on how rows and tokens are split.
#pragma once

#include "cpu/kernels/rows_inl.h"

namespace ac::cpu::AC_ISA {
namespace {

// Rows (in vectors) and tokens of a tile: as many sums as there are registers, less a few.
constexpr size_t kTileVectors = kLanes == 16 ? 2 : (kLanes == 8 ? 2 : 4);
constexpr size_t kTileTokens = kLanes == 16 ? 12 : (kLanes == 8 ? 6 : (kLanes == 4 ? 6 : 4));
constexpr size_t kTileRows = kTileVectors * kLanes;

// kLanes rows from `row` on, transposed into lanes [lane, lane + kLanes) of the panel; rows from
// row_end on are zeros.
template <class Row>
AC_INLINE void fill_panel(const std::byte* weights, size_t row_bytes, size_t row, size_t row_end,
                          size_t n_in, float* panel) {
  const typename Row::Element* rows[kLanes];
  for (size_t i = 0; i < kLanes; ++i) {
    const size_t existing = row + i < row_end ? row + i : row;
    rows[i] = reinterpret_cast<const typename Row::Element*>(weights + existing * row_bytes);
  }
  const size_t n_rows = row_end - row < kLanes ? row_end - row : kLanes;
  for (size_t k = 0; k < n_in; k += kLanes) {
    const size_t n = n_in - k < kLanes ? n_in - k : kLanes;
    F32 square[kLanes];
#pragma GCC unroll 16
    for (size_t i = 0; i < kLanes; ++i) {
      square[i] = i >= n_rows   ? zero()
                  : n == kLanes ? Row::load_all(rows[i] + k)
                                : Row::load_first(rows[i] + k, n);
    }
    transpose(square);
    for (size_t i = 0; i < n; ++i) store(panel + (k + i) * kTileRows, square[i]);
  }
}

// kTokens tokens times one panel; `n_rows` of its rows are stored.
template <size_t kTokens>
AC_INLINE void multiply_tile(const float* panel, const float* x, size_t n_in, const float* bias,
                             float* y, size_t y_stride, size_t n_rows) {
  F32 sums[kTokens][kTileVectors];
#pragma GCC unroll 12
  for (size_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (size_t v = 0; v < kTileVectors; ++v) sums[t][v] = zero();
  }
  for (size_t k = 0; k < n_in; ++k) {
    F32 w[kTileVectors];
#pragma GCC unroll 4
    for (size_t v = 0; v < kTileVectors; ++v) w[v] = load(panel + k * kTileRows + v * kLanes);
#pragma GCC unroll 12
    for (size_t t = 0; t < kTokens; ++t) {
      const F32 a = splat(x[t * n_in + k]);
#pragma GCC unroll 4
      for (size_t v = 0; v < kTileVectors; ++v) sums[t][v] = fma(w[v], a, sums[t][v]);
    }
  }
#pragma GCC unroll 12
  for (size_t t = 0; t < kTokens; ++t) {
    float padded[kTileRows];
    float* to = n_rows == kTileRows ? y + t * y_stride : padded;
#pragma GCC unroll 4
    for (size_t v = 0; v < kTileVectors; ++v) {
      const F32 sum = sums[t][v];
      store(to + v * kLanes,
            bias != nullptr && to != padded ? add(sum, load(bias + v * kLanes)) : sum);
    }
    if (to != padded) continue;
    for (size_t i = 0; i < n_rows; ++i) {
      y[t * y_stride + i] = bias != nullptr ? padded[i] + bias[i] : padded[i];
    }
  }
}

template <size_t kTokens>
void multiply_tile_tokens(size_t n_tokens, const float* panel, const float* x, size_t n_in,
                          const float* bias, float* y, size_t y_stride, size_t n_rows) {
  if (n_tokens == kTokens) {
    multiply_tile<kTokens>(panel, x, n_in, bias, y, y_stride, n_rows);
  } else if constexpr (kTokens > 1) {
    multiply_tile_tokens<kTokens - 1>(n_tokens, panel, x, n_in, bias, y, y_stride, n_rows);
  }
}

void multiply_panel(const MatmulArgs& args, size_t row, size_t n_rows, const float* panel) {
  const auto* x = static_cast<const float*>(args.activations);
  const float* bias = args.bias != nullptr ? args.bias + row : nullptr;
  for (size_t token = 0; token < args.n_tokens; token += kTileTokens) {
    const size_t left = args.n_tokens - token;
    multiply_tile_tokens<kTileTokens>(left < kTileTokens ? left : kTileTokens, panel,
                                      x + token * args.n_in, args.n_in, bias,
                                      args.y + token * args.y_stride + row, args.y_stride, n_rows);
  }
}

// Scratch: the panel, kTileRows * n_in floats.
template <class Row>
void multiply_tiles(const MatmulArgs& args) noexcept {
  auto* panel = static_cast<float*>(args.scratch);
  for (size_t row = args.row_begin; row < args.row_end; row += kTileRows) {
    const size_t n_rows = args.row_end - row < kTileRows ? args.row_end - row : kTileRows;
    for (size_t i = 0; i < kTileRows; i += kLanes) {
      if (i < n_rows) {
        fill_panel<Row>(args.weights, args.row_bytes, row + i, row + n_rows, args.n_in, panel + i);
      } else {
        for (size_t k = 0; k < args.n_in; ++k) store(panel + k * kTileRows + i, zero());
      }
    }
    multiply_panel(args, row, n_rows, panel);
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
