// Gradients, losses and the optimiser's step: kernels that pass over memory once or twice.
#pragma once

#include "cpu/kernels/elementwise_inl.h"
#include "cpu/kernels/train_kernels.h"

namespace ac::cpu::AC_ISA {
namespace {

// --- norm ----------------------------------------------------------------------------------------

// With h = x * f, f = 1 / sqrt(mean(x^2) + epsilon), and u = dy * weight:
// dx = f * (u - h * mean(u h)), d_weight = dy * h.
void rms_norm_grad(const RmsNormGradArgs& args) noexcept {
  const size_t n = args.group;
  for (size_t g = 0; g < args.n_groups; ++g) {
    const float* x = args.x + g * n;
    const float* dy = args.dy + g * n;
    float* dx = args.dx + g * n;
    const float mean = sum_of_squares(x, n) / static_cast<float>(n);
    const float factor = 1.0f / __builtin_sqrtf(mean + args.epsilon);
    const auto weight = [&](size_t i) {
      return args.weight != nullptr ? load(args.weight + i) : splat(1.0f);
    };
    const auto weight_n = [&](size_t i, size_t m) {
      return args.weight != nullptr ? load_n(args.weight + i, m) : splat(1.0f);
    };
    F32 sum = zero();
    for_vectors(
        n,
        [&](size_t i) { sum = fma(mul(load(dy + i), weight(i)), load(x + i), sum); },
        [&](size_t i, size_t m) {
          sum = fma(mul(load_n(dy + i, m), weight_n(i, m)), load_n(x + i, m), sum);
        });
    const F32 f = splat(factor);
    // h * mean(u h) * f = x * f^3 * mean(u x)
    const F32 along =
        splat(-reduce_add(sum) / static_cast<float>(n) * factor * factor * factor);
    for_vectors(
        n,
        [&](size_t i) {
          const F32 d = load(dy + i), v = load(x + i);
          const F32 change = fma(v, along, mul(mul(d, weight(i)), f));
          store(dx + i, args.adds ? add(load(dx + i), change) : change);
          if (args.d_weight != nullptr) {
            store(args.d_weight + i, fma(mul(d, v), f, load(args.d_weight + i)));
          }
        },
        [&](size_t i, size_t m) {
          const F32 d = load_n(dy + i, m), v = load_n(x + i, m);
          const F32 change = fma(v, along, mul(mul(d, weight_n(i, m)), f));
          store_n(dx + i, args.adds ? add(load_n(dx + i, m), change) : change, m);
          if (args.d_weight != nullptr) {
            store_n(args.d_weight + i, fma(mul(d, v), f, load_n(args.d_weight + i, m)), m);
          }
        });
  }
}

// --- activations ---------------------------------------------------------------------------------

// y = x s, s = 1 / (1 + e^-x); dy/dx = s (1 + x (1 - s)).
struct Silu {
  AC_INLINE static void value_and_slope(F32 x, F32& value, F32& slope) {
    const F32 s = div(splat(1.0f), add(splat(1.0f), vexp(sub(zero(), x))));
    value = mul(x, s);
    slope = fma(mul(value, sub(splat(1.0f), s)), splat(1.0f), s);
  }
};

// y = x s, s = 1 / (1 + e^-2u), u = c (x + b x^3); dy/dx = s + x s (1 - s) 2 c (1 + 3 b x^2).
struct GeluTanh {
  AC_INLINE static void value_and_slope(F32 x, F32& value, F32& slope) {
    const F32 square = mul(x, x);
    const F32 two_u = mul(mul(x, fma(square, splat(0.044715f), splat(1.0f))),
                          splat(1.5957691216057308f));
    const F32 s = div(splat(1.0f), add(splat(1.0f), vexp(sub(zero(), two_u))));
    value = mul(x, s);
    const F32 inner = fma(square, splat(3 * 0.044715f * 1.5957691216057308f),
                          splat(1.5957691216057308f));
    slope = fma(mul(value, sub(splat(1.0f), s)), inner, s);
  }
};

template <class Bend>
void gated_grad(const float* gate, const float* up, const float* dy, float* d_gate, float* d_up,
                size_t n) noexcept {
  for_vectors(
      n,
      [&](size_t i) {
        F32 value, slope;
        Bend::value_and_slope(load(gate + i), value, slope);
        const F32 d = load(dy + i);
        store(d_gate + i, mul(mul(d, load(up + i)), slope));
        store(d_up + i, mul(d, value));
      },
      [&](size_t i, size_t m) {
        F32 value, slope;
        Bend::value_and_slope(load_n(gate + i, m), value, slope);
        const F32 d = load_n(dy + i, m);
        store_n(d_gate + i, mul(mul(d, load_n(up + i, m)), slope), m);
        store_n(d_up + i, mul(d, value), m);
      });
}

void softcap_grad(const float* y, float* dx, float cap, size_t n) noexcept {
  const F32 by = splat(1.0f / cap);
  const auto slope = [&](F32 v) {
    const F32 t = mul(v, by);
    return sub(splat(1.0f), mul(t, t));
  };
  for_vectors(
      n, [&](size_t i) { store(dx + i, mul(load(dx + i), slope(load(y + i)))); },
      [&](size_t i, size_t m) {
        store_n(dx + i, mul(load_n(dx + i, m), slope(load_n(y + i, m))), m);
      });
}

float dot(const float* a, const float* b, size_t n) noexcept {
  F32 sum = zero();
  for_vectors(
      n, [&](size_t i) { sum = fma(load(a + i), load(b + i), sum); },
      [&](size_t i, size_t m) { sum = fma(load_n(a + i, m), load_n(b + i, m), sum); });
  return reduce_add(sum);
}

float square_sum(const float* x, size_t n) noexcept { return sum_of_squares(x, n); }

// --- softmax of attention ------------------------------------------------------------------------

AC_INLINE void clear(float* p, size_t begin, size_t end) {
  for (; begin + kLanes <= end; begin += kLanes) store(p + begin, zero());
  for (; begin < end; ++begin) p[begin] = 0.0f;
}

AC_INLINE F32 scaled(F32 score, const ScoreRow& row) {
  const F32 s = mul(score, splat(row.scale));
  return row.softcap > 0 ? capped(s, splat(row.softcap)) : s;
}

AC_INLINE float max_of(const float* p, size_t n) {
  F32 top = splat(-3.0e38f);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) top = vmax(top, load(p + i));
  float best = reduce_max(top);
  for (; i < n; ++i) best = p[i] > best ? p[i] : best;
  return best;
}

// p = exp(p - top); returns the sum.
AC_INLINE float exp_row(float* p, size_t n, float top) {
  const F32 t = splat(top);
  F32 sum = zero();
  for_vectors(
      n,
      [&](size_t i) {
        const F32 e = vexp(sub(load(p + i), t));
        sum = add(sum, e);
        store(p + i, e);
      },
      [&](size_t i, size_t m) {
        store_n(p + i, vexp(sub(load_n(p + i, m), t)), m);
        sum = add(sum, load_n(p + i, m));
      });
  return reduce_add(sum);
}

AC_INLINE void scale_row(float* p, size_t n, float factor) { scale(p, factor, n); }

float softmax_row(const ScoreRow& row) noexcept {
  float* p = row.scores + row.begin;
  const size_t n = row.end - row.begin;
  for_vectors(
      n, [&](size_t i) { store(p + i, scaled(load(p + i), row)); },
      [&](size_t i, size_t m) { store_n(p + i, scaled(load_n(p + i, m), row), m); });
  const float top = max_of(p, n);
  const float sum = exp_row(p, n, top);
  scale_row(p, n, 1.0f / sum);
  clear(row.scores, 0, row.begin);
  clear(row.scores, row.end, row.n);
  return top + __builtin_logf(sum);
}

void softmax_row_grad(const ScoreRow& row, float log_sum, float* d_weights,
                      float row_dot) noexcept {
  float* s = row.scores + row.begin;
  float* d = d_weights + row.begin;
  const F32 log = splat(log_sum), along = splat(row_dot), by = splat(row.scale);
  const F32 by_cap = splat(row.softcap > 0 ? 1.0f / row.softcap : 0.0f);
  const auto both = [&](F32 score, F32 dp, F32& p, F32& ds) {
    const F32 bent = scaled(score, row);
    p = vexp(sub(bent, log));
    const F32 t = mul(bent, by_cap);
    const F32 slope = mul(by, sub(splat(1.0f), mul(t, t)));
    ds = mul(mul(p, sub(dp, along)), slope);
  };
  for_vectors(
      row.end - row.begin,
      [&](size_t i) {
        F32 p, ds;
        both(load(s + i), load(d + i), p, ds);
        store(s + i, p);
        store(d + i, ds);
      },
      [&](size_t i, size_t m) {
        F32 p, ds;
        both(load_n(s + i, m), load_n(d + i, m), p, ds);
        store_n(s + i, p, m);
        store_n(d + i, ds, m);
      });
  clear(row.scores, 0, row.begin);
  clear(row.scores, row.end, row.n);
  clear(d_weights, 0, row.begin);
  clear(d_weights, row.end, row.n);
}

// --- losses --------------------------------------------------------------------------------------

float cross_entropy_row(float* z, size_t n, size_t target, float weight) noexcept {
  const float wanted = z[target];
  const float top = max_of(z, n);
  const float sum = exp_row(z, n, top);
  scale_row(z, n, weight / sum);
  z[target] -= weight;
  return top + __builtin_logf(sum) - wanted;
}

AC_INLINE float log_sum_exp(const float* z, size_t n) {
  const float top = max_of(z, n);
  const F32 t = splat(top);
  F32 sum = zero();
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sum = add(sum, vexp(sub(load(z + i), t)));
  float total = reduce_add(sum);
  if (i < n) {
    float rest[kLanes] = {};
    store_n(rest, vexp(sub(load_n(z + i, n - i), t)), n - i);
    for (size_t j = 0; j < n - i; ++j) total += rest[j];
  }
  return top + __builtin_logf(total);
}

float cross_entropy(const float* z, size_t n, size_t target) noexcept {
  return log_sum_exp(z, n) - z[target];
}

float divergence_row(float* z, float* teacher, size_t n, float weight) noexcept {
  const float log_z = log_sum_exp(z, n), log_t = log_sum_exp(teacher, n);
  const F32 lz = splat(log_z), lt = splat(log_t), w = splat(weight);
  F32 sum = zero();
  const auto one = [&](F32 a, F32 b, F32& d, F32& q) {
    const F32 log_p = sub(a, lz), log_q = sub(b, lt);
    q = vexp(log_q);
    d = mul(w, sub(vexp(log_p), q));
    return mul(q, sub(log_q, log_p));
  };
  F32 d, q;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    sum = add(sum, one(load(z + i), load(teacher + i), d, q));
    store(z + i, d);
    store(teacher + i, q);
  }
  float total = reduce_add(sum);
  if (i < n) {
    float rest[kLanes] = {};
    store_n(rest, one(load_n(z + i, n - i), load_n(teacher + i, n - i), d, q), n - i);
    for (size_t j = 0; j < n - i; ++j) total += rest[j];
    store_n(z + i, d, n - i);
    store_n(teacher + i, q, n - i);
  }
  return total;
}

