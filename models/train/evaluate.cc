#include "models/train/evaluate.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace ac {
namespace {

constexpr int kResamples = 400;
constexpr uint64_t kBootstrapSeed = 1;

// A share as per cent; "n/a" where there is none.
std::string percent(double value) {
  return std::isnan(value) ? "n/a" : fmt::format("{:.1f}%", 100 * value);
}
std::string decimal(double value) {
  return std::isnan(value) ? "n/a" : fmt::format("{:.3f}", value);
}

PairQuality pair_quality(const ScoredRows& scored, size_t tier, std::string name,
                         const PredictorFacts& facts) {
  const std::vector<float>& weak = scored.predicted[tier];
  const std::vector<float>& full = scored.predicted.back();
  const Outcome outcome{scored.earned[tier], scored.earned.back()};
  std::vector<float> gain(weak.size());
  for (size_t i = 0; i < gain.size(); ++i) gain[i] = weak[i] - full[i];

  PairQuality pair;
  pair.tier = std::move(name);
  pair.apgr = apgr(weak, outcome);
  pair.gain_apgr = apgr(gain, outcome);
  pair.cut = largest_cut(weak, outcome, kTargetRetention).cut;
  pair.gain_cut = largest_cut(gain, outcome, kTargetRetention).cut;
  const BootstrapIntervals intervals =
      bootstrap_intervals(weak, outcome, kTargetRetention, kResamples, kBootstrapSeed);
  pair.apgr_interval = intervals.apgr;
  pair.cut_interval = intervals.cut;
  pair.random_cut = random_cut(outcome, kTargetRetention);
  pair.oracle_cut = oracle_cut(outcome, kTargetRetention);
  if (tier == 0 && facts.target_retention > 0) {
    pair.chosen_before = keep_at(weak, outcome, static_cast<double>(facts.target_threshold));
    pair.gain_chosen_before = keep_at(gain, outcome, static_cast<double>(facts.target_gain));
  }
  return pair;
}

// The cheapest tier below the full model whose predicted success reaches the threshold.
Kept policy_rule(const ScoredRows& scored, double threshold) {
  const size_t n_tiers = scored.predicted.size();
  const size_t n_rows = scored.predicted[0].size();
  double earned = 0, full = 0;
  size_t n_kept = 0;
  for (size_t i = 0; i < n_rows; ++i) {
    size_t tier = 0;
    while (tier + 1 < n_tiers && static_cast<double>(scored.predicted[tier][i]) < threshold) ++tier;
    earned += static_cast<double>(scored.earned[tier][i]);
    full += static_cast<double>(scored.earned.back()[i]);
    if (tier + 1 < n_tiers) ++n_kept;
  }
  Kept kept;
  kept.threshold = threshold;
  kept.cut = n_rows == 0 ? 0 : static_cast<double>(n_kept) / static_cast<double>(n_rows);
  kept.retained = full > 0 ? earned / full : 1;
  return kept;
}

Result<std::vector<TierSource>> tiers_of(const Predictor& predictor, const Labels& labels,
                                         std::vector<TierSource> tiers) {
  const std::vector<std::string>& learned = predictor.facts().models;
  if (tiers.empty() && labels.name == predictor.facts().labels && !learned.empty()) {
    for (size_t i = 0; i < learned.size(); ++i) {
      AC_TRY(auto source, parse_tier_source(predictor.tiers()[i] + "=" + learned[i]));
      tiers.push_back(std::move(source));
    }
  }
  if (tiers.empty()) {
    AC_TRY(tiers, default_tiers(labels));
  }
  if (tiers.size() != predictor.tiers().size()) {
    return fail(ErrorCode::kInvalidArgument,
                "{} tiers of labels for a predictor of {} ({}); choose with --tier", tiers.size(),
                predictor.tiers().size(), fmt::join(predictor.tiers(), ", "));
  }
  return tiers;
}

OrderedJson number(double value) {
  return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
}

OrderedJson kept_to_json(const Kept& kept) {
  return {{"threshold", number(kept.threshold)},
          {"cut", number(kept.cut)},
          {"retained", number(kept.retained)}};
}

OrderedJson interval_to_json(const Interval& interval) {
  return OrderedJson::array({number(interval.low), number(interval.high)});
}

}  // namespace

Evaluation evaluate_scores(const ScoredRows& scored, std::span<const TierSource> tiers,
                           const PredictorFacts& facts) {
  AC_CHECK(scored.predicted.size() == tiers.size() && scored.earned.size() == tiers.size());
  Evaluation evaluation;
  evaluation.n_rows = scored.predicted[0].size();
  evaluation.target_retention = kTargetRetention;
  evaluation.rule_threshold = kRuleThreshold;
  evaluation.rule = policy_rule(scored, kRuleThreshold);
  for (size_t t = 0; t < tiers.size(); ++t) {
    const std::vector<float>& predicted = scored.predicted[t];
    const std::vector<float>& earned = scored.earned[t];
    TierQuality quality;
    quality.tier = tiers[t].tier;
    quality.models = models_of(tiers[t]);
    quality.mean_score = mean_of(earned);
    quality.mean_predicted = mean_of(predicted);
    quality.auc = area_under_roc(predicted, earned);
    quality.calibration_error = calibration_error(predicted, earned);
    quality.brier = brier_score(predicted, earned);
    evaluation.tiers.push_back(std::move(quality));
    if (t + 1 < tiers.size()) {
      evaluation.pairs.push_back(pair_quality(scored, t, tiers[t].tier, facts));
    }
  }
  return evaluation;
}

