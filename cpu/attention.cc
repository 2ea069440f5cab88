#include "cpu/attention.h"

#include <algorithm>

namespace ac::cpu {
namespace {

// Rows of queries in a tile: enough to make widening the cache cheap beside the products, few
// enough that the tile's state stays in a core's L2.
constexpr int32_t kTileRows = 48;
// Decoding: 256 positions of a kv head are 64 KiB of cache at d_head 64, some microseconds of work.
constexpr int32_t kKeysPerChunkFew = 256;
// Prefill: a chunk's partial results cost memory traffic, and there are many tiles anyway.
constexpr int32_t kKeysPerChunkMany = 2048;
constexpr int32_t kFewTokens = 4;

}  // namespace

AttendPlan plan_attention(const Batch& batch, int32_t n_kv_heads, int32_t n_group, int32_t d_head,
                          int32_t window) {
  constexpr auto kTile = static_cast<int32_t>(kKeyTile);
  AttendPlan plan;
  const int32_t tile_tokens = std::max(1, kTileRows / n_group);
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
  const auto rows = static_cast<size_t>(largest_rows);
  const auto d = static_cast<size_t>(d_head);
  const size_t d_padded = (d + kKvTile - 1) / kKvTile * kKvTile;
  plan.scratch_floats = rows * (d_padded + kKeyTile + d + 2) + kKeyTile * (d + d_padded);
  return plan;
}

}  // namespace ac::cpu
