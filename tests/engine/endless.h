// Answers that go on for as long as a test wants, to prompts of any words.
#pragma once

#include <limits>
#include <vector>

#include "runtime/engine/session.h"
#include "tests/support/random_model.h"

namespace ac::test {

// Never ends by itself: the end-of-text token is banned.
inline GenerateOptions endless(int32_t max_tokens) {
  GenerateOptions options;
  options.max_tokens = max_tokens;
  options.sampler.logit_bias = {{2, -std::numeric_limits<float>::infinity()}};
  return options;
}

inline std::vector<int32_t> prompt_of(size_t n, uint64_t seed) {
  std::vector<int32_t> tokens = random_tokens(n, 256, seed);
  for (int32_t& token : tokens) token += 3;
  return tokens;
}

}  // namespace ac::test
