// Prefill on AMX: bf16 tiles, f32 sums over all of k.
//
// Why bf16 and not int8, which is 1.6 times as fast at best: scales of blocks go into the bf16
// weights, so the inner loop is nothing but tile loads and products; and both roundings together
// are a relative squared error of 4e-6, where int8 activations alone are 3e-5.
//
// A tile is 16 lines of 64 bytes. Of activations (A): 16 tokens x 32 columns. Of weights (B): line
// i has columns 2i and 2i+1 of 16 rows. Products are C[token][row] += sum over 32 columns.
//
//   activations  [32 tokens each][steps of 32 columns][2 tiles][16 tokens][32] bf16
//   panel        [32 rows each][steps][2 tiles][16 lines][16 rows][2] bf16, in scratch, for all
//   tokens
//
// Columns are padded to 64 with zeros, tokens to 32 with whatever is there: their outputs are not
// used.
//
// Where tiles lie matters as much as how many: tile loads in flight to the same sets of the L1
// cache (the same address modulo 4096) wait for each other, and a step takes 320 cycles instead
// of 97. So the four tiles of a step are in the four different quarters of 4096 bytes: activations
// begin at a multiple of 4096, the panel 2048 past one, and both advance by 2048 bytes a step.
#pragma once

#include "cpu/kernels/packed_inl.h"

namespace ac::cpu::AC_ISA {
namespace {

constexpr size_t kTileBytes = 1024;
constexpr size_t kStepBytes = 2 * kTileBytes;

struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_per_row[16] = {};
  uint8_t rows[16] = {};
};

AC_INLINE size_t column_steps(size_t n_in) { return (n_in + 63) / 64 * 2; }

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

// 32 floats -> 32 bf16, nearest even.
AC_INLINE __m512i to_bf16(__m512 low, __m512 high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

void prepare_bf16_tiles(const PrepareArgs& args) noexcept {
  const size_t steps = column_steps(args.n_in);
  for (size_t token = args.token_begin; token < args.token_end; ++token) {
    const float* x = args.x + token * args.x_stride;
    uint8_t* line = align_4096(args.out) + token / 32 * steps * kStepBytes + token % 32 * 64;
    for (size_t step = 0; step < steps; ++step, line += kStepBytes) {
      const size_t k = 32 * step;
      __m512 low = zero();
      __m512 high = zero();
      if (k + 32 <= args.n_in) {
        low = load(x + k);
        high = load(x + k + 16);
      } else if (k < args.n_in) {
        const size_t n = args.n_in - k;
        low = load_n(x + k, n < 16 ? n : 16);
        if (n > 16) high = load_n(x + k + 16, n - 16);
      }
      _mm512_storeu_si512(line, to_bf16(low, high));
    }
  }
}

// Two lines of a B tile from the four weights of each row's quad.
AC_INLINE void store_quad(uint8_t* lines, __m512 k0, __m512 k1, __m512 k2, __m512 k3) {
  // cvtne2ps puts one operand behind the other; the rows of both have to alternate.
  const __m512i zip = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                       23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  _mm512_store_si512(lines, _mm512_permutexvar_epi16(zip, to_bf16(k0, k1)));
  _mm512_store_si512(lines + 64, _mm512_permutexvar_epi16(zip, to_bf16(k2, k3)));
}

struct PanelQ8 {
  // One group of 16 rows into B tiles, every second one from `panel` on.
  static void fill(const MatmulArgs& args, size_t group, uint8_t* panel, float*) {
    const size_t n_pairs = (args.n_in + 63) / 64;
    const auto* pair =
        reinterpret_cast<const uint8_t*>(args.weights) + group * n_pairs * FormatQ8::kPairBytes;
    for (size_t p = 0; p < n_pairs; ++p, pair += FormatQ8::kPairBytes) {
      prefetch_pair<FormatQ8>(pair);
      for (size_t b = 0; b < 2; ++b, panel += kStepBytes) {
        const F32 scale = load_f16(reinterpret_cast<const uint16_t*>(pair) + 16 * b);
#pragma GCC unroll 8
        for (size_t quad = 0; quad < 8; ++quad) {
          const __m512i q = _mm512_loadu_si512(pair + 64 + 512 * b + 64 * quad);
          const auto weight = [&](__m512i shifted) {
            return mul(to_f32(_mm512_srai_epi32(shifted, 24)), scale);
          };
          store_quad(panel + 128 * quad, weight(_mm512_slli_epi32(q, 24)),
                     weight(_mm512_slli_epi32(q, 16)), weight(_mm512_slli_epi32(q, 8)), weight(q));
        }
      }
    }
  }
};

struct PanelQ4 {
  static void fill(const MatmulArgs& args, size_t group, uint8_t* panel, float*) {
    const size_t n_pairs = (args.n_in + 63) / 64;
    const auto* pair =
        reinterpret_cast<const uint8_t*>(args.weights) + group * n_pairs * FormatQ4::kPairBytes;
    const __m512 values = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    for (size_t p = 0; p < n_pairs; ++p, pair += FormatQ4::kPairBytes) {
      prefetch_pair<FormatQ4>(pair);
      for (size_t b = 0; b < 2; ++b, panel += kStepBytes) {
        const F32 scale = load_f16(reinterpret_cast<const uint16_t*>(pair) + 16 * b);
#pragma GCC unroll 4
        for (size_t quad = 0; quad < 4; ++quad) {
          const __m512i q = _mm512_loadu_si512(pair + 64 + 256 * b + 64 * quad);
          // permutexvar looks at the lowest four bits of each lane only.
          const auto weight = [&](unsigned shift) {
            return mul(_mm512_permutexvar_ps(_mm512_srli_epi32(q, shift), values), scale);
          };
          store_quad(panel + 128 * quad, weight(0), weight(8), weight(16), weight(24));
          store_quad(panel + 512 + 128 * quad, weight(4), weight(12), weight(20), weight(28));
        }
      }
    }
  }
};

// Any format with a row decoder: 16 rows to f32, then to bf16 and transposed.
struct PanelDecoded {
  // `decoded`: 16 rows of 64-padded n_in floats.
  static void fill(const MatmulArgs& args, size_t group, uint8_t* panel, float* decoded) {
    const size_t padded = column_steps(args.n_in) * 32;
    const size_t n_rows = args.n_out - 16 * group < 16 ? args.n_out - 16 * group : 16;
    for (size_t i = 0; i < 16; ++i) {
      float* row = decoded + i * padded;
      if (i < n_rows) {
        args.decode_row(args.weights + (16 * group + i) * args.row_bytes, row, args.n_in);
      }
      for (size_t k = i < n_rows ? args.n_in : 0; k < padded; ++k) row[k] = 0.0f;
    }
    for (size_t step = 0; step < padded / 32; ++step, panel += kStepBytes) {
      __m512 lines[16];
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) {
        const float* row = decoded + i * padded + 32 * step;
        lines[i] = _mm512_castsi512_ps(to_bf16(load(row), load(row + 16)));
      }
      transpose(lines);
#pragma GCC unroll 16
      for (size_t i = 0; i < 16; ++i) _mm512_store_ps(panel + 64 * i, lines[i]);
    }
  }
};

template <size_t kTokenTiles, size_t kGroups>
AC_INLINE void multiply_loaded() {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kGroups == 2) _tile_dpbf16ps(1, 4, 7);
  if constexpr (kTokenTiles == 2) _tile_dpbf16ps(2, 5, 6);
  if constexpr (kTokenTiles == 2 && kGroups == 2) _tile_dpbf16ps(3, 5, 7);
}

