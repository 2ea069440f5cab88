// From logits to the next token.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/core/rng.h"

namespace ac {

// Applied in this order: bias, penalties, temperature, min_p, top_k, top_p. The best token always
// remains.
struct SamplerOptions {
  float temperature = 0;  // 0: greedy
  int32_t top_k = 0;      // 0: off
  float top_p = 1;
  float min_p = 0;              // relative to the best token's probability
  float repeat_penalty = 1;     // positive logits are divided by it, negative ones multiplied
  float presence_penalty = 0;   // subtracted once from what occurred,
  float frequency_penalty = 0;  // and this for each time
  int32_t penalty_window = 64;  // the last tokens that penalties look at
  uint64_t seed = 0;
  std::vector<std::pair<int32_t, float>> logit_bias = {};  // -infinity bans a token
};

// Errors: kInvalidArgument naming the option, its value and its range.
Status check_sampler_options(const SamplerOptions& options);

class Sampler {
 public:
  explicit Sampler(SamplerOptions options);
  // `logits` [n_vocab] is left as it is. `history`: tokens so far, prompt included.
  // Ties go to the lowest id, so that greedy answers do not depend on the machine.
  int32_t sample(std::span<const float> logits, std::span<const int32_t> history);

 private:
  void adjust(std::span<const int32_t> history);
  int32_t draw(std::span<const float> logits, float top);

  SamplerOptions options_;
  Rng rng_;
  std::vector<float> work_;
  std::vector<int32_t> recent_;
  std::vector<std::pair<float, int32_t>> candidates_;
};

// log softmax(logits)[token]; -infinity for an id outside the vocabulary.
float log_probability(std::span<const float> logits, int32_t token);
// -sum p log p of softmax(logits), nats.
float entropy(std::span<const float> logits);
// The n best, best first.
std::vector<std::pair<int32_t, float>> top_log_probabilities(std::span<const float> logits,
                                                             int32_t n);

}  // namespace ac
