// exp and tanh in terms of the vector type. Included by simd.h after the instruction set's header.
#pragma once

namespace ac::cpu::AC_ISA {
namespace {

// e^x to about 1 ulp of f32 for x in [-87, 88]; clamped outside. exp(x) = 2^n exp(r), |r| <= ln2/2,
// with Cephes' degree-6 polynomial for exp(r).
AC_INLINE F32 vexp(F32 x) {
  x = vmin(vmax(x, splat(-87.0f)), splat(88.0f));
  const I32 n = to_i32(mul(x, splat(1.44269504f)));
  const F32 nf = to_f32(n);
  // ln 2 in two parts, so that n * ln2 loses nothing.
  F32 r = fma(nf, splat(-0.693359375f), x);
  r = fma(nf, splat(2.12194440e-4f), r);
  F32 p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(mul(p, r), r, add(r, splat(1.0f)));
  return mul(p, pow2(n));
}

// tanh(x) = 1 - 2 / (e^2x + 1): within 2e-7 absolute of the true value.
AC_INLINE F32 vtanh(F32 x) {
  const F32 e = vexp(mul(splat(2.0f), x));
  return sub(splat(1.0f), div(splat(2.0f), add(e, splat(1.0f))));
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
