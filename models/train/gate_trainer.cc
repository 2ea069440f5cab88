#include "models/train/gate_trainer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "models/train/draft_trainer.h"

namespace ac {
namespace {

constexpr int kInnerFolds = 5;
// Strongest first, so that each fit starts from the one before.
constexpr std::array kPenalties = {8.0, 4.0, 2.0, 1.0, 0.5, 0.25};
constexpr size_t kMinTrain = 20, kMinCalibration = 10;
// Where a twentieth of the prompts learned from lie above it, a prompt is called novel.
constexpr double kNovelShare = 0.05;

// A digit of the hash that has nothing to do with the outer folds.
uint64_t inner_digit(uint64_t hash) { return hash >> 20; }
uint64_t calibration_digit(uint64_t hash) { return hash >> 40; }

GateHead fit_head(const GateExamples& examples, std::span<const uint32_t> which,
                  std::span<const float> earned) {
  std::array<std::vector<double>, kPenalties.size()> logits;  // out of fold, in the order of `seen`
  std::vector<float> labels;
  for (int fold = 0; fold < kInnerFolds; ++fold) {
    std::vector<uint32_t> train, rest;
    for (const uint32_t row : which) {
      const bool held_out = fold_of(inner_digit(examples.hashes[row]), kInnerFolds) == fold;
      (held_out ? rest : train).push_back(row);
    }
    LogisticModel model;
    for (size_t p = 0; p < kPenalties.size(); ++p) {
      model = fit_logistic(examples.features, train, earned, {.penalty = kPenalties[p]}, model);
      for (const uint32_t row : rest) logits[p].push_back(model.logit(examples.features, row));
    }
    for (const uint32_t row : rest) labels.push_back(earned[row]);
  }
  size_t best = 0;
  double least = INFINITY;
  for (size_t p = 0; p < kPenalties.size(); ++p) {
    double loss = 0;
    for (size_t i = 0; i < labels.size(); ++i) {
      loss += cross_entropy(logits[p][i], static_cast<double>(labels[i]));
    }
    if (loss < least) {
      least = loss;
      best = p;
    }
  }
  GateHead head;
  head.penalty = kPenalties[best];
  head.model = fit_logistic(examples.features, which, earned, {.penalty = head.penalty});
  const Calibration calibration = calibrate(logits[best], labels);
  for (double& weight : head.model.weights) weight *= calibration.scale;
  head.model.bias = head.model.bias * calibration.scale + calibration.shift;
  return head;
}

Status check_size(size_t n, size_t least, std::string_view what, const Labels& labels) {
  if (n >= least) return {};
  return fail(ErrorCode::kInvalidArgument,
              "{}: {} prompts to {} with a score for every tier, expected at least {}", labels.name,
              n, what, least);
}

NgramGate::Parts parts_of(std::span<const GateHead> heads, const GateTrainOptions& options) {
  NgramGate::Parts parts;
  const size_t n_tiers = heads.size();
  parts.weights.resize(kNgramBuckets * n_tiers);
  for (size_t t = 0; t < n_tiers; ++t) {
    parts.tiers.push_back(options.tiers[t].tier);
    parts.facts.models.push_back(models_of(options.tiers[t]));
    parts.bias.push_back(static_cast<float>(heads[t].model.bias));
    for (size_t b = 0; b < kNgramBuckets; ++b) {
      parts.weights[b * n_tiers + t] = static_cast<float>(heads[t].model.weights[b]);
    }
  }
  return parts;
}

// Marks what was learned from, and finds how novel prompts like it usually are: each is compared
// with those of the other inner folds.
void learn_novelty(const Labels& labels, const GateExamples& examples,
                   std::span<const uint32_t> train, NgramGate::Parts& parts) {
  NgramReader reader;
  std::vector<double> novelties;
  parts.seen.assign(kSeenBits / 32, 0);
  for (int fold = 0; fold < kInnerFolds; ++fold) {
    const auto held_out = [&](uint32_t row) {
      return fold_of(inner_digit(examples.hashes[row]), kInnerFolds) == fold;
    };
    std::vector<int32_t> seen(kSeenBits / 32, 0);
    for (const uint32_t row : train) {
      if (held_out(row)) continue;
      mark_seen(reader.read(labels.rows[examples.label_rows[row]].prompt), seen);
    }
    for (const uint32_t row : train) {
      if (!held_out(row)) continue;
      const NgramFeatures& features = reader.read(labels.rows[examples.label_rows[row]].prompt);
      novelties.push_back(share_unseen(features, seen));
    }
    for (size_t i = 0; i < seen.size(); ++i) parts.seen[i] |= seen[i];
  }
  std::sort(novelties.begin(), novelties.end());
  const auto at = static_cast<size_t>((1 - kNovelShare) * static_cast<double>(novelties.size()));
  parts.usual_novelty = static_cast<float>(novelties[std::min(at, novelties.size() - 1)]);
}

// None where a variant's labels have no signals. `table`: what the n-gram gate says of the
// calibration rows.
Result<std::optional<DraftGate>> draft_gate_of(const GateTrainOptions& options,
                                               const Labels& labels, const GateExamples& examples,
                                               std::span<const uint32_t> train,
                                               std::span<const uint32_t> calibration,
                                               const CalibrationTable& table) {
  const size_t n_tiers = options.tiers.size();
  for (size_t t = 0; t + 1 < n_tiers; ++t) {
    if (!has_signals(labels, examples, options.tiers[t])) return std::optional<DraftGate>();
  }
  AC_TRY(auto predicted, gate_out_of_fold(examples, train, kInnerFolds, options.cancel));
  for (size_t i = 0; i < calibration.size(); ++i) {
    for (size_t t = 0; t < n_tiers; ++t) {
      predicted[t][calibration[i]] = table.predicted[i * n_tiers + t];
    }
  }
  AC_TRY(DraftGate gate,
         train_draft_gate({.labels = labels,
                           .examples = examples,
                           .tiers = options.tiers,
                           .predicted = predicted},
                          train, calibration, options.cancel));
  return std::optional<DraftGate>(std::move(gate));
}

}  // namespace

Result<GateExamples> gate_examples(const Labels& labels, std::span<const TierSource> tiers) {
  AC_TRY(const std::vector<TierRow> rows, tier_rows(labels, tiers));
  GateExamples examples;
  examples.features.n_columns = kNgramBuckets;
  examples.earned.resize(tiers.size());
  NgramReader reader;
  for (const TierRow& row : rows) {
    const std::string& prompt = labels.rows[row.row].prompt;
    for (const NgramFeatures::Entry& entry : reader.read(prompt).entries) {
      examples.features.add(entry.bucket, entry.value);
    }
    examples.features.end_row();
    examples.hashes.push_back(prompt_hash(prompt));
    examples.label_rows.push_back(row.row);
    for (size_t t = 0; t < tiers.size(); ++t) examples.earned[t].push_back(row.scores[t]);
  }
  return examples;
}

std::vector<GateHead> fit_gate(const GateExamples& examples, std::span<const uint32_t> which) {
  std::vector<GateHead> heads;
  for (const std::vector<float>& earned : examples.earned) {
    heads.push_back(fit_head(examples, which, earned));
  }
  return heads;
}

std::vector<uint32_t> rows_of(const GateExamples& examples) {
  std::vector<uint32_t> rows(examples.size());
  std::iota(rows.begin(), rows.end(), 0u);
  return rows;
}

Result<std::vector<std::vector<float>>> gate_out_of_fold(const GateExamples& examples,
                                                         std::span<const uint32_t> which,
                                                         int n_folds, const CancelFlag* cancel) {
  std::vector<std::vector<float>> predicted(examples.earned.size(),
                                            std::vector<float>(examples.size()));
  for (int fold = 0; fold < n_folds; ++fold) {
    if (cancel != nullptr && cancel->raised()) {
      return fail(ErrorCode::kCancelled, "training was stopped in fold {}", fold + 1);
    }
    std::vector<uint32_t> train, test;
    for (const uint32_t row : which) {
      (fold_of(examples.hashes[row], n_folds) == fold ? test : train).push_back(row);
    }
    const std::vector<GateHead> heads = fit_gate(examples, train);
    for (size_t t = 0; t < heads.size(); ++t) {
      for (const uint32_t row : test) {
        predicted[t][row] = probability(heads[t].model.logit(examples.features, row));
      }
    }
  }
  return predicted;
}

Result<GateReport> train_gate(const GateTrainOptions& options, const Labels& labels) {
  AC_TRY(const GateExamples examples, gate_examples(labels, options.tiers));
  const std::vector<Split> splits = assign_splits(labels);
  std::vector<uint32_t> train, calibration;
  size_t n_test = 0;
  constexpr uint64_t kParts = 1000;
  const auto calibrating = static_cast<uint64_t>(options.calibration_share * kParts);
  for (uint32_t row = 0; row < examples.size(); ++row) {
    const Split split = splits[examples.label_rows[row]];
    if (split == Split::kUnused) continue;
    if (split == Split::kTest) {
      ++n_test;
      continue;
    }
    const bool calibrates = calibration_digit(examples.hashes[row]) % kParts < calibrating;
    (calibrates ? calibration : train).push_back(row);
  }
  AC_TRY_STATUS(check_size(train.size(), kMinTrain, "learn from", labels));
  AC_TRY_STATUS(check_size(calibration.size(), kMinCalibration, "calibrate with", labels));

  const std::vector<GateHead> heads = fit_gate(examples, train);
  if (options.cancel != nullptr && options.cancel->raised()) {
    return fail(ErrorCode::kCancelled, "training was stopped");
  }
  NgramGate::Parts parts = parts_of(heads, options);
  learn_novelty(labels, examples, train, parts);
  // By hash: an order that has nothing to do with the labels, as the test of a promise needs.
  std::sort(calibration.begin(), calibration.end(), [&](uint32_t a, uint32_t b) {
    return examples.hashes[a] != examples.hashes[b] ? examples.hashes[a] < examples.hashes[b]
                                                    : a < b;
  });
  parts.calibration.n_tiers = heads.size();
  for (const uint32_t row : calibration) {
    for (size_t t = 0; t < heads.size(); ++t) {
      parts.calibration.predicted.push_back(
          probability(heads[t].model.logit(examples.features, row)));
      parts.calibration.earned.push_back(examples.earned[t][row]);
    }
  }
  const Guarantee promised = guarantee(parts.calibration, options.retain, options.confidence);
  parts.facts.labels = labels.name;
  parts.facts.n_rows = static_cast<uint32_t>(train.size());
  parts.facts.target_retention = static_cast<float>(options.retain);
  parts.facts.target_gain = static_cast<float>(promised.allowance.value_or(-1));
  AC_TRY(std::optional<DraftGate> draft, draft_gate_of(options, labels, examples, train,
                                                       calibration, parts.calibration));
  Guarantee with_draft = promised, with_second = promised;
  if (draft) {
    const std::vector<float>& gains = draft->parts().gains;
    with_draft = draft_guarantee(parts.calibration, gains, {}, options.retain, options.confidence);
    with_second = draft_guarantee(parts.calibration, gains, {.second = true}, options.retain,
                                  options.confidence);
  }
  AC_TRY(NgramGate gate, NgramGate::create(std::move(parts)));
  return GateReport{.gate = std::move(gate),
                    .draft = std::move(draft),
                    .promised = promised,
                    .with_draft = with_draft,
                    .with_second = with_second,
                    .n_train = train.size(),
                    .n_calibration = calibration.size(),
                    .n_test = n_test};
}

}  // namespace ac
