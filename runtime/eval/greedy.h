// Many prompts answered by one engine, greedily and together.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/cancel.h"
#include "runtime/engine/session.h"

namespace ac {

struct GreedyOptions {
  int32_t max_tokens = 1024;  // of an answer
  const CancelFlag* cancel = nullptr;
  std::function<void(int64_t done, int64_t total)> progress{};
  // Called with the number of each prompt once it has been read, before its answer begins.
  std::function<void(size_t prompt, const PrefillState& state)> after_prefill{};
};

// The answer to each prompt, as the only message of a conversation; empty, with no tokens, for one
// that does not fit the engine's context. Errors: those of the engine; kCancelled.
Result<std::vector<Generation>> answer_greedily(Engine& engine,
                                                std::span<const std::string> prompts,
                                                const GreedyOptions& options);

}  // namespace ac
