// Runs a checkpoint on a backend, step by step, without the engine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/arch/model.h"

namespace ac::test {

struct RunOptions {
  int32_t chunk = 0;  // tokens per step; 0: all at once
  KvFormat kv_format = KvFormat::kF32;
  int32_t n_context = 0;  // 0: the trained one
};

// Logits of every position, [tokens.size(), n_vocab].
Result<std::vector<float>> run_logits(const Checkpoint& checkpoint, Backend& backend,
                                      std::span<const int32_t> tokens,
                                      const RunOptions& options = {});

}  // namespace ac::test
