// Attention of many rows on AMX tiles: the mathematics of attention_inl.h, with both products in
// bf16.
//
// One bf16 has 8 significant bits, far too few for scores that go into an exponential. So every
// operand is split in two, x = high + low, each bf16, and a product is three: high high + high low
// + low high. What is missing is 2^-18 of it. A half has 11 bits: for an F16 cache the split is
// exact. (Splitting into bf16: Henry, Tang and Heinecke 2019, arXiv:1904.06376.)
//
// For each tile of 64 keys, K and V are split and laid out as B tiles once; then 32 rows at a time
// go through scores, softmax and values while all of theirs is in L1. Squares of 32 x 32 columns:
//
//   q     [pairs of 16 rows][steps of 32 dimensions] squares, scaled
//   k     [2 pairs of 16 keys][steps of 32 dimensions] squares
//   v     [pairs of 16 dimensions][2 steps of 32 keys] squares
//   square  tiles high of the first 16, high of the second 16, low of the first, low of the second
//
// A square is 4096 bytes and begins at a multiple of that, and loads alternate between its halves:
// see amx_inl.h for why.
#pragma once

#include "cpu/kernels/amx_tile_inl.h"
#include "cpu/kernels/attention_inl.h"

namespace ac::cpu::AC_ISA {
namespace {

constexpr size_t kSquareBytes = 4 * kTileBytes;
constexpr size_t kLowBytes = 2 * kTileBytes;  // from a tile's high part to its low part
// Splitting the cache is a quarter of the time at 48 rows and an eighth at 128.
constexpr int32_t kAttendRowsAmx = 128;
// Below this a tile of rows would be mostly empty.
constexpr size_t kMinAmxRows = 12;

AC_INLINE size_t round_up(size_t n, size_t step) { return (n + step - 1) / step * step; }

// Everything in scratch, for rows padded to 32 and dimensions padded to 32.
struct AmxAttention {
  size_t n_pairs;  // of 16 rows
  size_t n_steps;  // of 32 dimensions
  uint8_t* q;      // [n_pairs][n_steps] squares
  uint8_t* k;      // [2][n_steps] squares
  uint8_t* v;      // [n_steps][2] squares
  uint8_t* p;      // [2] squares: weights of 32 rows
  float* scores;   // [32, kKeyTile]
  float* acc;      // [32 n_pairs, 32 n_steps]
  float* total;    // [32 n_pairs][16]: the sum of its lanes is a row's sum of weights
  float* maximum;  // [32 n_pairs]
  size_t d_stride() const { return 32 * n_steps; }
};

size_t attend_scratch_bytes_amx(size_t n_rows, size_t d_head) noexcept {
  const size_t n_pairs = round_up(n_rows, 32) / 32;
  const size_t n_steps = round_up(d_head, 32) / 32;
  const size_t n_squares = n_pairs * n_steps + 2 * n_steps + 2 * n_steps + 2;
  const size_t n_floats = 32 * kKeyTile + 32 * n_pairs * (32 * n_steps + 16 + 1);
  const size_t own = 4096 + n_squares * kSquareBytes + n_floats * sizeof(float);
  const size_t without_tiles = attend_scratch_bytes(n_rows, d_head);
  return own > without_tiles ? own : without_tiles;
}

AC_INLINE AmxAttention lay_out(void* scratch, size_t n_rows, size_t d_head) {
  AmxAttention a{};
  a.n_pairs = round_up(n_rows, 32) / 32;
  a.n_steps = round_up(d_head, 32) / 32;
  uint8_t* next = align_4096(scratch);
  a.q = next, next += a.n_pairs * a.n_steps * kSquareBytes;
  a.k = next, next += 2 * a.n_steps * kSquareBytes;
  a.v = next, next += 2 * a.n_steps * kSquareBytes;
  a.p = next, next += 2 * kSquareBytes;
  auto* floats = reinterpret_cast<float*>(next);
  a.scores = floats, floats += 32 * kKeyTile;
  a.acc = floats, floats += 32 * a.n_pairs * a.d_stride();
  a.total = floats, floats += 32 * a.n_pairs * 16;
  a.maximum = floats;
  return a;
}

// --- splitting
// -------------------------------------------------------------------------------------

// A line of an A tile: 32 consecutive columns.
AC_INLINE void split_columns(uint8_t* line, __m512 first, __m512 second) {
  const __m512i high = to_bf16(first, second);
  _mm512_store_si512(line, high);
  const __m512 first_rest = sub(first, widen_bf16(_mm512_castsi512_si256(high)));
  const __m512 second_rest = sub(second, widen_bf16(_mm512_extracti64x4_epi64(high, 1)));
  _mm512_store_si512(line + kLowBytes, to_bf16(first_rest, second_rest));
}

// A line of a B tile: 16 rows, their even column in the lower half of each lane. Rounds half up,
// which for an even split is as good as half to even.
AC_INLINE void split_rows(uint8_t* line, __m512 even, __m512 odd) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512i upper = _mm512_set1_epi32(static_cast<int32_t>(0xffff0000u));
  const auto rounded = [&](__m512 x) {
    return _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(x), half), upper);
  };
  const auto line_of = [](__m512i low, __m512i high) {
    return _mm512_or_si512(_mm512_srli_epi32(low, 16), high);
  };
  const __m512i even_high = rounded(even);
  const __m512i odd_high = rounded(odd);
  _mm512_store_si512(line, line_of(even_high, odd_high));
  const __m512i even_low = rounded(sub(even, _mm512_castsi512_ps(even_high)));
  const __m512i odd_low = rounded(sub(odd, _mm512_castsi512_ps(odd_high)));
  _mm512_store_si512(line + kLowBytes, line_of(even_low, odd_low));
}

