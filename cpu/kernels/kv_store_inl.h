// Writing keys and values into the cache (layout: small_kernels.h).
#pragma once

#include "cpu/kernels/small_kernels.h"
#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

// A half that is never infinite: a position masked out later is multiplied by zero, which must be
// zero.
AC_INLINE uint16_t to_f16_saturated(float x) {
  return f32_to_f16(x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x);
}

struct Int8Block {
  float inverse;
  uint16_t scale;
};
// Scale of n <= 32 values: the largest magnitude becomes 127 steps of the scale as a reader sees
// it.
AC_INLINE Int8Block int8_block(const float* x, size_t n) {
  float largest = 0.0f;
  for (size_t i = 0; i < n; ++i) largest = __builtin_fmaxf(largest, __builtin_fabsf(x[i]));
  const uint16_t scale = to_f16_saturated(largest / 127.0f);
  const float read_back = f16_to_f32(scale);
  return {read_back > 0.0f ? 1.0f / read_back : 0.0f, scale};
}
AC_INLINE int8_t to_int8(float x) {
  const float limited = __builtin_fminf(__builtin_fmaxf(x, -127.0f), 127.0f);
  return static_cast<int8_t>(__builtin_roundf(limited));
}

template <class Element, class Convert>
AC_INLINE void store_rows(const KvHead& kv, const float* k, const float* v, size_t position,
                          const Convert& convert) {
  auto* k_tile =
      static_cast<Element*>(kv.k) + position / kKvTile * kv.d_head * kKvTile + position % kKvTile;
  auto* v_row = static_cast<Element*>(kv.v) + position * kv.d_padded;
  for (size_t d = 0; d < kv.d_head; ++d) {
    k_tile[d * kKvTile] = convert(k[d]);
    v_row[d] = convert(v[d]);
  }
}

void store_kv_int8(const KvHead& kv, const float* k, const float* v, size_t position) {
  const size_t n_blocks = (kv.d_head + kKvScaleBlock - 1) / kKvScaleBlock;
  auto* k_tile =
      static_cast<int8_t*>(kv.k) + position / kKvTile * kv.d_head * kKvTile + position % kKvTile;
  auto* v_row = static_cast<int8_t*>(kv.v) + position * kv.d_padded;
  uint16_t* k_scales = kv.k_scales + position / kKvTile * n_blocks * kKvTile + position % kKvTile;
  uint16_t* v_scales = kv.v_scales + position * n_blocks;
  for (size_t b = 0; b < n_blocks; ++b) {
    const size_t begin = b * kKvScaleBlock;
    const size_t left = kv.d_head - begin;
    const size_t n = left < kKvScaleBlock ? left : kKvScaleBlock;
    const Int8Block k_block = int8_block(k + begin, n);
    const Int8Block v_block = int8_block(v + begin, n);
    k_scales[b * kKvTile] = k_block.scale;
    v_scales[b] = v_block.scale;
    for (size_t d = begin; d < begin + n; ++d) {
      k_tile[d * kKvTile] = to_int8(k[d] * k_block.inverse);
      v_row[d] = to_int8(v[d] * v_block.inverse);
    }
  }
}

void store_kv(const KvHead& kv, const float* k, const float* v, size_t position) noexcept {
  switch (kv.element) {
    case KvElement::kF32:
      store_rows<float>(kv, k, v, position, [](float x) { return x; });
      break;
    case KvElement::kF16:
      store_rows<uint16_t>(kv, k, v, position, [](float x) { return to_f16_saturated(x); });
      break;
    case KvElement::kInt8:
      store_kv_int8(kv, k, v, position);
      break;
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
