// Inference, and the draft gate's part of the predictor's file: F32 tensors named draft.* and the
// keys agentcompress.draft.*.
#include "models/predictor/draft_gate.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "models/predictor/facts.h"
#include "models/predictor/gate_tensors.h"
#include "runtime/core/check.h"

namespace ac {
namespace {

using predictor::check_count, predictor::check_values;
using predictor::read_matrix, predictor::write_matrix;

constexpr uint32_t kVersion = 1;
constexpr uint64_t kMaxHidden = 1u << 16;
constexpr size_t kPromptFeatures = 4, kAnswerFeatures = 9, kSecondFeatures = 2;
// Success far from 0 and 1 is all that a few hundred labels can tell.
constexpr float kLeastProbability = 1e-4f;

constexpr const char* kKeyVersion = "agentcompress.draft.version";
constexpr const char* kKeySeconds = "agentcompress.draft.seconds";
constexpr const char* kKeyHidden = "agentcompress.draft.hidden";
constexpr const char* kGains = "draft.calibration.gains";

struct StageNames {
  const char* variant;
  const char* full;
};
constexpr StageNames kStageNames[kDraftStages] = {
    {"draft.probe.variant", "draft.probe.full"},
    {"draft.answer.variant", "draft.answer.full"},
    {"draft.second.variant", "draft.second.full"},
};

size_t head_size(int stage, int32_t n_hidden) {
  return draft_features_count(static_cast<DraftStage>(stage), static_cast<size_t>(n_hidden)) + 1;
}

Status check_parts(const DraftGate::Parts& parts) {
  const size_t n_variants = parts.variants.size();
  if (n_variants == 0 || n_variants >= kPredictorMaxTiers) {
    return fail(ErrorCode::kInvalidArgument, "draft gate: {} variants, expected 1 to {}",
                n_variants, kPredictorMaxTiers - 1);
  }
  AC_TRY_STATUS(check_count(parts.seconds.size(), n_variants, kKeySeconds));
  AC_TRY_STATUS(check_count(parts.stages.size(), kDraftStages, "stages of the draft gate"));
  for (int stage = 0; stage < kDraftStages; ++stage) {
    const auto& heads = parts.stages[static_cast<size_t>(stage)];
    const size_t n = n_variants * head_size(stage, parts.n_hidden);
    const StageNames& names = kStageNames[stage];
    AC_TRY_STATUS(check_count(heads.variant.size(), n, names.variant));
    AC_TRY_STATUS(check_count(heads.full.size(), n, names.full));
    for (const auto& [values, name] : {std::pair(&heads.variant, names.variant),
                                       std::pair(&heads.full, names.full)}) {
      AC_TRY_STATUS(check_values(*values, -predictor::kMaxWeight, predictor::kMaxWeight, name));
    }
  }
  AC_TRY_STATUS(check_count(parts.gains.size() % (n_variants * kDraftStages), 0, kGains));
  return check_values(parts.gains, -1, 1, kGains);
}

double probability(double logit) { return 1 / (1 + std::exp(-logit)); }

double head_logit(std::span<const float> head, std::span<const float> features) {
  auto logit = static_cast<double>(head.back());
  for (size_t i = 0; i < features.size(); ++i) {
    logit += static_cast<double>(head[i]) * static_cast<double>(features[i]);
  }
  return logit;
}

// Log-probabilities of good answers differ by orders of magnitude.
float log_of_loss(float logprob) { return std::log(std::max(0.0f, -logprob) + 1e-4f); }

Result<DraftGate::Parts> read_parts(const Checkpoint& checkpoint, const NgramGate& gate) {
  DraftGate::Parts parts;
  const auto tiers = gate.tiers();
  parts.variants.assign(tiers.begin(), tiers.end() - 1);
  AC_TRY(parts.seconds, predictor::read_names(checkpoint, kKeySeconds));
  AC_TRY(const uint64_t n_hidden, checkpoint.get_uint(kKeyHidden, 0, kMaxHidden));
  parts.n_hidden = static_cast<int32_t>(n_hidden);
  const auto n_variants = static_cast<int64_t>(parts.variants.size());
  for (int stage = 0; stage < kDraftStages; ++stage) {
    const auto n = static_cast<int64_t>(head_size(stage, parts.n_hidden));
    DraftGate::Stage heads;
    AC_TRY(heads.variant, read_matrix(checkpoint, kStageNames[stage].variant, n_variants, n));
    AC_TRY(heads.full, read_matrix(checkpoint, kStageNames[stage].full, n_variants, n));
    parts.stages.push_back(std::move(heads));
  }
  const size_t n_rows = gate.parts().calibration.n_rows();
  if (n_rows == 0) return parts;
  AC_TRY(parts.gains, read_matrix(checkpoint, kGains, static_cast<int64_t>(n_rows),
                                  n_variants * kDraftStages));
  return parts;
}

}  // namespace

float gate_logit(float probability) {
  const float inside = std::clamp(probability, kLeastProbability, 1 - kLeastProbability);
  return std::log(inside / (1 - inside));
}

size_t draft_features_count(DraftStage stage, size_t n_hidden) {
  size_t n = kPromptFeatures + n_hidden;
  if (stage != DraftStage::kProbe) n += kAnswerFeatures;
  if (stage == DraftStage::kSecond) n += kSecondFeatures;
  return n;
}

std::vector<float> draft_features(DraftStage stage, float variant_logit, float full_logit,
                                  const DraftSignals& signals, const SecondDraft& second) {
  constexpr float kMostMargin = 10;
  std::vector<float> x;
  x.reserve(draft_features_count(stage, signals.hidden.size()));
  x.insert(x.end(), {variant_logit, full_logit, std::log(std::max(0.0f, signals.entropy) + 1e-4f),
                     std::clamp(signals.margin, 0.0f, kMostMargin)});
  if (stage != DraftStage::kProbe) {
    x.insert(x.end(),
             {log_of_loss(signals.mean_logprob), log_of_loss(signals.low_logprob),
              log_of_loss(signals.least_logprob),
              std::log1p(static_cast<float>(std::max(0, signals.n_tokens))),
              signals.n_ungrounded == 1 ? 1.0f : 0.0f, signals.n_ungrounded > 1 ? 1.0f : 0.0f,
              signals.n_wrong_sums > 0 ? 1.0f : 0.0f, signals.repeats ? 1.0f : 0.0f,
              signals.cut_off ? 1.0f : 0.0f});
  }
  if (stage == DraftStage::kSecond) {
    x.insert(x.end(), {second.same ? 1.0f : 0.0f, std::clamp(second.overlap, 0.0f, 1.0f)});
  }
  // The direction alone: lengths of hidden states say more of the model than of the prompt.
  double length = 0;
  for (const float value : signals.hidden) {
    length += static_cast<double>(value) * static_cast<double>(value);
  }
  const auto scale = static_cast<float>(length > 0 ? 1 / std::sqrt(length) : 0);
  for (const float value : signals.hidden) x.push_back(value * scale);
  AC_CHECK(x.size() == draft_features_count(stage, signals.hidden.size()));
  return x;
}

Result<DraftGate> DraftGate::create(Parts parts) {
  AC_TRY_STATUS(check_parts(parts));
  return DraftGate(std::move(parts));
}

Result<DraftGate> DraftGate::from_checkpoint(const Checkpoint& checkpoint, const NgramGate& gate) {
  const auto corrupt = [&checkpoint](const Error& error) {
    return Error{ErrorCode::kCorruptFile,
                 fmt::format("{}: draft gate: {}", checkpoint.origin, error.message)};
  };
  if (!checkpoint.has(kKeyVersion)) {
    return fail(ErrorCode::kNotFound, "{}: has no draft gate", checkpoint.origin);
  }
  const auto version = checkpoint.get_uint(kKeyVersion, 1, UINT32_MAX);
  if (!version) return corrupt(version.error());
  if (*version > kVersion) {
    return fail(ErrorCode::kUnsupported, "{}: draft gate of version {}, expected at most {}",
                checkpoint.origin, *version, kVersion);
  }
  Result<Parts> parts = read_parts(checkpoint, gate);
  if (!parts) return corrupt(parts.error());
  Result<DraftGate> made = create(std::move(*parts));
  if (!made) return corrupt(made.error());
  return made;
}

Status DraftGate::add_to(Checkpoint& checkpoint) const {
  checkpoint.set_uint(kKeyVersion, kVersion);
  checkpoint.set_strings(kKeySeconds, parts_.seconds);
  checkpoint.set_uint(kKeyHidden, static_cast<uint32_t>(parts_.n_hidden));
  for (int stage = 0; stage < kDraftStages; ++stage) {
    const auto n = static_cast<int64_t>(head_size(stage, parts_.n_hidden));
    const Stage& heads = parts_.stages[static_cast<size_t>(stage)];
    AC_TRY_STATUS(write_matrix(checkpoint, kStageNames[stage].variant, heads.variant, n));
    AC_TRY_STATUS(write_matrix(checkpoint, kStageNames[stage].full, heads.full, n));
  }
  if (parts_.gains.empty()) return {};
  return write_matrix(checkpoint, kGains, parts_.gains,
                      static_cast<int64_t>(parts_.variants.size()) * kDraftStages);
}

DraftGate::Success DraftGate::predict(DraftStage stage, size_t variant,
                                      const Prediction& prediction, const DraftSignals& signals,
                                      const SecondDraft& second) const {
  AC_CHECK(variant < parts_.variants.size());
  const bool reads_hidden = parts_.n_hidden > 0;
  AC_CHECK(!reads_hidden || signals.hidden.size() == static_cast<size_t>(parts_.n_hidden));
  DraftSignals shown = signals;
  if (!reads_hidden) shown.hidden.clear();
  const std::vector<float> x =
      draft_features(stage, gate_logit(prediction.success[variant]),
                     gate_logit(prediction.success.back()), shown, second);
  const Stage& heads = parts_.stages[static_cast<size_t>(stage)];
  const size_t n = x.size() + 1;
  return {.variant = probability(head_logit(std::span(heads.variant).subspan(variant * n, n), x)),
          .full = probability(head_logit(std::span(heads.full).subspan(variant * n, n), x))};
}

int DraftGate::find_variant(std::string_view name) const {
  const auto found = std::find(parts_.variants.begin(), parts_.variants.end(), name);
  return found == parts_.variants.end() ? -1 : static_cast<int>(found - parts_.variants.begin());
}

int32_t DraftGate::n_parameters() const {
  size_t n = 0;
  for (const Stage& heads : parts_.stages) n += heads.variant.size() + heads.full.size();
  return static_cast<int32_t>(n);
}

DraftPath draft_path(std::span<const float> predicted, std::span<const float> gains,
                     const Allowed& allowed, DraftUse use, size_t usual) {
  const double allowance = allowed.allowance;
  const size_t full = predicted.size() - 1;
  DraftPath path{.tier =
                     usual + accepted_tier(predicted.subspan(usual), allowance + kDraftReach)};
  if (path.tier == full) return path;
  const auto gain_of = [&](size_t tier, DraftStage stage) {
    return static_cast<double>(gains[tier * kDraftStages + static_cast<size_t>(stage)]);
  };
  if (use.cascade && allowed.cascade) {
    const size_t first = cascade_tier(predicted, path.tier, *allowed.cascade);
    if (first < path.tier && (!use.probe || gain_of(first, DraftStage::kProbe) <=
                                                *allowed.cascade + kCascadeReach)) {
      path.drafted = true;
      if (gain_of(first, DraftStage::kDraft) <= *allowed.cascade) {
        return {.tier = first, .drafted = true};
      }
    }
  }
  const auto gain = [&](DraftStage stage) { return gain_of(path.tier, stage); };
  if (use.probe && gain(DraftStage::kProbe) > allowance + kDraftReach) {
    return {.tier = full, .drafted = path.drafted};
  }
  path.drafted = true;
  if (gain(DraftStage::kDraft) <= allowance) return path;
  path.asked_second = use.second;
  if (use.second && gain(DraftStage::kSecond) <= allowance) return path;
  path.tier = full;
  return path;
}

size_t usual_variant(const CalibrationTable& table) {
  if (table.n_tiers < 2) return 0;
  std::vector<size_t> tiers(table.n_tiers - 1);
  std::iota(tiers.begin(), tiers.end(), size_t{0});
  return usual_tier(table, tiers);
}

Guarantee draft_guarantee(const CalibrationTable& table, std::span<const float> gains,
                          DraftUse use, double retain, double confidence) {
  const size_t n_tiers = table.n_tiers;
  const size_t n_gains = (n_tiers - 1) * kDraftStages;
  AC_CHECK(gains.size() == table.n_rows() * n_gains);
  const size_t usual = usual_variant(table);
  return guarantee_of_rule(
      table.n_rows(), retain, confidence, tried_settings(use.cascade),
      [&](size_t row, const Allowed& allowed) -> RuleOutcome {
        const DraftPath path =
            draft_path(std::span(table.predicted).subspan(row * n_tiers, n_tiers),
                       gains.subspan(row * n_gains, n_gains), allowed, use, usual);
        return table.outcome(row, path.tier);
      });
}

}  // namespace ac