void split_queries(const AttendArgs& args, const AmxAttention& a) {
  const size_t d_head = args.kv.d_head;
  const F32 factor = splat(args.scale);
  for (size_t row = 0; row < 32 * a.n_pairs; ++row) {
    const bool exists = row < args.n_tokens * args.n_group;
    const float* q = args.q;
    if (exists) q += row / args.n_group * args.q_stride + row % args.n_group * d_head;
    uint8_t* line = a.q + row / 32 * a.n_steps * kSquareBytes + row % 32 * 64;
    const auto part = [&](size_t d) {
      if (!exists || d >= d_head) return zero();
      return mul(d_head - d >= 16 ? load(q + d) : load_n(q + d, d_head - d), factor);
    };
    for (size_t d = 0; d < d_head; d += 32, line += kSquareBytes) {
      split_columns(line, part(d), part(d + 16));
    }
  }
}

// 16 keys, dimension d, of a tile of 16 of the cache; and 16 dimensions of one value.
struct CacheF16 {
  const KvHead& kv;
  AC_INLINE F32 key(size_t tile, size_t d) const {
    return load_f16(static_cast<const uint16_t*>(kv.k) + (tile * kv.d_head + d) * kKvTile);
  }
  AC_INLINE F32 value(size_t key, size_t d) const {
    return load_f16(static_cast<const uint16_t*>(kv.v) + key * kv.d_padded + d);
  }
};
struct CacheInt8 {
  const KvHead& kv;
  size_t n_blocks() const { return (kv.d_head + kKvScaleBlock - 1) / kKvScaleBlock; }
  AC_INLINE F32 key(size_t tile, size_t d) const {
    const uint16_t* scales = kv.k_scales + (tile * n_blocks() + d / kKvScaleBlock) * kKvTile;
    return mul(load_i8(static_cast<const int8_t*>(kv.k) + (tile * kv.d_head + d) * kKvTile),
               load_f16(scales));
  }
  AC_INLINE F32 value(size_t key, size_t d) const {
    const F32 scale = splat(f16_to_f32(kv.v_scales[key * n_blocks() + d / kKvScaleBlock]));
    return mul(load_i8(static_cast<const int8_t*>(kv.v) + key * kv.d_padded + d), scale);
  }
};

// Keys from first_key on: all 64, whatever is behind n_keys. Columns behind d_head are zeros.
template <class Cache>
void split_keys(const Cache& cache, const AmxAttention& a, size_t first_key, size_t n_keys) {
  const size_t d_head = cache.kv.d_head;
  for (size_t group = 0; 16 * group < n_keys; ++group) {
    const size_t tile = first_key / kKvTile + group;
    uint8_t* square = a.k + group / 2 * a.n_steps * kSquareBytes + group % 2 * kTileBytes;
    for (size_t d = 0; d < a.d_stride(); d += 2) {
      const F32 even = d < d_head ? cache.key(tile, d) : zero();
      const F32 odd = d + 1 < d_head ? cache.key(tile, d + 1) : zero();
      split_rows(square + d / 32 * kSquareBytes + d % 32 * 32, even, odd);
    }
  }
}

