// Attention over a cache laid out as in small_kernels.h, with a running softmax: scores exist only
// for one tile of keys at a time. Online softmax: Milakov and Gimelshein 2018, arXiv:1805.02867.
//
// All rows that share keys are computed together, so that K and V are read once: in decoding the
// heads of a group, in prefill a block of tokens times the heads of the group. With many rows a
// tile of the cache is first widened to f32 in scratch, which stays in L1; with few it is widened
// as it is read.
//
// For each tile of 64 keys, S = q K^T, the softmax of S's rows against their running maxima, and
// acc = acc * correction + P V. Both products keep a block of rows x vectors in registers and need
// no sums across lanes.
#pragma once

#include "cpu/kernels/elementwise_inl.h"
#include "cpu/kernels/small_kernels.h"
#include "cpu/simd/simd.h"

namespace ac::cpu::AC_ISA {
namespace {

// A maximum before the first key. Finite, so that differences of maxima are never NaN.
constexpr float kNoMaximum = -1e30f;
// From this many rows on a tile is widened once rather than at each use.
constexpr size_t kWidenRows = 8;
// Rows of queries in a tile: enough to make widening the cache cheap beside the products, few
// enough that the tile's state stays in a core's L2.
constexpr int32_t kAttendRows = 48;
// Accumulators of a block: kMaxRows x kVectors vectors stay in registers.
constexpr size_t kMaxRows = 6;
constexpr size_t kVectors = kLanes >= 16 || kLanes == 4 ? 4 : 2;

AC_INLINE F32 load_element(const float* p) { return load(p); }
AC_INLINE F32 load_element(const uint16_t* p) { return load_f16(p); }

// scores[r][key] for kRows rows and n_vectors vectors of keys that begin at a multiple of 16.
template <size_t kRows, size_t kCount, class Element>
AC_INLINE void score_block(const float* q, size_t d_head, const Element* k, size_t first_key,
                           float* scores) {
  F32 sum[kRows][kCount];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t j = 0; j < kCount; ++j) sum[r][j] = zero();
  }
  const Element* keys[kCount];
  for (size_t j = 0; j < kCount; ++j) {
    const size_t key = first_key + j * kLanes;
    keys[j] = k + key / kKvTile * d_head * kKvTile + key % kKvTile;
  }
  for (size_t d = 0; d < d_head; ++d) {
    F32 key_values[kCount];
    for (size_t j = 0; j < kCount; ++j) key_values[j] = load_element(keys[j] + d * kKvTile);
    for (size_t r = 0; r < kRows; ++r) {
      const F32 query = splat(q[r * d_head + d]);
      for (size_t j = 0; j < kCount; ++j) sum[r][j] = fma(query, key_values[j], sum[r][j]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t j = 0; j < kCount; ++j) {
      store(scores + r * kKeyTile + first_key + j * kLanes, sum[r][j]);
    }
  }
}

template <size_t kRows, class Element>
AC_INLINE void score_rows(const float* q, size_t d_head, const Element* k, size_t n_keys,
                          float* scores) {
  const size_t n_padded = (n_keys + kKvTile - 1) / kKvTile * kKvTile;
  size_t key = 0;
  for (; key + kVectors * kLanes <= n_padded; key += kVectors * kLanes) {
    score_block<kRows, kVectors>(q, d_head, k, key, scores);
  }
  for (; key < n_padded; key += kLanes) score_block<kRows, 1>(q, d_head, k, key, scores);
}

// acc[r][dims] += sum over keys of p[r][key] v[key][dims], for kCount vectors of dimensions.
template <size_t kRows, size_t kCount, class Element>
AC_INLINE void value_block(const float* p, const Element* v, size_t d_padded, size_t n_keys,
                           float* acc) {
  F32 sum[kRows][kCount];
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t j = 0; j < kCount; ++j) sum[r][j] = load(acc + r * d_padded + j * kLanes);
  }
  for (size_t key = 0; key < n_keys; ++key) {
    F32 values[kCount];
    for (size_t j = 0; j < kCount; ++j) {
      values[j] = load_element(v + key * d_padded + j * kLanes);
    }
    for (size_t r = 0; r < kRows; ++r) {
      const F32 weight = splat(p[r * kKeyTile + key]);
      for (size_t j = 0; j < kCount; ++j) sum[r][j] = fma(weight, values[j], sum[r][j]);
    }
  }
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t j = 0; j < kCount; ++j) store(acc + r * d_padded + j * kLanes, sum[r][j]);
  }
}

