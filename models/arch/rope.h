// Rotation tables from metadata and factor tensors. Internal to models/arch.
#pragma once

#include <vector>

#include "models/arch/family.h"

namespace ac {

struct RopeFrequencies {
  std::vector<float> inverse_frequencies;  // [d_rot / 2]
  float magnitude = 1;
};

// The table of the layers that are not local. `n_context`: the longest sequence that will be run.
// Errors: kCorruptFile, kUnsupported (an unknown scaling).
Result<RopeFrequencies> read_rope(const Checkpoint& checkpoint, const Family& family,
                                  const ModelConfig& config, int32_t n_context);
// The table of local layers: a base of their own, never scaled.
Result<RopeFrequencies> read_local_rope(const Checkpoint& checkpoint, const Family& family,
                                        const ModelConfig& config);

}  // namespace ac