// Values from first_key on; those behind n_keys are zeros.
template <class Cache>
void split_values(const Cache& cache, const AmxAttention& a, size_t first_key, size_t n_keys) {
  for (size_t d = 0; d < a.d_stride(); d += 16) {
    uint8_t* tile = a.v + d / 32 * 2 * kSquareBytes + d % 32 / 16 * kTileBytes;
    for (size_t key = 0; key < kKeyTile; key += 2) {
      const bool exists = d < cache.kv.d_padded;
      const F32 even = exists && key < n_keys ? cache.value(first_key + key, d) : zero();
      const F32 odd = exists && key + 1 < n_keys ? cache.value(first_key + key + 1, d) : zero();
      split_rows(tile + key / 32 * kSquareBytes + key % 32 * 32, even, odd);
    }
  }
}

// --- products
// --------------------------------------------------------------------------------------

// C [32, 32] = or += A B over n_steps squares of each. Tiles 0..3 are C, 4 and 5 A, 6 and 7 B.
template <bool kAccumulate>
AC_INLINE void multiply_split(const uint8_t* a, const uint8_t* b, size_t n_steps, float* c,
                              size_t c_stride) {
  const auto stride = static_cast<int64_t>(c_stride * sizeof(float));
  float* lower = c + 16 * c_stride;
  if constexpr (kAccumulate) {
    _tile_loadd(0, c, stride);
    _tile_loadd(1, c + 16, stride);
    _tile_loadd(2, lower, stride);
    _tile_loadd(3, lower + 16, stride);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (size_t step = 0; step < n_steps; ++step, a += kSquareBytes, b += kSquareBytes) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b + kLowBytes, 64);
    _tile_loadd(5, a + kTileBytes, 64);
    _tile_loadd(7, b + kLowBytes + kTileBytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + kTileBytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(4, a + kLowBytes, 64);
    _tile_loadd(5, a + kLowBytes + kTileBytes, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, stride);
  _tile_stored(1, c + 16, stride);
  _tile_stored(2, lower, stride);
  _tile_stored(3, lower + 16, stride);
}

// --- softmax
// ---------------------------------------------------------------------------------------

// The keys [begin, end) of 16 that a row sees, as lanes.
AC_INLINE __mmask16 lanes_between(int32_t begin, int32_t end) {
  const int32_t from = begin < 0 ? 0 : begin > 16 ? 16 : begin;
  const int32_t to = end < 0 ? 0 : end > 16 ? 16 : end;
  return static_cast<__mmask16>((1u << to) - 1u) & static_cast<__mmask16>(~((1u << from) - 1u));
}

// One row of scores becomes weights, split, in line `line` of the squares of p. Only the keys
// [begin, end) count.
template <bool kMasked>
AC_INLINE void soften_row(const AmxAttention& a, size_t row, uint8_t* line, const float* scores,
                          int32_t begin, int32_t end, float softcap) {
  constexpr int kVectorsOfTile = 4;
  __m512 s[kVectorsOfTile];
  __mmask16 seen[kVectorsOfTile];
  __m512 largest = splat(kNoMaximum);
#pragma GCC unroll 4
  for (int i = 0; i < kVectorsOfTile; ++i) {
    s[i] = load(scores + 16 * i);
    if (softcap > 0.0f) s[i] = capped(s[i], splat(softcap));
    if constexpr (kMasked) {
      seen[i] = lanes_between(begin - 16 * i, end - 16 * i);
      largest = _mm512_mask_max_ps(largest, seen[i], largest, s[i]);
    } else {
      largest = vmax(largest, s[i]);
    }
  }
  const float before = a.maximum[row];
  const float largest_here = reduce_max(largest);
  const float now = largest_here > before ? largest_here : before;
  // One rounding of the shift for all that is measured against this maximum.
  const float shift = now * kLog2E;
  F32 total = load(a.total + 16 * row);
  if (now != before) {
    a.maximum[row] = now;
    const F32 correction = exp2_fast(splat(before * kLog2E - shift));
    total = mul(total, correction);
    float* acc = a.acc + row * a.d_stride();
    for (size_t d = 0; d < a.d_stride(); d += 16) store(acc + d, mul(load(acc + d), correction));
  }
#pragma GCC unroll 4
  for (int i = 0; i < kVectorsOfTile; ++i) {
    s[i] = exp2_fast(_mm512_fmsub_ps(s[i], splat(kLog2E), splat(shift)));
    if constexpr (kMasked) s[i] = _mm512_maskz_mov_ps(seen[i], s[i]);
    total = add(total, s[i]);
  }
  store(a.total + 16 * row, total);
  split_columns(line, s[0], s[1]);
  split_columns(line + kSquareBytes, s[2], s[3]);
}

// --- the whole
// -------------------------------------------------------------------------------------

// The tile of keys that lies in a.k and a.v, for the rows of one pair.
void attend_pair(const AttendArgs& args, const AmxAttention& a, size_t pair, int32_t first_key,
                 size_t n_keys) {
  const size_t n_rows = args.n_tokens * args.n_group;
  const size_t row_begin = 32 * pair;
  const size_t row_end = row_begin + 32 < n_rows ? row_begin + 32 : n_rows;
  const auto position_of = [&](size_t row) {
    return args.first_position + static_cast<int32_t>(row / args.n_group);
  };
  const int32_t last_seen = position_of(row_end - 1);  // causality
  if (last_seen < first_key) return;
  if (args.window > 0 &&
      position_of(row_begin) - args.window >= first_key + static_cast<int32_t>(n_keys) - 1) {
    return;
  }
  // The second half of the keys may be in the future of all rows, or not be there.
  const bool both = last_seen - first_key >= 32 && n_keys > 32;
  multiply_split<false>(a.q + pair * a.n_steps * kSquareBytes, a.k, a.n_steps, a.scores, kKeyTile);
  if (both) {
    multiply_split<false>(a.q + pair * a.n_steps * kSquareBytes, a.k + a.n_steps * kSquareBytes,
                          a.n_steps, a.scores + 32, kKeyTile);
  }
  for (size_t row = row_begin; row < row_end; ++row) {
    uint8_t* line = a.p + row % 32 * 64;
    const float* scores = a.scores + row % 32 * kKeyTile;
    const int32_t position = position_of(row);
    const int32_t begin = args.window > 0 ? position - args.window + 1 - first_key : 0;
    int32_t end = position + 1 - first_key;
    if (end > static_cast<int32_t>(n_keys)) end = static_cast<int32_t>(n_keys);
    if (begin <= 0 && end == static_cast<int32_t>(kKeyTile)) {
      soften_row<false>(a, row, line, scores, begin, end, args.softcap);
    } else {
      soften_row<true>(a, row, line, scores, begin, end, args.softcap);
    }
  }
  float* acc = a.acc + row_begin * a.d_stride();
  for (size_t step = 0; step < a.n_steps; ++step) {
    multiply_split<true>(a.p, a.v + 2 * step * kSquareBytes, both ? 2 : 1, acc + 32 * step,
                         a.d_stride());
  }
}

template <class Cache>
void attend_all_keys(const AttendArgs& args, const AmxAttention& a) {
  const Cache cache{args.kv};
  for (int32_t begin = args.key_begin; begin < args.key_end;
       begin += static_cast<int32_t>(kKeyTile)) {
    const auto left = static_cast<size_t>(args.key_end - begin);
    const size_t n_keys = left < kKeyTile ? left : kKeyTile;
    split_keys(cache, a, static_cast<size_t>(begin), n_keys);
    split_values(cache, a, static_cast<size_t>(begin), n_keys);
    for (size_t pair = 0; pair < a.n_pairs; ++pair) attend_pair(args, a, pair, begin, n_keys);
  }
}

void attend_amx(const AttendArgs& args) noexcept {
  const KvHead& kv = args.kv;
  const size_t n_rows = args.n_tokens * args.n_group;
  // An F32 cache keeps every bit, and so do its products.
  if (n_rows < kMinAmxRows || kv.element == KvElement::kF32) {
    attend(args);
    return;
  }
  const AmxAttention a = lay_out(args.scratch, n_rows, kv.d_head);
  const size_t n_padded_rows = 32 * a.n_pairs;
  for (size_t i = 0; i < n_padded_rows * a.d_stride(); i += 16) store(a.acc + i, zero());
  for (size_t row = 0; row < n_padded_rows; ++row) {
    store(a.total + 16 * row, zero());
    a.maximum[row] = kNoMaximum;
  }
  split_queries(args, a);
  configure_tiles();
  if (kv.element == KvElement::kF16) {
    attend_all_keys<CacheF16>(args, a);
  } else {
    attend_all_keys<CacheInt8>(args, a);
  }
  _tile_release();

  for (size_t row = 0; row < n_rows; ++row) {
    const float* acc = a.acc + row * a.d_stride();
    const float total = reduce_add(load(a.total + 16 * row));
    if (args.out == nullptr) {
      float* partial = args.partial + row * (kv.d_padded + 2);
      for (size_t d = 0; d < kv.d_padded; ++d) partial[d] = acc[d];
      partial[kv.d_padded] = a.maximum[row];
      partial[kv.d_padded + 1] = total;
      continue;
    }
    float* out = args.out + row / args.n_group * args.out_stride + row % args.n_group * kv.d_head;
    const float inverse = 1.0f / total;
    for (size_t d = 0; d < kv.d_head; ++d) out[d] = acc[d] * inverse;
  }
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