template <size_t kRows, class Element>
AC_INLINE void value_rows(const float* p, const Element* v, size_t d_padded, size_t n_keys,
                          float* acc) {
  size_t d = 0;
  for (; d + kVectors * kLanes <= d_padded; d += kVectors * kLanes) {
    value_block<kRows, kVectors>(p, v + d, d_padded, n_keys, acc + d);
  }
  for (; d < d_padded; d += kLanes) {
    value_block<kRows, 1>(p, v + d, d_padded, n_keys, acc + d);
  }
}

// Calls body.template rows<n>(first) for blocks of rows, as many at a time as registers allow.
template <class Body>
AC_INLINE void for_row_blocks(size_t n_rows, const Body& body) {
  size_t row = 0;
  for (; row + kMaxRows <= n_rows; row += kMaxRows) body.template rows<kMaxRows>(row);
  switch (n_rows - row) {
    case 5:
      body.template rows<5>(row);
      break;
    case 4:
      body.template rows<4>(row);
      break;
    case 3:
      body.template rows<3>(row);
      break;
    case 2:
      body.template rows<2>(row);
      break;
    case 1:
      body.template rows<1>(row);
      break;
    default:
      break;
  }
}

template <class Element>
struct Scores {
  const float* q;
  size_t d_head;
  const Element* k;
  size_t n_keys;
  float* scores;
  template <size_t kRows>
  void rows(size_t row) const {
    score_rows<kRows>(q + row * d_head, d_head, k, n_keys, scores + row * kKeyTile);
  }
};

template <class Element>
struct Values {
  const float* p;
  const Element* v;
  size_t d_padded;
  size_t n_keys;
  float* acc;
  template <size_t kRows>
  void rows(size_t row) const {
    value_rows<kRows>(p + row * kKeyTile, v, d_padded, n_keys, acc + row * d_padded);
  }
};

struct Softening {
  float maximum;
  float total;
  float correction;  // for what was summed before
};

// kCount vectors of scores become weights, all of them visible.
template <size_t kCount>
AC_INLINE Softening soften_vectors(float* scores, float maximum, float total) {
  F32 s[kCount];
  F32 largest = splat(maximum);
  for (size_t j = 0; j < kCount; ++j) {
    s[j] = load(scores + j * kLanes);
    largest = vmax(largest, s[j]);
  }
  const float new_maximum = reduce_max(largest);
  const F32 shift = splat(new_maximum);
  F32 sum = zero();
  for (size_t j = 0; j < kCount; ++j) {
    s[j] = vexp(sub(s[j], shift));
    store(scores + j * kLanes, s[j]);
    sum = add(sum, s[j]);
  }
  // Most tiles leave the maximum as it is.
  float correction = 1.0f;
  if (new_maximum != maximum) {
    float factor[kLanes];
    store(factor, vexp(splat(maximum - new_maximum)));
    correction = factor[0];
  }
  return {new_maximum, total * correction + reduce_add(sum), correction};
}

// One row of scores of this tile becomes weights. Only the keys [visible_begin, visible_end) count;
// the others' weights become zero.
AC_INLINE Softening soften(float* scores, size_t n_keys, size_t visible_begin, size_t visible_end,
                           float softcap, float maximum, float total) {
  const size_t n_padded = (n_keys + kKvTile - 1) / kKvTile * kKvTile;
  if (softcap > 0.0f) {
    const F32 cap = splat(softcap);
    for (size_t i = 0; i < n_padded; i += kLanes) store(scores + i, capped(load(scores + i), cap));
  }
  if (visible_begin == 0 && visible_end == kKeyTile) {
    return soften_vectors<kKeyTile / kLanes>(scores, maximum, total);
  }
  for (size_t i = 0; i < visible_begin; ++i) scores[i] = kNoMaximum;
  for (size_t i = visible_end; i < n_padded; ++i) scores[i] = kNoMaximum;
  F32 largest = splat(maximum);
  for (size_t i = 0; i < n_padded; i += kLanes) largest = vmax(largest, load(scores + i));
  const float new_maximum = reduce_max(largest);
  const F32 shift = splat(new_maximum);
  for (size_t i = 0; i < n_padded; i += kLanes) {
    store(scores + i, vexp(sub(load(scores + i), shift)));
  }
  // vexp is never zero; what is not visible must be.
  for (size_t i = 0; i < visible_begin; ++i) scores[i] = 0.0f;
  for (size_t i = visible_end; i < n_padded; ++i) scores[i] = 0.0f;
  F32 sum = zero();
  for (size_t i = 0; i < n_padded; i += kLanes) sum = add(sum, load(scores + i));
  float factor[kLanes];
  store(factor, vexp(splat(maximum - new_maximum)));
  return {new_maximum, total * factor[0] + reduce_add(sum), factor[0]};
}

// --- widening a tile
// -------------------------------------------------------------------------------

