// Prune: feed-forward channels and whole groups of attention heads, then whole layers.
//
// What is left of a layer is as fast as a smaller layer: units are whole kernel blocks of channels,
// and a kv head with all query heads that read it. What stays is fitted anew by least squares, so
// that `down` and `o` give what they gave, as well as they can with fewer inputs.
#pragma once

#include <cstdint>

#include "models/compress/stage.h"

namespace ac {

enum class Selection {
  kGreedy,    // surgeon.h: one unit after the other, with what the others can make up for
  kStrength,  // by the strength of each alone
};
std::string_view selection_name(Selection selection);

struct PruneOptions {
  double ff_keep = 1;  // share of all feed-forward channels that stay
  double kv_keep = 1;  // share of all kv groups that stay
  // Instead of both: the share of the time that all blocks take here, measured. Channels and groups
  // compete: what goes costs the least for each millisecond it saves.
  double time_keep = 1;
  int32_t drop_layers = 0;
  int32_t unit = 32;    // channels: blocks of 32, or 256 for K-quants
  double floor = 0.25;  // of each layer's channels that stay in any case; of its groups, at least 1
  double damping = 0.01;  // of second moments, times their mean diagonal
  Selection selection = Selection::kGreedy;
  bool global = true;      // layers share the total by what it costs each; else all keep the same
  bool compensate = true;  // least squares
};

// Errors: kInvalidArgument (nothing would be left), kUnsupported (low-rank layers: prune before
// they are factored), kCorruptFile, kOutOfMemory, kIo.
Result<StageResult> prune(const Stage& stage, const PruneOptions& options);

}  // namespace ac
