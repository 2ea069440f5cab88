// The small kernels (norm, rope, attention, activations ...) of one instruction set, as a struct of
// function pointers. Included by files compiled for one instruction set: <cstddef> and <cstdint>
// only, no functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ac::cpu {

// How the cache of keys and values is laid out for one kv head of one slot of one layer. A tile is
// 16 positions.
//
//   k         [n_tiles][d_head][16]      a vector of 16 positions for each dimension, so that
//   scores
//                                        need no sums across lanes
//   v         [n_positions][d_padded]    d_padded = d_head rounded up to 16; the rest stays zero
//   k_scales  [n_tiles][n_blocks][16]    only kInt8: half, one for each position and 32 dimensions
//   v_scales  [n_positions][n_blocks]    only kInt8: n_blocks = d_head / 32, rounded up
enum class KvElement { kF32, kF16, kInt8 };
constexpr size_t kKvTile = 16;
constexpr size_t kKvScaleBlock = 32;

struct KvHead {
  void* k = nullptr;
  void* v = nullptr;
  uint16_t* k_scales = nullptr;
  uint16_t* v_scales = nullptr;
  size_t d_head = 0;
  size_t d_padded = 0;
  KvElement element = KvElement::kF16;
};

// Positions are taken in tiles of this many.
constexpr size_t kKeyTile = 64;

// Queries of consecutive tokens of one slot, all heads that share one kv head, against the
// positions [key_begin, key_end) of the cache. Row r = token * n_group + head of the group; it sees
// the positions up to its token's own, the last `window` of them where window > 0.
struct AttendArgs {
  KvHead kv;
  const float* q = nullptr;  // token i, head g: q + i * q_stride + g * d_head
  size_t q_stride = 0;
  size_t n_tokens = 0;
  size_t n_group = 0;
  int32_t first_position = 0;  // of token 0
  int32_t window = 0;
  float scale = 1.0f;
  float softcap = 0.0f;
  int32_t key_begin = 0;  // a multiple of kKeyTile
  int32_t key_end = 0;    // <= first_position + n_tokens
  // Either the finished rows, laid out like q ...
  float* out = nullptr;
  size_t out_stride = 0;
  // ... or, with out == nullptr, for each row: d_padded sums, the maximum, the sum of weights.
  float* partial = nullptr;
  void* scratch = nullptr;  // attend_scratch_bytes(), 64-byte aligned, of this worker alone
};

// One row from its partial results, in the order of the chunks.
struct MergeArgs {
  const float* partial = nullptr;  // of the first chunk
  size_t chunk_stride = 0;         // floats from one chunk to the next
  size_t n_chunks = 0;
  size_t d_head = 0;
  size_t d_padded = 0;
  float* out = nullptr;  // [d_head]
};

struct SmallKernels {
  // y = x / sqrt(mean(x^2) + epsilon) * weight over each of n_groups groups; weight [group] or
  // null. x and y may be the same.
  void (*rms_norm)(const float* x, const float* weight, float* y, size_t group, size_t n_groups,
                   float epsilon) noexcept;
  // Heads of one token. cos_sin is [2][d_rot / 2]: all cosines, then all sines.
  void (*rope_halves)(float* x, const float* cos_sin, size_t d_rot, size_t d_head,
                      size_t n_heads) noexcept;
  void (*rope_interleaved)(float* x, const float* cos_sin, size_t d_rot, size_t d_head,
                           size_t n_heads) noexcept;
  // y = activation(gate) * up.
  void (*gated_silu)(const float* gate, const float* up, float* y, size_t n) noexcept;
  void (*gated_gelu_tanh)(const float* gate, const float* up, float* y, size_t n) noexcept;
  void (*add)(float* x, const float* y, size_t n) noexcept;  // x += y
  void (*scale)(float* x, float factor, size_t n) noexcept;  // x *= factor
  void (*softcap)(float* x, float cap, size_t n) noexcept;   // x = cap * tanh(x / cap)
  void (*decode_f16)(const uint16_t* half, float* out, size_t n) noexcept;
  // One kv head's k and v [d_head] of one token, to `position`.
  void (*store_kv)(const KvHead& kv, const float* k, const float* v, size_t position) noexcept;
  void (*attend)(const AttendArgs& args) noexcept;
  size_t (*attend_scratch_bytes)(size_t n_rows, size_t d_head) noexcept;
  // The n_tokens * n_group from which on more rows no longer make attend faster.
  int32_t attend_rows;
  void (*merge)(const MergeArgs& args) noexcept;
};

}  // namespace ac::cpu
