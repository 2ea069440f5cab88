// The draft gate: once the n-gram gate has chosen a variant, what that variant itself shows of being
// right. A draft is taken where the full model is hardly likelier to succeed, and thrown away where
// it is.
//
//   gain = sigmoid(w_full . x + b_full) - sigmoid(w_variant . x + b_variant)
//
// with a pair of heads for every variant and every stage (DraftStage). x is what is known at the
// stage: the n-gram gate's logits of the variant and of the full model, the first token's entropy
// and margin, the direction of the last hidden state; then the answer's log-probabilities, length
// and checks; then how far another variant agrees.
//
// One allowance e runs through all of it. The n-gram gate and the probe are held to e + kDraftReach:
// nothing is written yet, and what is written will tell more. The draft, and after it the second
// one, are held to e.
//
// In a cascade (FrugalGPT, Chen et al. 2023, arXiv:2305.05176) a cheaper variant drafts before the
// one that is asked. It has an allowance of its own (Allowed::cascade), which is promised last, with
// kCascadeReach in place of kDraftReach: what stands behind it is next to free. Variants cheaper
// than the usual one (usual_tier) answer in no other way.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/draft_signals.h"
#include "models/predictor/guarantee.h"
#include "models/predictor/ngram_gate.h"
#include "models/predictor/predictor.h"
#include "runtime/core/checkpoint.h"
#include "runtime/core/result.h"

namespace ac {

// How much more of a gain is allowed as long as nothing is written.
inline constexpr double kDraftReach = 0.3;

// The same before a cascade's draft is written; a doubted one has cost its time for nothing.
inline constexpr double kCascadeReach = 0.05;

// Which stages are asked after a draft was begun; the draft itself always is.
struct DraftUse {
  bool probe = true;
  bool second = false;
  bool cascade = true;
};

class DraftGate {
 public:
  // A head is its weights and, last, its bias.
  struct Stage {
    std::vector<float> variant;  // [n_variants, n_features + 1]
    std::vector<float> full;     // [n_variants, n_features + 1]
  };
  struct Parts {
    std::vector<std::string> variants;  // the n-gram gate's tiers without the full model
    std::vector<std::string> seconds;   // who answers after each of them
    int32_t n_hidden = 0;               // 0: the hidden state is not looked at
    std::vector<Stage> stages;          // [kDraftStages]
    // The gains of each stage on the rows of the n-gram gate's calibration, in their order.
    std::vector<float> gains;  // [n_rows, n_variants, kDraftStages]
  };
  // Errors: kInvalidArgument (a wrong count, a value that is not finite or out of range).
  static Result<DraftGate> create(Parts parts);
  // The one that belongs to `gate`, of the same file. Errors: kCorruptFile naming the key or tensor
  // that is wrong; kNotFound: the file has none.
  static Result<DraftGate> from_checkpoint(const Checkpoint& checkpoint, const NgramGate& gate);
  Status add_to(Checkpoint& checkpoint) const;

  struct Success {
    double variant = 0, full = 0;
    double gain() const { return full - variant; }
  };
  // `prediction` is the n-gram gate's; `second` is looked at in the last stage only. `variant` in
  // [0, n_variants). Thread-safe. REQUIRES: hidden has n_hidden elements where it is looked at.
  Success predict(DraftStage stage, size_t variant, const Prediction& prediction,
                  const DraftSignals& signals, const SecondDraft& second = {}) const;

  std::span<const std::string> variants() const { return parts_.variants; }
  // -1: not one of them.
  int find_variant(std::string_view name) const;
  const Parts& parts() const { return parts_; }
  int32_t n_parameters() const;

 private:
  explicit DraftGate(Parts parts) : parts_(std::move(parts)) {}
  Parts parts_;
};

// x of a stage, without the 1 of the bias. `logits`: the n-gram gate's, of the variant and of the
// full model. [draft_features_count(stage, hidden.size())]
std::vector<float> draft_features(DraftStage stage, float variant_logit, float full_logit,
                                  const DraftSignals& signals, const SecondDraft& second);
size_t draft_features_count(DraftStage stage, size_t n_hidden);
// log(p / (1 - p)), p held away from 0 and 1.
float gate_logit(float probability);

// Who drafts before `chosen` in a cascade, of tiers with these chances of success, cheapest first
// and the full model last; `chosen` where no cheaper one is good enough.
// REQUIRES: chosen < success.size().
template <class Number>
size_t cascade_tier(std::span<const Number> success, size_t chosen, double allowance) {
  for (size_t tier = 0; tier < chosen; ++tier) {
    const double gain = static_cast<double>(success.back()) - static_cast<double>(success[tier]);
    if (gain <= allowance + kCascadeReach) return tier;
  }
  return chosen;
}

// Where a prompt ends up: the tier that answers, the last being the full model.
struct DraftPath {
  size_t tier = 0;
  bool drafted = false;  // a variant wrote an answer, kept or not
  bool asked_second = false;
};
// `predicted` [n_tiers]; `gains` [n_tiers - 1, kDraftStages]; `usual`: of usual_variant.
DraftPath draft_path(std::span<const float> predicted, std::span<const float> gains,
                     const Allowed& allowed, DraftUse use, size_t usual = 0);

// The usual one of a gate's variants (usual_tier). 0 without labels.
size_t usual_variant(const CalibrationTable& table);

// The promise of guarantee(), for the n-gram gate with the draft gate after it. REQUIRES: `gains`
// as Parts::gains, for the rows of `table`.
Guarantee draft_guarantee(const CalibrationTable& table, std::span<const float> gains,
                          DraftUse use, double retain, double confidence);

}  // namespace ac
