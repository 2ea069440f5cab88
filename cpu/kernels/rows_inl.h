// Row-major weights read in place, f32 activations and f32 sums: for few tokens, when reading the
// weights is what takes the time. A vector runs along the columns; the lanes are added up at the
// end.
#pragma once

#include "cpu/kernel_table.h"
#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

struct RowF32 {
  using Element = float;
  AC_INLINE static F32 load_all(const float* p) { return load(p); }
  AC_INLINE static F32 load_first(const float* p, size_t n) { return load_n(p, n); }
};
struct RowF16 {
  using Element = uint16_t;
  AC_INLINE static F32 load_all(const uint16_t* p) { return load_f16(p); }
  AC_INLINE static F32 load_first(const uint16_t* p, size_t n) { return load_f16_n(p, n); }
};
struct RowBf16 {
  using Element = uint16_t;
  AC_INLINE static F32 load_all(const uint16_t* p) { return load_bf16(p); }
  AC_INLINE static F32 load_first(const uint16_t* p, size_t n) { return load_bf16_n(p, n); }
};

// kTokens dot products of one row of weights.
template <class Row, size_t kTokens>
AC_INLINE void dot_row(const typename Row::Element* w, const float* x, size_t x_stride, size_t n,
                       float* y, size_t y_stride, float bias) {
  // Enough independent sums to hide the latency of fma.
  constexpr size_t kChains = kTokens >= 4 ? 1 : (kTokens >= 2 ? 2 : 4);
  constexpr size_t kStep = kChains * kLanes;
  F32 sums[kTokens][kChains];
#pragma GCC unroll 4
  for (size_t t = 0; t < kTokens; ++t) {
#pragma GCC unroll 4
    for (size_t c = 0; c < kChains; ++c) sums[t][c] = zero();
  }
  size_t i = 0;
  for (; i + kStep <= n; i += kStep) {
    prefetch(w + i + 4096 / sizeof(typename Row::Element));
#pragma GCC unroll 4
    for (size_t c = 0; c < kChains; ++c) {
      const F32 weights = Row::load_all(w + i + c * kLanes);
#pragma GCC unroll 4
      for (size_t t = 0; t < kTokens; ++t) {
        sums[t][c] = fma(weights, load(x + t * x_stride + i + c * kLanes), sums[t][c]);
      }
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    const F32 weights = Row::load_all(w + i);
#pragma GCC unroll 4
    for (size_t t = 0; t < kTokens; ++t) {
      sums[t][0] = fma(weights, load(x + t * x_stride + i), sums[t][0]);
    }
  }
  if (i < n) {
    const F32 weights = Row::load_first(w + i, n - i);
#pragma GCC unroll 4
    for (size_t t = 0; t < kTokens; ++t) {
      sums[t][0] = fma(weights, load_n(x + t * x_stride + i, n - i), sums[t][0]);
    }
  }
#pragma GCC unroll 4
  for (size_t t = 0; t < kTokens; ++t) {
    F32 sum = sums[t][0];
#pragma GCC unroll 4
    for (size_t c = 1; c < kChains; ++c) sum = add(sum, sums[t][c]);
    y[t * y_stride] = reduce_add(sum) + bias;
  }
}

template <class Row>
AC_INLINE void dot_row_tokens(const typename Row::Element* w, const MatmulArgs& args, size_t row) {
  const auto* x = static_cast<const float*>(args.activations);
  const float bias = args.bias != nullptr ? args.bias[row] : 0.0f;
  float* y = args.y + row;
  size_t token = 0;
  for (; token + 4 <= args.n_tokens; token += 4) {
    dot_row<Row, 4>(w, x + token * args.n_in, args.n_in, args.n_in, y + token * args.y_stride,
                    args.y_stride, bias);
  }
  for (; token + 2 <= args.n_tokens; token += 2) {
    dot_row<Row, 2>(w, x + token * args.n_in, args.n_in, args.n_in, y + token * args.y_stride,
                    args.y_stride, bias);
  }
  if (token < args.n_tokens) {
    dot_row<Row, 1>(w, x + token * args.n_in, args.n_in, args.n_in, y + token * args.y_stride,
                    args.y_stride, bias);
  }
}

template <class Row>
void multiply_rows(const MatmulArgs& args) noexcept {
  for (size_t row = args.row_begin; row < args.row_end; ++row) {
    const auto* w =
        reinterpret_cast<const typename Row::Element*>(args.weights + row * args.row_bytes);
    dot_row_tokens<Row>(w, args, row);
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