Result<Evaluation> evaluate_predictor(const Predictor& predictor, const Labels& labels,
                                      std::vector<TierSource> tiers, EvaluatedRows which) {
  AC_TRY(const std::vector<TierSource> sources, tiers_of(predictor, labels, std::move(tiers)));
  AC_TRY(const std::vector<TierRow> rows, tier_rows(labels, sources));
  const bool only_test = which == EvaluatedRows::kTest ||
                         (which == EvaluatedRows::kAuto && labels.name == predictor.facts().labels);
  ScoredRows scored;
  scored.predicted.resize(sources.size());
  scored.earned.resize(sources.size());
  for (const TierRow& row : rows) {
    if (only_test && row.split != Split::kTest) continue;
    const Prediction prediction = predictor.predict(prompt_features(labels.rows[row.row].prompt));
    for (size_t t = 0; t < sources.size(); ++t) {
      scored.predicted[t].push_back(prediction.success[t]);
      scored.earned[t].push_back(row.scores[t]);
    }
  }
  if (scored.predicted[0].empty()) {
    return fail(ErrorCode::kInvalidArgument, "{}: no {} prompts with a score for every tier",
                labels.name, only_test ? "test" : "labelled");
  }
  Evaluation evaluation = evaluate_scores(scored, sources, predictor.facts());
  evaluation.labels = labels.name;
  evaluation.rows = only_test ? "test" : "all";
  return evaluation;
}

std::vector<std::string> evaluation_lines(const Evaluation& evaluation) {
  std::vector<std::string> lines;
  lines.push_back(
      fmt::format("{}, {} rows: {}", evaluation.labels, evaluation.rows, evaluation.n_rows));
  lines.push_back(fmt::format("{:<8} {:>7} {:>9} {:>6} {:>6} {:>6}  {}", "tier", "success",
                              "predicted", "AUC", "ECE", "Brier", "labels of"));
  for (const TierQuality& tier : evaluation.tiers) {
    lines.push_back(fmt::format("{:<8} {:>7} {:>9} {:>6} {:>6} {:>6}  {}", tier.tier,
                                percent(tier.mean_score), percent(tier.mean_predicted),
                                decimal(tier.auc), decimal(tier.calibration_error),
                                decimal(tier.brier), tier.models));
  }
  const std::string target = percent(evaluation.target_retention);
  for (const PairQuality& pair : evaluation.pairs) {
    lines.push_back(fmt::format("{} -> {}: APGR {} [{}, {}], by gain {} (random 0.500)", pair.tier,
                                evaluation.tiers.back().tier, decimal(pair.apgr),
                                decimal(pair.apgr_interval.low), decimal(pair.apgr_interval.high),
                                decimal(pair.gain_apgr)));
    lines.push_back(fmt::format(
        "  kept local at {} of the full model's success: {} [{}, {}], by gain {} (random {}, "
        "oracle {})",
        target, percent(pair.cut), percent(pair.cut_interval.low), percent(pair.cut_interval.high),
        percent(pair.gain_cut), percent(pair.random_cut), percent(pair.oracle_cut)));
    const auto chosen = [&lines](const std::optional<Kept>& kept, std::string_view of) {
      if (!kept) return;
      lines.push_back(fmt::format(
          "  with the {} {:.3f} chosen on the validation prompts: {} kept local, {} retained", of,
          kept->threshold, percent(kept->cut), percent(kept->retained)));
    };
    chosen(pair.chosen_before, "confidence");
    chosen(pair.gain_chosen_before, "gain");
  }
  lines.push_back(fmt::format("fixed rule, confidence >= {}: {} kept local, {} retained",
                              evaluation.rule_threshold, percent(evaluation.rule.cut),
                              percent(evaluation.rule.retained)));
  return lines;
}

OrderedJson evaluation_to_json(const Evaluation& evaluation) {
  OrderedJson json;
  json["labels"] = evaluation.labels;
  json["rows"] = evaluation.rows;
  json["n_rows"] = evaluation.n_rows;
  json["target_retention"] = evaluation.target_retention;
  json["rule"] = kept_to_json(evaluation.rule);
  json["tiers"] = OrderedJson::array();
  for (const TierQuality& tier : evaluation.tiers) {
    json["tiers"].push_back({{"tier", tier.tier},
                             {"models", tier.models},
                             {"mean_score", number(tier.mean_score)},
                             {"mean_predicted", number(tier.mean_predicted)},
                             {"auc", number(tier.auc)},
                             {"calibration_error", number(tier.calibration_error)},
                             {"brier", number(tier.brier)}});
  }
  json["pairs"] = OrderedJson::array();
  for (const PairQuality& pair : evaluation.pairs) {
    OrderedJson out = {{"tier", pair.tier},
                       {"apgr", number(pair.apgr)},
                       {"apgr_interval", interval_to_json(pair.apgr_interval)},
                       {"gain_apgr", number(pair.gain_apgr)},
                       {"cut", number(pair.cut)},
                       {"cut_interval", interval_to_json(pair.cut_interval)},
                       {"gain_cut", number(pair.gain_cut)},
                       {"random_cut", number(pair.random_cut)},
                       {"oracle_cut", number(pair.oracle_cut)}};
    if (pair.chosen_before) out["chosen_on_validation"] = kept_to_json(*pair.chosen_before);
    if (pair.gain_chosen_before) {
      out["gain_chosen_on_validation"] = kept_to_json(*pair.gain_chosen_before);
    }
    json["pairs"].push_back(std::move(out));
  }
  return json;
}

}  // namespace ac