AC_INLINE void widen(const uint16_t* from, float* to, size_t n) {
  for (size_t i = 0; i < n; i += kLanes) store(to + i, load_f16(from + i));
}

void widen_int8_keys(const KvHead& kv, size_t first_key, size_t n_keys, float* out) {
  const size_t n_blocks = (kv.d_head + kKvScaleBlock - 1) / kKvScaleBlock;
  for (size_t key = first_key; key < first_key + n_keys; key += kKvTile) {
    const size_t tile = key / kKvTile;
    const int8_t* from = static_cast<const int8_t*>(kv.k) + tile * kv.d_head * kKvTile;
    const uint16_t* scales = kv.k_scales + tile * n_blocks * kKvTile;
    for (size_t d = 0; d < kv.d_head; ++d, out += kKvTile, from += kKvTile) {
      const uint16_t* scale = scales + d / kKvScaleBlock * kKvTile;
      for (size_t i = 0; i < kKvTile; i += kLanes) {
        store(out + i, mul(load_i8(from + i), load_f16(scale + i)));
      }
    }
  }
}

void widen_int8_values(const KvHead& kv, size_t first_key, size_t n_keys, float* out) {
  const size_t n_blocks = (kv.d_head + kKvScaleBlock - 1) / kKvScaleBlock;
  for (size_t key = first_key; key < first_key + n_keys; ++key, out += kv.d_padded) {
    const int8_t* from = static_cast<const int8_t*>(kv.v) + key * kv.d_padded;
    for (size_t d = 0; d < kv.d_padded; d += kKvTile) {
      const F32 scale = splat(f16_to_f32(kv.v_scales[key * n_blocks + d / kKvScaleBlock]));
      for (size_t i = d; i < d + kKvTile; i += kLanes) {
        store(out + i, mul(load_i8(from + i), scale));
      }
    }
  }
}

// --- the whole
// -------------------------------------------------------------------------------------

struct RowState {
  float* q;        // [n_rows, d_head], scaled
  float* acc;      // [n_rows, d_padded]
  float* scores;   // [n_rows, kKeyTile]
  float* maximum;  // [n_rows]
  float* total;    // [n_rows]
  float* wide_k;   // [kKeyTile * d_head]
  float* wide_v;   // [kKeyTile * d_padded]
};

template <class Element>
void attend_tile(const AttendArgs& args, const RowState& state, int32_t tile_begin, size_t n_keys,
                 const Element* k, const Element* v) {
  const KvHead& kv = args.kv;
  const size_t n_rows = args.n_tokens * args.n_group;
  // Tokens that see nothing of the tile are before it (causality) or far behind it (window).
  size_t first_token = 0;
  size_t end_token = args.n_tokens;
  while (first_token < end_token &&
         args.first_position + static_cast<int32_t>(first_token) < tile_begin) {
    ++first_token;
  }
  const int32_t last_key = tile_begin + static_cast<int32_t>(n_keys) - 1;
  if (args.window > 0) {
    while (end_token > first_token &&
           args.first_position + static_cast<int32_t>(end_token) - 1 - args.window >= last_key) {
      --end_token;
    }
  }
  const size_t row_begin = first_token * args.n_group;
  const size_t row_end = end_token * args.n_group;
  if (row_begin == row_end || row_end > n_rows) return;

  const Scores<Element> score{state.q + row_begin * kv.d_head, kv.d_head, k, n_keys,
                              state.scores + row_begin * kKeyTile};
  for_row_blocks(row_end - row_begin, score);
  for (size_t row = row_begin; row < row_end; ++row) {
    const int32_t position = args.first_position + static_cast<int32_t>(row / args.n_group);
    int32_t begin = 0;
    if (args.window > 0 && position - args.window >= tile_begin) {
      begin = position - args.window + 1 - tile_begin;
    }
    int32_t end = position + 1 - tile_begin;
    if (end > static_cast<int32_t>(n_keys)) end = static_cast<int32_t>(n_keys);
    const Softening softening =
        soften(state.scores + row * kKeyTile, n_keys, static_cast<size_t>(begin),
               static_cast<size_t>(end), args.softcap, state.maximum[row], state.total[row]);
    state.maximum[row] = softening.maximum;
    state.total[row] = softening.total;
    if (softening.correction != 1.0f) {
      float* acc = state.acc + row * kv.d_padded;
      const F32 factor = splat(softening.correction);
      for (size_t d = 0; d < kv.d_padded; d += kLanes) store(acc + d, mul(load(acc + d), factor));
    }
  }
  const Values<Element> value{state.scores + row_begin * kKeyTile, v, kv.d_padded, n_keys,
                              state.acc + row_begin * kv.d_padded};
  for_row_blocks(row_end - row_begin, value);
}

