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

#include "cpu/kernels/amx_square_inl.h"
#include "cpu/kernels/packed_inl.h"

namespace ac::cpu::AC_ISA {
namespace {

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

// The codes in byte i of 16 words.
template <class Format>
AC_INLINE __m512 codes_to_f32(Words words, uint32_t i) {
  const Words shifted = words_right(words, 8 * i);
  if constexpr (Format::kAreSigned) {
    return to_f32(_mm512_srai_epi32(_mm512_slli_epi32(words, 24 - 8 * i), 24));
  } else if constexpr (Format::kMaxCode < 16) {
    // permutexvar looks at the lowest four bits of each lane only.
    const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_permutexvar_ps(shifted, values);
  } else {
    return to_f32(words_and(shifted, 255));
  }
}

// The quads 4 * part + step and 4 * part + step + kSteps of a block as f32: each byte of `words` is
// one code of 16 rows, weight = scale * code + offset.
template <class Format>
struct PartWeights {
  F32 scale;
  F32 offset;

  AC_INLINE PartWeights(const uint8_t* unit, size_t b, size_t part)
      : scale(Format::scale(unit, b, part, 0)),
        offset(Format::kHasOffset ? Format::offset(unit, b, part, 0)
                                  : mul(scale, splat(static_cast<float>(-Format::kBias)))) {}
  AC_INLINE F32 of(Words words, uint32_t byte) const {
    return fma(codes_to_f32<Format>(words, byte), scale, offset);
  }
};

// One group of 16 rows into B tiles, every second one from `panel` on. Two planes are added up
// before they are rounded to bf16.
template <class Format, Planes kPlanes>
void fill_panel_group(const MatmulArgs& args, size_t group, uint8_t* panel) {
  constexpr bool kNested = kPlanes == Planes::kTwo;
  const size_t n_units = packed_units<Format>(args.n_in);
  const size_t group_bytes = n_units * Format::kUnitBytes;
  const auto* unit = reinterpret_cast<const uint8_t*>(args.weights) + group * group_bytes;
  const uint8_t* residual =
      kNested ? reinterpret_cast<const uint8_t*>(args.residual) + group * group_bytes : unit;
  for (size_t u = 0; u < n_units; ++u) {
    for (size_t b = 0; b < Format::kUnitBlocks; ++b, panel += kStepBytes) {
      prefetch_share<Format>(unit, b);
      if constexpr (kNested) prefetch_share<Format>(residual, b);
      const size_t block = Format::kHeadBytes + b * Format::kBlockBytes;
#pragma GCC unroll 2
      for (size_t part = 0; part < Format::kParts; ++part) {
        const PartWeights<Format> base(unit, b, part);
        const PartWeights<Format> rest(residual, b, part);
#pragma GCC unroll 4
        for (size_t step = 0; step < Format::kSteps; ++step) {
          Words words[2];
          Words rest_words[2];
          Format::codes(unit + block, part, step, 0, words[0], words[1]);
          if constexpr (kNested) {
            Format::codes(residual + block, part, step, 0, rest_words[0], rest_words[1]);
          }
#pragma GCC unroll 2
          for (size_t i = 0; i < 2; ++i) {
            const auto weight = [&](uint32_t byte) {
              const F32 w = base.of(words[i], byte);
              if constexpr (kNested) return add(w, rest.of(rest_words[i], byte));
              return w;
            };
            store_quad(panel + 128 * (4 * part + step + i * Format::kSteps), weight(0), weight(1),
                       weight(2), weight(3));
          }
        }
      }
    }
    unit += Format::kUnitBytes;
    residual += Format::kUnitBytes;
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
  const float* bias = args.bias != nullptr ? args.bias + row : nullptr;
  // Only at the end of the matrix, where 16 * n_groups rows would be read past it: a tile loaded
  // from where something was just written waits until every store before that has left the core.
  alignas(64) float padded_bias[32];
  if (bias != nullptr && n_rows < 16 * n_groups) {
    for (size_t i = 0; i < 32; ++i) padded_bias[i] = i < n_rows ? bias[i] : 0.0f;
    bias = padded_bias;
  }
  // Where y has not room for whole tiles they go to a square of their own first.
  alignas(64) float corner[32 * 32];
  const bool whole = n_tokens % 16 == 0 && n_rows == 16 * n_groups;
  float* y = args.y + token * args.y_stride + row;
  float* to = whole ? y : corner;
  const size_t stride = whole ? args.y_stride : 32;
  const float* start = bias;
  size_t start_stride = 0;  // every line of C begins as the bias
  if (args.adds_to_y) {
    start = to;
    start_stride = stride;
    for (size_t t = 0; t < n_tokens && !whole; ++t) {
      for (size_t i = 0; i < n_rows; ++i) corner[t * 32 + i] = y[t * args.y_stride + i];
    }
  }
  for (size_t t = 0; t < n_tokens; ++t) {
    for (size_t g = 0; g < n_groups; ++g) prefetch(to + t * stride + 16 * g);
  }
  multiply_square(a, b, steps, n_tokens, n_groups, start, start_stride, to, stride);
  if (whole) return;
  for (size_t t = 0; t < n_tokens; ++t) {
    for (size_t i = 0; i < n_rows; ++i) y[t * args.y_stride + i] = corner[t * 32 + i];
  }
}

// x / (1 + e^-x), and 0.5 x (1 + tanh(u)) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3),
// to 2^-14 of it: what comes out is rounded to bf16.
AC_INLINE __m512 silu_fast(__m512 x) {
  const __m512 e = exp2_fast(mul(x, splat(-kLog2E)));
  return mul(x, _mm512_rcp14_ps(add(splat(1.0f), e)));
}
AC_INLINE __m512 gelu_tanh_fast(__m512 x) {
  const __m512 cubic = fma(mul(mul(x, x), x), splat(0.044715f), x);
  const __m512 e = exp2_fast(mul(cubic, splat(-1.5957691216057308f * kLog2E)));
  return mul(x, _mm512_rcp14_ps(add(splat(1.0f), e)));
}

// Up to 32 tokens from `token` on times up to two groups of two matrices: `gate` and `up` are their
// panels. One step of columns of the next product's activations.
template <bool kIsGelu>
void multiply_gated_corner(const MatmulArgs& args, size_t token, size_t group, const uint8_t* gate,
                           const uint8_t* up, size_t n_groups) {
  const size_t steps = column_steps(args.n_in);
  const size_t n_tokens = args.n_tokens - token < 32 ? args.n_tokens - token : 32;
  const size_t row = 16 * group;
  const size_t n_rows = args.n_out - row < 32 ? args.n_out - row : 32;
  const uint8_t* a = align_4096(args.activations) + token / 32 * steps * kStepBytes;
  alignas(64) float gates[32 * 32];
  alignas(64) float ups[32 * 32];
  multiply_square(a, gate, steps, n_tokens, n_groups, nullptr, 0, gates, 32);
  multiply_square(a, up, steps, n_tokens, n_groups, nullptr, 0, ups, 32);
  const size_t out_steps = column_steps(args.n_out);
  uint8_t* lines = align_4096(args.gated->out) + (token / 32 * out_steps + row / 32) * kStepBytes;
  const auto existing = static_cast<__mmask32>((uint64_t{1} << n_rows) - 1);
  const auto gated = [](const float* g, const float* u) {
    const __m512 x = load(g);
    return mul(kIsGelu ? gelu_tanh_fast(x) : silu_fast(x), load(u));
  };
  for (size_t t = 0; t < n_tokens; ++t) {
    const float* g = gates + 32 * t;
    const float* u = ups + 32 * t;
    const __m512i line = to_bf16(gated(g, u), gated(g + 16, u + 16));
    _mm512_store_si512(lines + 64 * t, _mm512_maskz_mov_epi16(existing, line));
  }
  // Columns are padded to 64.
  if (row + 32 >= args.n_out && row / 32 + 1 < out_steps) {
    for (size_t t = 0; t < n_tokens; ++t) {
      _mm512_store_si512(lines + kStepBytes + 64 * t, _mm512_setzero_si512());
    }
  }
}

// The panel holds 32 rows of each matrix in turn: half of args.panel_rows of each.
template <class Format, Planes kPlanes>
void multiply_gated(const MatmulArgs& args) {
  const size_t pair_bytes = column_steps(args.n_in) * kStepBytes;
  const size_t panel_groups = args.panel_rows / 32;  // of each matrix; even
  uint8_t* panel = align_4096(args.scratch) + 2048;
  const size_t group_end = (args.row_end + 15) / 16;
  MatmulArgs up = args;
  up.weights = args.gated->up;
  up.residual = args.gated->up_residual;
  for (size_t begin = args.row_begin / 16; begin < group_end; begin += panel_groups) {
    const size_t end = begin + panel_groups < group_end ? begin + panel_groups : group_end;
    for (size_t group = begin; group < end; ++group) {
      const size_t i = group - begin;
      uint8_t* tiles = panel + i / 2 * 2 * pair_bytes + i % 2 * kTileBytes;
      fill_panel_group<Format, kPlanes>(args, group, tiles);
      fill_panel_group<Format, kPlanes>(up, group, tiles + pair_bytes);
    }
    for (size_t token = 0; token < args.n_tokens; token += 32) {
      for (size_t group = begin; group < end; group += 2) {
        const uint8_t* gate_tiles = panel + (group - begin) * pair_bytes;
        const auto corner =
            args.gated->is_gelu ? multiply_gated_corner<true> : multiply_gated_corner<false>;
        corner(args, token, group, gate_tiles, gate_tiles + pair_bytes, end - group < 2 ? 1 : 2);
      }
    }
  }
}

// Scratch: the panel of args.panel_rows rows (a multiple of 64).
template <class Format, Planes kPlanes>
void multiply_amx(const MatmulArgs& args) noexcept {
  const size_t pair_bytes = column_steps(args.n_in) * kStepBytes;
  const size_t panel_groups = args.panel_rows / 16;
  uint8_t* panel = align_4096(args.scratch) + 2048;
  const size_t group_end = (args.row_end + 15) / 16;
  configure_tiles();
  if (args.gated != nullptr) {
    multiply_gated<Format, kPlanes>(args);
    _tile_release();
    return;
  }
  for (size_t begin = args.row_begin / 16; begin < group_end; begin += panel_groups) {
    const size_t end = begin + panel_groups < group_end ? begin + panel_groups : group_end;
    for (size_t group = begin; group < end; ++group) {
      const size_t i = group - begin;
      fill_panel_group<Format, kPlanes>(args, group,
                                        panel + i / 2 * pair_bytes + i % 2 * kTileBytes);
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
