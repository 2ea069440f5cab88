// Trains the predictor on labels: binary cross-entropy per tier with AdamW, a running average of
// the weights as it stood at the best validation epoch, then a scale and a shift per head fitted on
// the validation prompts.
//
// One thread, no clock, one seed: the same options and labels give the same bits on one build.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "models/predictor/predictor.h"
#include "models/train/evaluate.h"
#include "models/train/labels.h"
#include "runtime/core/cancel.h"
#include "runtime/core/result.h"

namespace ac {

// One point of the loss curve; losses are the mean cross-entropy of one head on one prompt, in
// nats.
struct EpochLoss {
  int epoch = 0;     // from 1
  double train = 0;  // under word dropout, while learning
  double validation = 0;
  float learning_rate = 0;
};

struct TrainOptions {
  std::vector<TierSource>
      tiers{};  // cheapest first, the last is the full model; empty: default_tiers
  uint32_t seed = 1;
  int n_epochs = 30;
  int patience = 8;  // epochs without a better validation loss before training ends
  int batch_rows = 32;
  float learning_rate = 2e-3f;  // peak
  float weight_decay = 0.1f;
  float clip_length = 1.0f;
  // Share of word pieces hidden from the network in each pass, so that it leans on no single one.
  float word_dropout = 0.3f;

  std::function<void(const EpochLoss&)> on_epoch{};
  const CancelFlag* cancel = nullptr;
};

struct TrainReport {
  Predictor predictor;
  std::vector<TierSource> tiers;
  std::vector<EpochLoss> curve;
  size_t n_train = 0, n_validation = 0, n_test = 0;
  size_t n_left_out = 0;  // copies of test prompts, and rows without a score for every tier
  Evaluation test;        // on prompts that neither training nor any choice has seen
};

// Errors: kInvalidArgument (options out of range, tiers that the labels do not have, fewer than 20
// training, 10 validation or 10 test prompts), kCancelled.
Result<TrainReport> train_predictor(const TrainOptions& options, const Labels& labels);

// What is predicted for every prompt by a training on the other folds alone (fold_of its hash), fold
// after fold. Errors: as train_predictor.
struct FoldedScores {
  ScoredRows scored;
  std::vector<size_t> label_rows;     // [n_rows], in Labels::rows
  std::vector<int> folds;             // [n_rows]
  std::vector<PredictorFacts> facts;  // [n_folds]
};
Result<FoldedScores> scores_out_of_fold(const TrainOptions& options, const Labels& labels,
                                        int n_folds);

// The same training n_folds times, each time tested on another part (by hash of the prompt), and
// the table over all rows: steadier than one small test split. Errors: as train_predictor.
Result<Evaluation> cross_validate(const TrainOptions& options, const Labels& labels, int n_folds);

}  // namespace ac
