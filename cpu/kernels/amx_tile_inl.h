// What all AMX kernels share: how the tile registers are configured, and 2^x.
#pragma once

#include "cpu/kernels/bf16_tiles_inl.h"

namespace ac::cpu::AC_ISA {
namespace {

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_per_row[16] = {};
  uint8_t rows[16] = {};
};

AC_INLINE uint8_t* align_4096(const void* p) {
  return reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(p) + 4095) & ~uintptr_t{4095});
}

AC_INLINE void configure_tiles() {
  // Static: no initialisation code, and so no function of it that could be shared.
  static constexpr TileConfig kConfig = {
      .bytes_per_row = {64, 64, 64, 64, 64, 64, 64, 64},
      .rows = {16, 16, 16, 16, 16, 16, 16, 16},
  };
  _tile_loadconfig(&kConfig);
}

constexpr float kLog2E = 1.44269504f;

// 2^x to 2^-22 of it for x <= 0: 2^floor(x) times a polynomial in the rest, which is 1 at 0.
// Minimax of degree 5.
AC_INLINE __m512 exp2_fast(__m512 x) {
  const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF);
  __m512 p = splat(1.867130050e-3f);
  p = fma(p, f, splat(9.017030708e-3f));
  p = fma(p, f, splat(5.579991266e-2f));
  p = fma(p, f, splat(2.401644439e-1f));
  p = fma(p, f, splat(6.931512952e-1f));
  p = fma(p, f, splat(1.0f));
  return _mm512_scalef_ps(p, x);
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
