// Whether a variant fits into memory, decided before any of it is taken.
#pragma once

#include <cstdint>
#include <string>

#include "models/arch/model.h"
#include "runtime/core/backend.h"
#include "runtime/core/checkpoint.h"

namespace ac {

struct MemoryPlan {
  uint64_t weights_bytes = 0;  // the mapped tensors, or the backend's copies in their place
  uint64_t cache_bytes = 0;    // keys and values
  uint64_t activations_bytes = 0;  // of the largest step
  uint64_t total() const;          // UINT64_MAX where it does not fit
};

MemoryPlan plan_memory(const Checkpoint& checkpoint, const ModelConfig& config,
                       const KvShape& kv_shape, int32_t tokens_per_step, const Backend& backend);

// Errors: kOutOfMemory with the sum by part.
Status check_memory(const MemoryPlan& plan, uint64_t limit_bytes, std::string_view origin);

}  // namespace ac
