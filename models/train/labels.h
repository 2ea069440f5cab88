// Labels: prompts with the scores that several models earned on them. JSON Lines, an object each:
//
//   {"prompt": text, "scores": {model: number, ...}, "answers": {model: text, ...},
//    "signals": {model: what it showed (label_signals.h), ...},
//    "task": text, "split": "train" | "validation" | "test", "options": [text, ...]}
//
// All but the first two are optional; unknown keys are ignored. A score is a share of success in [0, 1];
// metrics corrected for chance go a little below zero, so -1..0 is read as 0. A model missing from
// a row, or null, has no score there. Options (of a multiple-choice question) are appended to the
// prompt, since the model was shown them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/draft_signals.h"
#include "runtime/core/result.h"

namespace ac {

enum class Split { kTrain, kValidation, kTest, kUnused };

struct LabelRow {
  std::string prompt;
  std::string task;  // empty when the file names none
  bool has_split = false;
  Split split = Split::kTrain;  // as the file says; see assign_splits
  std::vector<float> scores;    // [n_models]; NaN where the model has no score
  // What each model answered, to compare; empty where the file does not say. [n_models] or []
  std::vector<std::string> answers{};
  // What each model showed of its answer; as answers. [n_models] or []
  std::vector<std::optional<DraftSignals>> signals{};
};

struct Labels {
  std::string name;                 // file name without its folder
  std::vector<std::string> models;  // in alphabetical order
  std::vector<LabelRow> rows;
};

// Called now and then with bytes read and all bytes.
using LabelsProgress = std::function<void(uint64_t done, uint64_t total)>;

// Errors: kCorruptFile naming line and field; kInvalidArgument above 1 GiB, a million rows or 256
// models; kNotFound, kIo.
Result<Labels> read_labels(const std::string& path, const LabelsProgress& progress = {});
Result<Labels> parse_labels(std::string_view text, std::string name,
                            const LabelsProgress& progress = {});

// Which models stand for a tier; of several the mean score is taken.
struct TierSource {
  std::string tier;
  std::vector<std::string> models;
};
// "small=llama-8b" or "small=llama-8b+gemma-9b". Errors: kInvalidArgument.
Result<TierSource> parse_tier_source(std::string_view text);
// "llama-8b+gemma-9b"
std::string models_of(const TierSource& tier);

// A cheap and a dear model for labels that we know (the table is in labels.cc, with the reasons);
// two columns alone are ordered by their mean. Tiers are named "small" and "full". Errors:
// kInvalidArgument listing each model with its mean score, to choose from.
Result<std::vector<TierSource>> default_tiers(const Labels& labels);

// Errors: kInvalidArgument naming the models that the labels have.
Result<size_t> model_column(const Labels& labels, std::string_view model);

// The mean score of each model over the rows that have one. [n_models]
std::vector<double> mean_scores(const Labels& labels);

// Rows as the trainer and the evaluation see them: those that have a score for every tier.
struct TierRow {
  size_t row = 0;  // in Labels::rows
  Split split = Split::kTrain;
  std::vector<float> scores;  // [n_tiers]
};
// Errors: kInvalidArgument (a model that the labels do not have, naming those they do).
Result<std::vector<TierRow>> tier_rows(const Labels& labels, std::span<const TierSource> tiers);

// The split of every row; the same prompt never lies on two sides. [n_rows]
//   labels with splits: as the file says, but a copy of a test prompt outside the test split is
//                       unused; without a validation split, a tenth of train by hash of the prompt
//   labels without:     by hash of the prompt: 20 % test, 10 % validation, 70 % train
std::vector<Split> assign_splits(const Labels& labels);
// FNV-1a of the prompt, mixed; the same on every machine.
uint64_t prompt_hash(std::string_view prompt);
// The fold of a prompt with this hash: copies of it share one.
inline int fold_of(uint64_t hash, int n_folds) {
  return static_cast<int>(hash % static_cast<uint64_t>(n_folds));
}

}  // namespace ac
