// The n-gram gate: a linear model over the whole prompt with one calibrated head per tier. It is
// asked for gains: how much more likely the full model is to succeed than a variant is.
//
//   p_tier = sigmoid(w_tier . x + b_tier),   gain_tier = p_full - p_tier
//
// x is NgramFeatures; two tiers have 8,194 parameters. Beside the weights its file holds the labels
// that it was calibrated on, so that a threshold can be worked out for any target (guarantee.h),
// and which n-grams it has seen.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/guarantee.h"
#include "models/predictor/ngram_features.h"
#include "models/predictor/predictor.h"
#include "runtime/core/checkpoint.h"
#include "runtime/core/result.h"

namespace ac {

// Which n-grams occurred in the prompts that were learned from: a Bloom filter of one hash.
inline constexpr int kSeenBits = 1 << 17;

// One bit per n-gram, into `seen` [kSeenBits / 32]; and the share of n-grams whose bit is not set.
void mark_seen(const NgramFeatures& features, std::span<int32_t> seen);
double share_unseen(const NgramFeatures& features, std::span<const int32_t> seen);

class NgramGate {
 public:
  struct Parts {
    std::vector<std::string> tiers;  // cheapest first, the last is the full model
    std::vector<float> weights;      // [kNgramBuckets, n_tiers]
    std::vector<float> bias;         // [n_tiers]
    std::vector<int32_t> seen;       // [kSeenBits / 32]
    // Novelty (see novelty()) above which one in twenty of the prompts learned from lies.
    float usual_novelty = 1;
    CalibrationTable calibration;
    PredictorFacts facts;
  };
  // Errors: kInvalidArgument (2..8 tiers with different names, a wrong count, a value that is not
  // finite or out of range).
  static Result<NgramGate> create(Parts parts);

  // Errors: kCorruptFile naming the key or tensor that is wrong; kNotFound: the file has no such
  // gate.
  static Result<NgramGate> from_checkpoint(const Checkpoint& checkpoint);
  // Adds its keys and tensors to a file of predictors.
  Status add_to(Checkpoint& checkpoint) const;

  // Adds to the weights of a head, which stay within their range (gate_learning.h).
  void adjust(size_t tier, std::span<const NgramFeatures::Entry> steps, float bias_step);

  // Thread-safe; allocates nothing beyond the result.
  Prediction predict(const NgramFeatures& features) const;
  // The share of the prompt's n-grams that were never learned from; 0 for a prompt without any.
  double novelty(const NgramFeatures& features) const {
    return share_unseen(features, parts_.seen);
  }

  std::span<const std::string> tiers() const { return parts_.tiers; }
  const PredictorFacts& facts() const { return parts_.facts; }
  const Parts& parts() const { return parts_; }
  int32_t n_parameters() const {
    return static_cast<int32_t>(parts_.weights.size() + parts_.bias.size());
  }

 private:
  explicit NgramGate(Parts parts) : parts_(std::move(parts)) {}
  Parts parts_;
};

// Of the n-grams of a prompt, those that say most about the cheapest tier's gain over the full
// model: how much they raise its logit above the full model's, largest first. N-grams that share a
// bucket share what it says.
struct NgramInfluence {
  std::string text;
  double gain_logit = 0;
};
std::vector<NgramInfluence> ngram_influences(const NgramGate& gate, std::string_view prompt,
                                             size_t most);

}  // namespace ac
