// One vector type, many instruction sets: includes the header of the set that this file is compiled
// for (AC_ISA_<name> from cmake/AddIsa.cmake). Each header gives the same names, in an anonymous
// namespace inside ac::cpu::<isa>, so that nothing here is ever shared between two sets:
//
//   kLanes                      floats in a vector
//   F32, I32                    vectors of kLanes floats, of kLanes int32
//   load store load_n store_n   of f32; the _n forms touch only the first n < kLanes elements
//   load_f16 store_f16 load_f16_n store_f16_n load_bf16 load_bf16_n   (bits as uint16_t)
//   load_i8 load_i8_n           int8 -> F32
//   store_i8                    rounds to nearest even, saturates to int8
//   splat zero add sub mul div fma vmin vmax vabs vsqrt    fma(a, b, c) = a * b + c
//   reduce_add reduce_max       over the lanes, in a fixed order
//   to_i32 (nearest even), to_f32, pow2 (2^n of an I32 in [-126, 127]), vexp vtanh
//   transpose(m)                of a square F32 m[kLanes]; bits are moved, whatever they mean
//   prefetch(p)                 a hint to bring the line at p near, for data used once
//   f16_to_f32 f32_to_f16 bf16_to_f32 f32_to_bf16           single values, round to nearest even
//
// and, for the packed formats (cpu/formats/packed.h), products of "quads": each of kLanes rows has
// four consecutive weights in a 32-bit lane.
//
//   Words                       a vector of kLanes 32-bit words of four weights each
//   load_words(p), load_bytes_wide(p)     kLanes words at p; kLanes bytes, each as a word
//   words_and(w, mask) words_or words_left(w, n) words_right(w, n)    within words, zeros come in
//   words_to_f32(w)             of words below 2^31
//   kQuadsArePlanes             the activation layout that quads_dot reads, see
//                               kernels/activations_inl.h
//   QuadWeights quads_of(w)     of four unsigned weights below 128
//   quads_of_signed(w)          of four int8; kSignedQuadBias is what it adds to each
//   QuadSum quads_start(s)      a sum that begins at s in every lane
//   quads_dot(sum, w, a)        adds w . a for the four activations at a (8 bytes)
//   F32 quads_total(sum)
#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/simd/half.h"

#if defined(AC_ISA_avx512) || defined(AC_ISA_avx512_bf16) || defined(AC_ISA_amx)
#include "cpu/simd/simd_avx512.h"
#elif defined(AC_ISA_avx2) || defined(AC_ISA_avx_vnni)
#include "cpu/simd/simd_avx2.h"
#elif defined(AC_ISA_neon)
#include "cpu/simd/simd_neon.h"
#elif defined(AC_ISA_scalar)
#include "cpu/simd/simd_scalar.h"
#else
#error "compile this file through ac_add_isa"
#endif

#include "cpu/simd/math.h"