size_t attend_scratch_bytes(size_t n_rows, size_t d_head) noexcept {
  const size_t d_padded = (d_head + kKvTile - 1) / kKvTile * kKvTile;
  return sizeof(float) *
         (n_rows * (d_padded + kKeyTile + d_head + 2) + kKeyTile * (d_head + d_padded));
}

void attend(const AttendArgs& args) noexcept {
  const KvHead& kv = args.kv;
  const size_t n_rows = args.n_tokens * args.n_group;
  RowState state{};
  auto* next = static_cast<float*>(args.scratch);
  state.acc = next, next += n_rows * kv.d_padded;
  state.scores = next, next += n_rows * kKeyTile;
  state.wide_k = next, next += kKeyTile * kv.d_head;
  state.wide_v = next, next += kKeyTile * kv.d_padded;
  state.q = next, next += n_rows * kv.d_head;
  state.maximum = next, next += n_rows;
  state.total = next;

  for (size_t row = 0; row < n_rows; ++row) {
    const float* q = args.q + row / args.n_group * args.q_stride + row % args.n_group * kv.d_head;
    for (size_t d = 0; d < kv.d_head; ++d) state.q[row * kv.d_head + d] = q[d] * args.scale;
    state.maximum[row] = kNoMaximum;
    state.total[row] = 0.0f;
  }
  for (size_t i = 0; i < n_rows * kv.d_padded; i += kLanes) store(state.acc + i, zero());

  constexpr auto kTile = static_cast<int32_t>(kKeyTile);
  for (int32_t begin = args.key_begin; begin < args.key_end; begin += kTile) {
    const int32_t left = args.key_end - begin;
    const auto n_keys = static_cast<size_t>(left < kTile ? left : kTile);
    const size_t n_padded = (n_keys + kKvTile - 1) / kKvTile * kKvTile;
    const auto first_key = static_cast<size_t>(begin);
    const size_t k_offset = first_key * kv.d_head;
    const size_t v_offset = first_key * kv.d_padded;
    if (kv.element == KvElement::kF32) {
      attend_tile(args, state, begin, n_keys, static_cast<const float*>(kv.k) + k_offset,
                  static_cast<const float*>(kv.v) + v_offset);
      continue;
    }
    if (kv.element == KvElement::kF16) {
      const auto* k = static_cast<const uint16_t*>(kv.k) + k_offset;
      const auto* v = static_cast<const uint16_t*>(kv.v) + v_offset;
      if (n_rows < kWidenRows) {
        attend_tile(args, state, begin, n_keys, k, v);
        continue;
      }
      widen(k, state.wide_k, n_padded * kv.d_head);
      widen(v, state.wide_v, n_keys * kv.d_padded);
    } else {
      widen_int8_keys(kv, first_key, n_padded, state.wide_k);
      widen_int8_values(kv, first_key, n_keys, state.wide_v);
    }
    attend_tile<float>(args, state, begin, n_keys, state.wide_k, state.wide_v);
  }

  for (size_t row = 0; row < n_rows; ++row) {
    const float* acc = state.acc + row * kv.d_padded;
    if (args.out == nullptr) {
      float* partial = args.partial + row * (kv.d_padded + 2);
      for (size_t d = 0; d < kv.d_padded; ++d) partial[d] = acc[d];
      partial[kv.d_padded] = state.maximum[row];
      partial[kv.d_padded + 1] = state.total[row];
      continue;
    }
    float* out = args.out + row / args.n_group * args.out_stride + row % args.n_group * kv.d_head;
    const float inverse = 1.0f / state.total[row];
    for (size_t d = 0; d < kv.d_head; ++d) out[d] = acc[d] * inverse;
  }
}

void merge(const MergeArgs& args) noexcept {
  float maximum = kNoMaximum;
  for (size_t chunk = 0; chunk < args.n_chunks; ++chunk) {
    maximum = __builtin_fmaxf(maximum, args.partial[chunk * args.chunk_stride + args.d_padded]);
  }
  float total = 0.0f;
  for (size_t d = 0; d < args.d_head; ++d) args.out[d] = 0.0f;
  for (size_t chunk = 0; chunk < args.n_chunks; ++chunk) {
    const float* partial = args.partial + chunk * args.chunk_stride;
    float factor[kLanes];
    store(factor, vexp(splat(partial[args.d_padded] - maximum)));
    total += factor[0] * partial[args.d_padded + 1];
    for (size_t d = 0; d < args.d_head; ++d) args.out[d] += factor[0] * partial[d];
  }
  const float inverse = 1.0f / total;
  for (size_t d = 0; d < args.d_head; ++d) args.out[d] *= inverse;
}

}  // namespace
}  // namespace ac::cpu::AC_ISA
