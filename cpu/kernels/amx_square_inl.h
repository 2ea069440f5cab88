// Products of squares of bf16 (bf16_tiles_inl.h) on AMX tiles, with sums in f32 over all of k.
#pragma once

#include "cpu/kernels/amx_tile_inl.h"

namespace ac::cpu::AC_ISA {
namespace {

// Around any number of products.
AC_INLINE void begin_squares() { configure_tiles(); }
AC_INLINE void end_squares() { _tile_release(); }

template <size_t kTokenTiles, size_t kGroups>
AC_INLINE void multiply_loaded() {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kGroups == 2) _tile_dpbf16ps(1, 4, 7);
  if constexpr (kTokenTiles == 2) _tile_dpbf16ps(2, 5, 6);
  if constexpr (kTokenTiles == 2 && kGroups == 2) _tile_dpbf16ps(3, 5, 7);
}

// kTokenTiles x kGroups tiles of C over all steps, beginning as what lies at `start`, or as zeros
// where it is null. Tiles 0..3 are C, 4 and 5 A, 6 and 7 B.
template <size_t kTokenTiles, size_t kGroups>
AC_INLINE void multiply_tiles_amx(const uint8_t* a, const uint8_t* b, size_t steps,
                                  const float* start, size_t start_stride, float* c,
                                  size_t c_stride) {
  if (start == nullptr) {
    _tile_zero(0);
    if constexpr (kGroups == 2) _tile_zero(1);
    if constexpr (kTokenTiles == 2) _tile_zero(2);
    if constexpr (kTokenTiles == 2 && kGroups == 2) _tile_zero(3);
  } else {
    const auto from = static_cast<int64_t>(start_stride * sizeof(float));
    _tile_loadd(0, start, from);
    if constexpr (kGroups == 2) _tile_loadd(1, start + 16, from);
    if constexpr (kTokenTiles == 2) _tile_loadd(2, start + 16 * start_stride, from);
    if constexpr (kTokenTiles == 2 && kGroups == 2) {
      _tile_loadd(3, start + 16 * start_stride + 16, from);
    }
  }
  // Two steps at a time: in the second, A is where B was in the first, so the loads change places
  // and every quarter of 4096 bytes is visited once in four loads.
  for (size_t step = 0; step < steps; step += 2, a += 2 * kStepBytes, b += 2 * kStepBytes) {
    _tile_loadd(6, b, 64);
    _tile_loadd(4, a, 64);
    if constexpr (kGroups == 2) _tile_loadd(7, b + kTileBytes, 64);
    if constexpr (kTokenTiles == 2) _tile_loadd(5, a + kTileBytes, 64);
    multiply_loaded<kTokenTiles, kGroups>();
    _tile_loadd(4, a + kStepBytes, 64);
    _tile_loadd(6, b + kStepBytes, 64);
    if constexpr (kTokenTiles == 2) _tile_loadd(5, a + kStepBytes + kTileBytes, 64);
    if constexpr (kGroups == 2) _tile_loadd(7, b + kStepBytes + kTileBytes, 64);
    multiply_loaded<kTokenTiles, kGroups>();
  }
  const auto stride = static_cast<int64_t>(c_stride * sizeof(float));
  _tile_stored(0, c, stride);
  if constexpr (kGroups == 2) _tile_stored(1, c + 16, stride);
  if constexpr (kTokenTiles == 2) _tile_stored(2, c + 16 * c_stride, stride);
  if constexpr (kTokenTiles == 2 && kGroups == 2) _tile_stored(3, c + 16 * c_stride + 16, stride);
}

// The same for up to 32 tokens and one or two groups of rows.
void multiply_square(const uint8_t* a, const uint8_t* b, size_t steps, size_t n_tokens,
                     size_t n_groups, const float* start, size_t start_stride, float* c,
                     size_t c_stride) {
  if (n_tokens > 16) {
    if (n_groups == 2) {
      multiply_tiles_amx<2, 2>(a, b, steps, start, start_stride, c, c_stride);
    } else {
      multiply_tiles_amx<2, 1>(a, b, steps, start, start_stride, c, c_stride);
    }
  } else if (n_groups == 2) {
    multiply_tiles_amx<1, 2>(a, b, steps, start, start_stride, c, c_stride);
  } else {
    multiply_tiles_amx<1, 1>(a, b, steps, start, start_stride, c, c_stride);
  }
}

// 32 rows of A times 32 of B, C [32, 32] beginning as what lies at `start`, or as zeros where it is
// null.
AC_INLINE void multiply_whole_square(const uint8_t* a, const uint8_t* b, size_t steps,
                                     const float* start, size_t start_stride, float* c,
                                     size_t c_stride) {
  multiply_square(a, b, steps, 32, 2, start, start_stride, c, c_stride);
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