// --- optimiser -----------------------------------------------------------------------------------

void adamw(const AdamWArgs& args) noexcept {
  const F32 scale_g = splat(args.gradient_scale), epsilon = splat(args.epsilon);
  const F32 new1 = splat(1.0f - args.beta1), new2 = splat(1.0f - args.beta2);
  const F32 mean_scale = splat(args.mean_scale), square_scale = splat(args.square_scale);
  const F32 rate = splat(-args.learning_rate), decay = splat(args.decay);
  const auto one = [&](F32 p, F32 g, F32& m, F32& v) {
    g = mul(g, scale_g);
    m = fma(new1, sub(g, m), m);
    v = fma(new2, sub(mul(g, g), v), v);
    const F32 step = div(mul(m, mean_scale), add(vsqrt(mul(v, square_scale)), epsilon));
    return fma(rate, fma(decay, p, step), p);
  };
  for_vectors(
      args.n,
      [&](size_t i) {
        F32 m = load(args.mean + i), v = load(args.square + i);
        store(args.parameters + i,
              one(load(args.parameters + i), load(args.gradient + i), m, v));
        store(args.mean + i, m);
        store(args.square + i, v);
      },
      [&](size_t i, size_t n) {
        F32 m = load_n(args.mean + i, n), v = load_n(args.square + i, n);
        store_n(args.parameters + i,
                one(load_n(args.parameters + i, n), load_n(args.gradient + i, n), m, v), n);
        store_n(args.mean + i, m, n);
        store_n(args.square + i, v, n);
      });
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
