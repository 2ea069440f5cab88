// Norm, rope, activations and other kernels that pass over memory once.
#pragma once

#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

// Calls body(i) for whole vectors of n elements, then tail(i, n_left) once for the rest.
template <class Body, class Tail>
AC_INLINE void for_vectors(size_t n, const Body& body, const Tail& tail) {
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i);
  if (i < n) tail(i, n - i);
}

// --- norm ----------------------------------------------------------------------------------------

AC_INLINE float sum_of_squares(const float* x, size_t n) {
  // Four sums: one alone would wait for the latency of each addition.
  F32 sum[4] = {zero(), zero(), zero(), zero()};
  size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (size_t j = 0; j < 4; ++j) {
      const F32 v = load(x + i + j * kLanes);
      sum[j] = fma(v, v, sum[j]);
    }
  }
  for (; i + kLanes <= n; i += kLanes) {
    const F32 v = load(x + i);
    sum[0] = fma(v, v, sum[0]);
  }
  if (i < n) {
    const F32 v = load_n(x + i, n - i);
    sum[1] = fma(v, v, sum[1]);
  }
  return reduce_add(add(add(sum[0], sum[1]), add(sum[2], sum[3])));
}

void rms_norm(const float* x, const float* weight, float* y, size_t group, size_t n_groups,
              float epsilon) noexcept {
  for (size_t g = 0; g < n_groups; ++g, x += group, y += group) {
    const float mean = sum_of_squares(x, group) / static_cast<float>(group);
    const F32 factor = splat(1.0f / __builtin_sqrtf(mean + epsilon));
    if (weight == nullptr) {
      for_vectors(
          group, [&](size_t i) { store(y + i, mul(load(x + i), factor)); },
          [&](size_t i, size_t n) { store_n(y + i, mul(load_n(x + i, n), factor), n); });
    } else {
      for_vectors(
          group, [&](size_t i) { store(y + i, mul(mul(load(x + i), factor), load(weight + i))); },
          [&](size_t i, size_t n) {
            store_n(y + i, mul(mul(load_n(x + i, n), factor), load_n(weight + i, n)), n);
          });
    }
  }
}

// --- rope ----------------------------------------------------------------------------------------

void rope_halves(float* x, const float* cos_sin, size_t d_rot, size_t d_head,
                 size_t n_heads) noexcept {
  const size_t half = d_rot / 2;
  const float* cos = cos_sin;
  const float* sin = cos_sin + half;
  for (size_t h = 0; h < n_heads; ++h, x += d_head) {
    float* low = x;
    float* high = x + half;
    for_vectors(
        half,
        [&](size_t i) {
          const F32 a = load(low + i), b = load(high + i);
          const F32 c = load(cos + i), s = load(sin + i);
          store(low + i, sub(mul(a, c), mul(b, s)));
          store(high + i, add(mul(a, s), mul(b, c)));
        },
        [&](size_t i, size_t n) {
          const F32 a = load_n(low + i, n), b = load_n(high + i, n);
          const F32 c = load_n(cos + i, n), s = load_n(sin + i, n);
          store_n(low + i, sub(mul(a, c), mul(b, s)), n);
          store_n(high + i, add(mul(a, s), mul(b, c)), n);
        });
  }
}

void rope_interleaved(float* x, const float* cos_sin, size_t d_rot, size_t d_head,
                      size_t n_heads) noexcept {
  const size_t half = d_rot / 2;
  for (size_t h = 0; h < n_heads; ++h, x += d_head) {
    for (size_t i = 0; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      const float c = cos_sin[i], s = cos_sin[half + i];
      x[2 * i] = a * c - b * s;
      x[2 * i + 1] = a * s + b * c;
    }
  }
}

// --- activations
// -----------------------------------------------------------------------------------

// x / (1 + e^-x).
AC_INLINE F32 silu(F32 x) { return div(x, add(splat(1.0f), vexp(sub(zero(), x)))); }

// 0.5 x (1 + tanh(u)) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3).
AC_INLINE F32 gelu_tanh(F32 x) {
  const F32 cubic = fma(mul(mul(x, x), x), splat(0.044715f), x);
  const F32 e = vexp(mul(cubic, splat(-1.5957691216057308f)));
  return div(x, add(splat(1.0f), e));
}

void gated_silu(const float* gate, const float* up, float* y, size_t n) noexcept {
  for_vectors(
      n, [&](size_t i) { store(y + i, mul(silu(load(gate + i)), load(up + i))); },
      [&](size_t i, size_t m) {
        store_n(y + i, mul(silu(load_n(gate + i, m)), load_n(up + i, m)), m);
      });
}

void gated_gelu_tanh(const float* gate, const float* up, float* y, size_t n) noexcept {
  for_vectors(
      n, [&](size_t i) { store(y + i, mul(gelu_tanh(load(gate + i)), load(up + i))); },
      [&](size_t i, size_t m) {
        store_n(y + i, mul(gelu_tanh(load_n(gate + i, m)), load_n(up + i, m)), m);
      });
}

// --- the rest
// --------------------------------------------------------------------------------------

void add_to(float* x, const float* y, size_t n) noexcept {
  for_vectors(
      n, [&](size_t i) { store(x + i, add(load(x + i), load(y + i))); },
      [&](size_t i, size_t m) { store_n(x + i, add(load_n(x + i, m), load_n(y + i, m)), m); });
}

void scale(float* x, float factor, size_t n) noexcept {
  const F32 f = splat(factor);
  for_vectors(
      n, [&](size_t i) { store(x + i, mul(load(x + i), f)); },
      [&](size_t i, size_t m) { store_n(x + i, mul(load_n(x + i, m), f), m); });
}

AC_INLINE F32 capped(F32 x, F32 cap) { return mul(cap, vtanh(div(x, cap))); }

void softcap(float* x, float cap, size_t n) noexcept {
  const F32 c = splat(cap);
  for_vectors(
      n, [&](size_t i) { store(x + i, capped(load(x + i), c)); },
      [&](size_t i, size_t m) { store_n(x + i, capped(load_n(x + i, m), c), m); });
}

void decode_f16(const uint16_t* half, float* out, size_t n) noexcept {
  for_vectors(
      n, [&](size_t i) { store(out + i, load_f16(half + i)); },
      [&](size_t i, size_t m) { store_n(out + i, load_f16_n(half + i, m), m); });
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
