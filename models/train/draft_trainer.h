// Trains the draft gate (models/predictor/draft_gate.h) on labels with signals: for every variant
// and stage two logistic regressions, of its own success and of the full model's, as the n-gram
// gate's are fitted.
//
// What the n-gram gate says of a prompt is itself one of the features; it has to come from a gate
// that had not learned from this prompt.
#pragma once

#include <span>
#include <vector>

#include "models/predictor/draft_gate.h"
#include "models/train/gate_trainer.h"
#include "models/train/labels.h"
#include "runtime/core/result.h"

namespace ac {

// Whether every row of `examples` has what this model showed.
bool has_signals(const Labels& labels, const GateExamples& examples, const TierSource& tier);

// The rows of `examples` as a stage of the draft gate sees them, with what the variant `tier` and
// the full model earned. `predicted` [n_tiers][n_rows]: the n-gram gate's. `second`: the model whose
// answer is compared with the variant's; nullptr: none, as if nothing agreed.
// Errors: kInvalidArgument (hidden states of different lengths, no answers to compare).
struct StageSource {
  const Labels& labels;
  const GateExamples& examples;
  std::span<const TierSource> tiers;
  std::span<const std::vector<float>> predicted;
};
Result<GateExamples> stage_examples(const StageSource& source, size_t tier, DraftStage stage,
                                    const TierSource* second);

// `train` and `calibration`: rows of the examples. Errors: as stage_examples; kCancelled.
Result<DraftGate> train_draft_gate(const StageSource& source, std::span<const uint32_t> train,
                                   std::span<const uint32_t> calibration,
                                   const CancelFlag* cancel);

}  // namespace ac
