// Trains the n-gram gate on labels: a logistic regression per tier, its penalty chosen and its
// probabilities calibrated on predictions for prompts that the weights had not seen.
//
// One thread, no clock, no chance: the same labels give the same bits.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "models/predictor/draft_gate.h"
#include "models/predictor/ngram_gate.h"
#include "models/train/evaluate.h"
#include "models/train/labels.h"
#include "models/train/logistic.h"
#include "runtime/core/cancel.h"
#include "runtime/core/result.h"

namespace ac {

// Prompts as the gate reads them, with what each tier earned.
struct GateExamples {
  SparseRows features;
  std::vector<std::vector<float>> earned;  // [n_tiers][n_rows]
  std::vector<uint64_t> hashes;            // [n_rows], of the prompts: copies share a fold
  std::vector<size_t> label_rows;          // [n_rows], in Labels::rows
  size_t size() const { return features.size(); }
};
// Rows with a score for every tier. Errors: as tier_rows.
Result<GateExamples> gate_examples(const Labels& labels, std::span<const TierSource> tiers);

struct GateHead {
  LogisticModel model;  // calibrated: sigmoid(logit) is a probability
  double penalty = 0;
};
// One head per tier, from the rows `which` alone.
std::vector<GateHead> fit_gate(const GateExamples& examples, std::span<const uint32_t> which);

struct GateTrainOptions {
  std::vector<TierSource> tiers{};  // cheapest first, the last is the full model
  double retain = kTargetRetention;
  double confidence = 0.9;
  // Share of the rows outside the test split that only calibrate: the guarantee is worth what they
  // are, and the weights must not have seen them.
  double calibration_share = 0.25;
  const CancelFlag* cancel = nullptr;
};

struct GateReport {
  NgramGate gate;
  std::optional<DraftGate> draft{};  // where every variant's labels have signals
  Guarantee promised;  // from the calibration rows, for options.retain and options.confidence
  // The same with the draft gate, without and with second drafts; as `promised` where there is none.
  Guarantee with_draft, with_second;
  size_t n_train = 0, n_calibration = 0, n_test = 0;
};

// Rows of the test split (assign_splits) are left alone. Errors: kInvalidArgument (tiers that the
// labels do not have, fewer than 20 rows to learn from or 10 to calibrate with), kCancelled.
Result<GateReport> train_gate(const GateTrainOptions& options, const Labels& labels);

// What the gate predicts for each of `which` rows when it learned from those of the other folds
// alone; 0 for the rest. Errors: kCancelled. [n_tiers][n_rows] of GateExamples.
Result<std::vector<std::vector<float>>> gate_out_of_fold(const GateExamples& examples,
                                                         std::span<const uint32_t> which,
                                                         int n_folds, const CancelFlag* cancel);
// All rows.
std::vector<uint32_t> rows_of(const GateExamples& examples);

}  // namespace ac