// kTokenTiles x kGroups tiles of C over all steps, beginning as what lies at `start`, or as zeros
// where that is null. Tiles 0..3 are C, 4 and 5 A, 6 and 7 B.
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

// Up to 32 tokens from `token` on times up to two groups from `group` on; b is their panel.
void multiply_corner(const MatmulArgs& args, size_t token, size_t group, const uint8_t* b,
                     size_t n_groups) {
  const size_t steps = column_steps(args.n_in);
  const size_t n_tokens = args.n_tokens - token < 32 ? args.n_tokens - token : 32;
  const size_t row = 16 * group;
  const size_t n_rows = args.n_out - row < 16 * n_groups ? args.n_out - row : 16 * n_groups;
  const uint8_t* a = align_4096(args.activations) + token / 32 * steps * kStepBytes;
  alignas(64) float bias[32] = {};
  if (args.bias != nullptr) {
    for (size_t i = 0; i < n_rows; ++i) bias[i] = args.bias[row + i];
  }
  // Where y has not room for whole tiles they go to a square of their own first.
  alignas(64) float corner[32 * 32];
  const bool whole = n_tokens % 16 == 0 && n_rows == 16 * n_groups;
  float* y = args.y + token * args.y_stride + row;
  float* to = whole ? y : corner;
  const size_t stride = whole ? args.y_stride : 32;
  // Every line of C begins as the bias: a stride of 0.
  multiply_square(a, b, steps, n_tokens, n_groups, args.bias != nullptr ? bias : nullptr, 0, to,
                  stride);
  if (whole) return;
  for (size_t t = 0; t < n_tokens; ++t) {
    for (size_t i = 0; i < n_rows; ++i) y[t * args.y_stride + i] = corner[t * 32 + i];
  }
}

// Scratch: the panel of args.panel_rows rows (a multiple of 32), then 16 rows of floats for formats
// that are decoded.
template <class Panel>
void multiply_amx(const MatmulArgs& args) noexcept {
  const size_t pair_bytes = column_steps(args.n_in) * kStepBytes;
  const size_t panel_groups = args.panel_rows / 16;
  uint8_t* panel = align_4096(args.scratch) + 2048;
  auto* decoded = reinterpret_cast<float*>(panel + panel_groups / 2 * pair_bytes);
  const size_t group_end = (args.row_end + 15) / 16;
  configure_tiles();
  for (size_t begin = args.row_begin / 16; begin < group_end; begin += panel_groups) {
    const size_t end = begin + panel_groups < group_end ? begin + panel_groups : group_end;
    for (size_t group = begin; group < end; ++group) {
      const size_t i = group - begin;
      Panel::fill(args, group, panel + i / 2 * pair_bytes + i % 2 * kTileBytes, decoded);
    }
    for (size_t token = 0; token < args.n_tokens; token += 32) {
      for (size_t group = begin; group < end; group += 2) {
        multiply_corner(args, token, group, panel + (group - begin) / 2 * pair_bytes,
                        end - group < 2 ? 1 : 2);
      }
    }
  }
  _tile_release();
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
