// How attention is cut into pieces that threads can take.
//
// A tile is a run of tokens of one slot whose queries are computed together; its keys are split
// into chunks where there are many, so that decoding far into a context keeps all cores busy. Tiles
// and chunks depend only on the batch and the shapes, never on the number of threads.
#pragma once

#include <vector>

#include "cpu/kernels/small_kernels.h"
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
  int32_t n_partials = 0;  // rows of d_padded + 2 floats
  int32_t n_merges = 0;    // (token, kv head) pairs whose chunks have to be merged
  size_t scratch_floats = 0;
};

// n_group: query heads per kv head.
AttendPlan plan_attention(const Batch& batch, int32_t n_kv_heads, int32_t n_group, int32_t d_head,
                          int32_t window);

}  // namespace ac::cpu
