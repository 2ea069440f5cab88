// The predictor: about ten thousand parameters that read the opening of a prompt and say, for each tier
// of variants, how likely it is to succeed.
//
// The network of the paper (arXiv 2601.05191): two transformer layers, 64 hidden units, over the first
// 15 tokens. 64 is the width of the feed-forward layer: with a model width of 64 two layers alone
// would hold ten times the parameters.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/checkpoint.h"
#include "runtime/core/result.h"

namespace ac {

inline constexpr int kPredictorTokens = 15;

// What the network sees of a prompt: at most 15 hashed word pieces. No table of words.
struct PromptFeatures {
  std::array<uint16_t, kPredictorTokens> buckets{};
  int32_t n_tokens = 0;
};
PromptFeatures prompt_features(std::string_view prompt);

// One head per tier, cheapest first; the last is the full model.
struct Prediction {
  std::vector<float> success;  // probability that the tier's answer is right, [n_tiers]
};

class Predictor {
 public:
  // Errors: kCorruptFile naming the key or tensor that is wrong.
  static Result<Predictor> from_checkpoint(const Checkpoint& checkpoint);
  Checkpoint to_checkpoint() const;

  // Allocates nothing beyond the result.
  Prediction predict(const PromptFeatures& features) const;

  std::span<const std::string> tiers() const { return tiers_; }
  int32_t n_parameters() const;

 private:
  friend class PredictorTrainer;
  std::vector<std::string> tiers_;
  std::vector<float> parameters_;  // laid out in predictor.cc
};

}  // namespace ac
