// How attention is cut into pieces that threads can take.
//
// A tile is a run of tokens of one slot whose queries are computed together; its keys are split
// into chunks where there are many, so that decoding far into a context keeps all cores busy. Tiles
// and chunks depend only on the batch and the shapes, never on the number of threads.
#pragma once

#include <vector>

#include "cpu/kernels/small_kernels.h"
#include "cpu/kv_cache.h"
#include "cpu/program.h"
#include "runtime/core/backend.h"

namespace ac::cpu {

struct AttendTile {
  int32_t token_begin = 0;  // row of the batch
  int32_t n_tokens = 0;
  int32_t slot = 0;
  int32_t first_position = 0;
  int32_t key_begin = 0;  // first position that any of the tokens sees, rounded down to kKeyTile
  int32_t keys_per_chunk = 0;  // a multiple of kKeyTile
  int32_t n_chunks = 0;
  int32_t first_item = 0;     // of n_chunks * n_kv_heads items, numbered through all tiles
  int32_t first_partial = 0;  // row of partial results; unused where n_chunks == 1
};

struct AttendPlan {
  std::vector<AttendTile> tiles;
  int32_t n_items = 0;
  int32_t n_partials = 0;     // rows of d_padded + 2 floats
  int32_t n_merges = 0;       // (token, kv head) pairs whose chunks have to be merged
  size_t scratch_bytes = 0;   // for each worker
  size_t partial_floats = 0;  // of one row of partial results
};

// n_group: query heads per kv head.
AttendPlan plan_attention(const SmallKernels& kernels, const Batch& batch, int32_t n_kv_heads,
                          int32_t n_group, int32_t d_head, int32_t window);

// The plan and where everything lies: what the threads run. Plain data, copied into the program.
struct AttentionWork {
  const AttendTile* tiles = nullptr;
  size_t partial_floats = 0;
  int32_t n_merges = 0;
  AttendOptions options;
  int32_t n_kv_heads = 0;
  int32_t n_group = 0;
  size_t d_head = 0;
  const KvCache* cache = nullptr;
  const SmallKernels* kernels = nullptr;
  const Scratch* scratch = nullptr;
  const float* q = nullptr;  // [n_tokens, n_cols]
  float* out = nullptr;      // [n_tokens, n_cols]
  size_t n_cols = 0;
  float* partials = nullptr;

  // Items [begin, end) of the plan.
  void attend(int32_t begin, int32_t end, int32_t worker) const noexcept;
  int32_t n_merge_chunks() const;
  void merge(int32_t chunk_begin, int32_t chunk_end) const noexcept;

 private:
  size_t group_cols() const { return static_cast<size_t>(n_group) * d_head; }
};

}  // namespace ac::cpu
