// exp and tanh in terms of the vector type. Included by simd.h after the instruction set's header.
#pragma once

namespace ac::cpu::AC_ISA {
namespace {

// x - n ln 2, with ln 2 in two parts, so that n * ln2 loses nothing.
AC_INLINE F32 reduce_exponent(F32 x, I32 n) {
  const F32 nf = to_f32(n);
  return fma(nf, splat(2.12194440e-4f), fma(nf, splat(-0.693359375f), x));
}

// exp(r) - 1 for |r| <= ln2/2: Cephes' degree-6 polynomial.
AC_INLINE F32 exp_minus_one(F32 r) {
  F32 p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  return fma(mul(p, r), r, r);
}

// e^x to about 1 ulp of f32 for x in [-87, 88]; clamped outside. exp(x) = 2^n exp(r), |r| <= ln2/2.
AC_INLINE F32 vexp(F32 x) {
  x = vmin(vmax(x, splat(-87.0f)), splat(88.0f));
  const I32 n = to_i32(mul(x, splat(1.44269504f)));
  const F32 exp_r = add(exp_minus_one(reduce_exponent(x, n)), splat(1.0f));
  return mul(exp_r, pow2(n));
}

// tanh(x) = (e^2x - 1) / (e^2x + 1), within about 3 ulps even where it is nearly x: e^2x - 1 is put
// together from exp(r) - 1 and 2^n - 1, so that nothing cancels.
AC_INLINE F32 vtanh(F32 x) {
  const F32 y = vmin(vmax(mul(splat(2.0f), x), splat(-40.0f)), splat(40.0f));
  const I32 n = to_i32(mul(y, splat(1.44269504f)));
  const F32 two_n = pow2(n);
  const F32 minus_one = fma(two_n, exp_minus_one(reduce_exponent(y, n)), sub(two_n, splat(1.0f)));
  return div(minus_one, add(minus_one, splat(2.0f)));
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
