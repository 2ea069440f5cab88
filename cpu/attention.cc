#include "cpu/attention.h"

#include <algorithm>

namespace ac::cpu {
namespace {

// Decoding: 256 positions of a kv head are 64 KiB of cache at d_head 64, some microseconds of work.
constexpr int32_t kKeysPerChunkFew = 256;
// Prefill: a chunk's partial results cost memory traffic, and there are many tiles anyway.
constexpr int32_t kKeysPerChunkMany = 2048;
constexpr int32_t kFewTokens = 4;
constexpr int32_t kMergesPerChunk = 16;

}  // namespace

AttendPlan plan_attention(const SmallKernels& kernels, const Batch& batch, int32_t n_kv_heads,
                          int32_t n_group, int32_t d_head, int32_t window) {
  constexpr auto kTile = static_cast<int32_t>(kKeyTile);
  AttendPlan plan;
  const int32_t tile_tokens = std::max(1, kernels.attend_rows / n_group);
  const auto n_tokens = static_cast<int32_t>(batch.size());
  int32_t largest_rows = 0;
  for (int32_t begin = 0; begin < n_tokens;) {
    const auto first = static_cast<size_t>(begin);
    int32_t n = 1;
    while (n < tile_tokens && begin + n < n_tokens &&
           batch.slots[first + static_cast<size_t>(n)] == batch.slots[first] &&
           batch.positions[first + static_cast<size_t>(n)] == batch.positions[first] + n) {
      ++n;
    }
    AttendTile tile;
    tile.token_begin = begin;
    tile.n_tokens = n;
    tile.slot = batch.slots[first];
    tile.first_position = batch.positions[first];
    if (window > 0) tile.key_begin = std::max(0, tile.first_position + 1 - window) / kTile * kTile;
    tile.keys_per_chunk = n < kFewTokens ? kKeysPerChunkFew : kKeysPerChunkMany;
    const int32_t n_keys = tile.first_position + n - tile.key_begin;
    tile.n_chunks = (n_keys + tile.keys_per_chunk - 1) / tile.keys_per_chunk;
    plan.tiles.push_back(tile);
    largest_rows = std::max(largest_rows, n * n_group);
    begin += n;
  }
  // The longest first, so that none of them is left for the end.
  std::stable_sort(
      plan.tiles.begin(), plan.tiles.end(),
      [](const AttendTile& a, const AttendTile& b) { return a.first_position > b.first_position; });
  for (AttendTile& tile : plan.tiles) {
    tile.first_item = plan.n_items;
    plan.n_items += tile.n_chunks * n_kv_heads;
    if (tile.n_chunks == 1) continue;
    tile.first_partial = plan.n_partials;
    plan.n_partials += tile.n_chunks * n_kv_heads * tile.n_tokens * n_group;
    plan.n_merges += n_kv_heads * tile.n_tokens;
  }
  const auto d = static_cast<size_t>(d_head);
  const size_t d_padded = (d + kKvTile - 1) / kKvTile * kKvTile;
  plan.partial_floats = d_padded + 2;
  plan.scratch_bytes = kernels.attend_scratch_bytes(static_cast<size_t>(largest_rows), d);
  return plan;
}

void AttentionWork::attend(int32_t begin, int32_t end, int32_t worker) const noexcept {
  const AttendTile* tile = tiles;
  for (int32_t item = begin; item < end; ++item) {
    while (item >= tile->first_item + tile->n_chunks * n_kv_heads) ++tile;
    const int32_t kv_head = (item - tile->first_item) / tile->n_chunks;
    const int32_t chunk = (item - tile->first_item) % tile->n_chunks;
    const size_t offset = static_cast<size_t>(tile->token_begin) * n_cols +
                          static_cast<size_t>(kv_head) * group_cols();
    AttendArgs args;
    args.kv = cache->head(options.layer, tile->slot, kv_head);
    args.q = q + offset;
    args.q_stride = n_cols;
    args.n_tokens = static_cast<size_t>(tile->n_tokens);
    args.n_group = static_cast<size_t>(n_group);
    args.first_position = tile->first_position;
    args.window = options.window;
    args.scale = options.scale;
    args.softcap = options.softcap;
    args.key_begin = tile->key_begin + chunk * tile->keys_per_chunk;
    args.key_end =
        std::min(tile->first_position + tile->n_tokens, args.key_begin + tile->keys_per_chunk);
    if (tile->n_chunks == 1) {
      args.out = out + offset;
      args.out_stride = n_cols;
    } else {
      const int32_t row =
          tile->first_partial + (kv_head * tile->n_chunks + chunk) * tile->n_tokens * n_group;
      args.partial = partials + static_cast<size_t>(row) * partial_floats;
    }
    args.scratch = scratch->of(worker);
    kernels->attend(args);
  }
}

int32_t AttentionWork::n_merge_chunks() const {
  return (n_merges + kMergesPerChunk - 1) / kMergesPerChunk;
}

// Merges are numbered through (tile, kv head, token); a merge is n_group rows.
void AttentionWork::merge(int32_t chunk_begin, int32_t chunk_end) const noexcept {
  int32_t index = chunk_begin * kMergesPerChunk;
  const int32_t last = std::min(n_merges, chunk_end * kMergesPerChunk);
  int32_t first_of_tile = 0;
  for (const AttendTile* tile = tiles; index < last; ++tile) {
    if (tile->n_chunks == 1) continue;
    const int32_t rows_of_chunk = tile->n_tokens * n_group;
    const int32_t end_of_tile = first_of_tile + n_kv_heads * tile->n_tokens;
    for (; index < std::min(last, end_of_tile); ++index) {
      const int32_t kv_head = (index - first_of_tile) / tile->n_tokens;
      const int32_t token = (index - first_of_tile) % tile->n_tokens;
      for (int32_t g = 0; g < n_group; ++g) {
        const int32_t row =
            tile->first_partial + kv_head * tile->n_chunks * rows_of_chunk + token * n_group + g;
        kernels->merge({.partial = partials + static_cast<size_t>(row) * partial_floats,
                        .chunk_stride = static_cast<size_t>(rows_of_chunk) * partial_floats,
                        .n_chunks = static_cast<size_t>(tile->n_chunks),
                        .d_head = d_head,
                        .d_padded = partial_floats - 2,
                        .out = out + static_cast<size_t>(tile->token_begin + token) * n_cols +
                               static_cast<size_t>(kv_head) * group_cols() +
                               static_cast<size_t>(g) * d_head});
      }
    }
    first_of_tile = end_of_tile;
  }
}

}  // namespace ac::cpu
