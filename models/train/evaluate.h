// The honest table of a predictor on labels: every figure beside those of the router that tosses a
// coin and of the one that knows the outcome.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/predictor/predictor.h"
#include "models/train/labels.h"
#include "models/train/routing_metrics.h"
#include "runtime/core/json.h"

namespace ac {

// One head against what its tier earned.
struct TierQuality {
  std::string tier;
  std::string models;  // "a" or "a+b"
  double mean_score = 0;
  double mean_predicted = 0;
  double auc = 0;
  double calibration_error = 0;
  double brier = 0;
};

// One tier below the full model, as the weak one of the pair (tier, full model).
struct PairQuality {
  std::string tier;
  double apgr = 0;       // ranked by the tier's predicted success
  double gain_apgr = 0;  // ranked by its gain: predicted success minus the full model's
  Interval apgr_interval;
  double cut = 0;  // at the target retention, threshold chosen on these very rows
  double gain_cut = 0;
  Interval cut_interval;
  double random_cut = 0;
  double oracle_cut = 0;
  // At the thresholds that training chose on the validation prompts; for the cheapest tier alone.
  std::optional<Kept> chosen_before;
  std::optional<Kept> gain_chosen_before;
};

struct Evaluation {
  std::string labels;
  std::string rows;  // "test", "all", "5 folds"
  size_t n_rows = 0;
  double target_retention = 0;
  double rule_threshold = 0;  // the policy's
  Kept rule;                  // the policy itself: the cheapest tier at or above rule_threshold
  std::vector<TierQuality> tiers;
  std::vector<PairQuality> pairs;
};

// The paper's figures to stand beside: 96.2 % of the full model's success, confidence 0.7.
inline constexpr double kTargetRetention = 0.962;
inline constexpr double kRuleThreshold = 0.7;

// What the heads said and what the tiers earned, column by column.
struct ScoredRows {
  std::vector<std::vector<float>> predicted;  // [n_tiers][n_rows]
  std::vector<std::vector<float>> earned;     // [n_tiers][n_rows]
};
// `facts` holds the thresholds that training chose.
Evaluation evaluate_scores(const ScoredRows& scored, std::span<const TierSource> tiers,
                           const PredictorFacts& facts);

enum class EvaluatedRows {
  kTest,  // the test split of assign_splits
  kAll,
  kAuto,  // test where the predictor was trained on a file of this name, otherwise all
};
// `tiers` may be empty: then the models that the predictor learned from, or default_tiers.
// Errors: kInvalidArgument (tiers that do not match the predictor's heads, models that the labels
// do not have, no rows).
Result<Evaluation> evaluate_predictor(const Predictor& predictor, const Labels& labels,
                                      std::vector<TierSource> tiers, EvaluatedRows which);

// The table as lines of text, and as one JSON object.
std::vector<std::string> evaluation_lines(const Evaluation& evaluation);
OrderedJson evaluation_to_json(const Evaluation& evaluation);

}  // namespace ac
