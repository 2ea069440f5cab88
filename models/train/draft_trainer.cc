#include "models/train/draft_trainer.h"

#include <cmath>

#include "models/predictor/compare_text.h"

namespace ac {
namespace {

// Who answers after a variant: its dearer neighbour, and for the dearest the one before it.
size_t second_of(size_t tier, size_t n_variants) {
  return tier + 1 < n_variants ? tier + 1 : tier - 1;
}

// The labels have one set of signals for each model.
Result<size_t> column_of_tier(const Labels& labels, const TierSource& tier) {
  if (tier.models.size() == 1) return model_column(labels, tier.models[0]);
  return fail(ErrorCode::kInvalidArgument, "tier '{}': {} models, expected one to judge drafts of",
              tier.tier, tier.models.size());
}

SecondDraft compared(const LabelRow& row, size_t first, size_t second) {
  return {.same = same_lines(row.answers[first], row.answers[second]),
          .overlap = static_cast<float>(word_overlap(row.answers[first], row.answers[second]))};
}

void append_head(const GateHead& head, size_t n_features, std::vector<float>& out) {
  for (size_t i = 0; i < n_features; ++i) out.push_back(static_cast<float>(head.model.weights[i]));
  out.push_back(static_cast<float>(head.model.bias));
}

}  // namespace

bool has_signals(const Labels& labels, const GateExamples& examples, const TierSource& tier) {
  const auto column = column_of_tier(labels, tier);
  if (!column) return false;
  for (const size_t r : examples.label_rows) {
    const auto& signals = labels.rows[r].signals;
    if (signals.empty() || !signals[*column]) return false;
  }
  return true;
}

Result<GateExamples> stage_examples(const StageSource& source, size_t tier, DraftStage stage,
                                    const TierSource* second) {
  const Labels& labels = source.labels;
  AC_TRY(const size_t column, column_of_tier(labels, source.tiers[tier]));
  size_t other = column;
  if (second != nullptr) {
    AC_TRY(other, column_of_tier(labels, *second));
  }
  const size_t full = source.tiers.size() - 1;
  GateExamples examples{.features = {},
                        .earned = {source.examples.earned[tier], source.examples.earned[full]},
                        .hashes = source.examples.hashes,
                        .label_rows = source.examples.label_rows};
  for (size_t i = 0; i < source.examples.size(); ++i) {
    const size_t r = source.examples.label_rows[i];
    const LabelRow& row = labels.rows[r];
    if (other != column && row.answers.empty()) {
      return fail(ErrorCode::kInvalidArgument, "{}: no 'answers' to compare, in row {}",
                  labels.name, r + 1);
    }
    const std::vector<float> x = draft_features(
        stage, gate_logit(source.predicted[tier][i]), gate_logit(source.predicted[full][i]),
        *row.signals[column], other != column ? compared(row, column, other) : SecondDraft{});
    if (i == 0) examples.features.n_columns = x.size();
    if (x.size() != examples.features.n_columns) {
      return fail(ErrorCode::kInvalidArgument,
                  "{}: row {} has a hidden state of another length than row {}", labels.name,
                  r + 1, source.examples.label_rows[0] + 1);
    }
    for (size_t k = 0; k < x.size(); ++k) {
      examples.features.add(static_cast<uint16_t>(k), x[k]);
    }
    examples.features.end_row();
  }
  return examples;
}

Result<DraftGate> train_draft_gate(const StageSource& source, std::span<const uint32_t> train,
                                   std::span<const uint32_t> calibration,
                                   const CancelFlag* cancel) {
  const size_t n_variants = source.tiers.size() - 1;
  DraftGate::Parts parts;
  parts.stages.resize(kDraftStages);
  parts.gains.resize(calibration.size() * n_variants * kDraftStages);
  for (size_t tier = 0; tier < n_variants; ++tier) {
    const TierSource* second = n_variants > 1 ? &source.tiers[second_of(tier, n_variants)] : nullptr;
    parts.variants.push_back(source.tiers[tier].tier);
    parts.seconds.push_back(second != nullptr ? second->tier : parts.variants.back());
    for (size_t s = 0; s < kDraftStages; ++s) {
      if (cancel != nullptr && cancel->raised()) {
        return fail(ErrorCode::kCancelled, "training was stopped");
      }
      const auto stage = static_cast<DraftStage>(s);
      AC_TRY(const GateExamples examples, stage_examples(source, tier, stage, second));
      const size_t n_features = examples.features.n_columns;
      parts.n_hidden = static_cast<int32_t>(n_features - draft_features_count(stage, 0));
      const std::vector<GateHead> heads = fit_gate(examples, train);
      append_head(heads[0], n_features, parts.stages[s].variant);
      append_head(heads[1], n_features, parts.stages[s].full);
      for (size_t i = 0; i < calibration.size(); ++i) {
        const float own = probability(heads[0].model.logit(examples.features, calibration[i]));
        const float full = probability(heads[1].model.logit(examples.features, calibration[i]));
        parts.gains[(i * n_variants + tier) * kDraftStages + s] = full - own;
      }
    }
  }
  return DraftGate::create(std::move(parts));
}

}  // namespace ac
