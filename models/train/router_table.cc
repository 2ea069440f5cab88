#include "models/train/router_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "models/predictor/guarantee.h"
#include "models/train/draft_trainer.h"
#include "models/train/evaluate.h"
#include "models/train/gate_trainer.h"
#include "models/train/logistic.h"
#include "models/train/predictor_trainer.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr uint64_t kTrialSeed = 1;

// What the rows of the table are computed from, prompt by prompt.
struct Material {
  std::vector<float> weak, strong;  // earned
  std::vector<int> folds;
  std::vector<size_t> label_rows;
  Outcome outcome() const { return {weak, strong}; }
  size_t size() const { return weak.size(); }
};

std::vector<float> difference(std::span<const float> a, std::span<const float> b) {
  std::vector<float> out(a.size());
  for (size_t i = 0; i < a.size(); ++i) out[i] = a[i] - b[i];
  return out;
}

// Each fold's prompts are kept by the threshold that the others choose.
Kept cut_by_other_folds(std::span<const float> scores, const Material& material, int n_folds,
                        double retain) {
  // Above the fold's own threshold: kept where this is not negative.
  std::vector<float> above(scores.size());
  for (int fold = 0; fold < n_folds; ++fold) {
    std::vector<float> others, weak, strong;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (material.folds[i] == fold) continue;
      others.push_back(scores[i]);
      weak.push_back(material.weak[i]);
      strong.push_back(material.strong[i]);
    }
    const double threshold = largest_cut(others, {weak, strong}, retain).threshold;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (material.folds[i] != fold) continue;
      above[i] = static_cast<double>(scores[i]) >= threshold ? 1.0f : -1.0f;
    }
  }
  return keep_at(above, material.outcome(), 0.0);
}

RouterRow row_of(std::string name, std::span<const float> scores, const Material& material,
                 const RouterTableOptions& options) {
  RouterRow row;
  row.name = std::move(name);
  row.apgr = apgr(scores, material.outcome());
  row.cpt50 = call_share(scores, material.outcome(), 0.5);
  row.cpt80 = call_share(scores, material.outcome(), 0.8);
  const Kept kept = cut_by_other_folds(scores, material, options.n_folds, options.retain);
  row.cut = kept.cut;
  row.retained = kept.retained;
  row.ece = kNaN;
  return row;
}

// For each prompt the mean of `value` over the other folds' prompts of the same task.
std::vector<float> task_means(const Labels& labels, const Material& material,
                              std::span<const float> value, int n_folds) {
  struct Sum {
    double sum = 0;
    double n = 0;
  };
  std::map<std::string_view, std::vector<Sum>> by_task;  // [n_folds]
  const auto task = [&](size_t i) {
    return std::string_view(labels.rows[material.label_rows[i]].task);
  };
  for (size_t i = 0; i < value.size(); ++i) {
    auto& sums = by_task.try_emplace(task(i), static_cast<size_t>(n_folds)).first->second;
    Sum& sum = sums[static_cast<size_t>(material.folds[i])];
    sum.sum += static_cast<double>(value[i]);
    sum.n += 1;
  }
  std::vector<float> means(value.size());
  for (size_t i = 0; i < value.size(); ++i) {
    Sum others;
    for (int fold = 0; fold < n_folds; ++fold) {
      if (fold == material.folds[i]) continue;
      others.sum += by_task[task(i)][static_cast<size_t>(fold)].sum;
      others.n += by_task[task(i)][static_cast<size_t>(fold)].n;
    }
    means[i] = static_cast<float>(others.n > 0 ? others.sum / others.n : 0);
  }
  return means;
}

// What a second draft adds: the gate's two logits and how many drafts agree with the weak model's
// answer, as a further logistic regression per model, out of fold again.
class Agreement {
 public:
  static Result<Agreement> create(const Labels& labels, const Material& material,
                                  const RouterTableOptions& options, size_t weak) {
    Agreement agreement;
    std::vector<size_t> drafts;
    for (const std::string& model : options.drafts) {
      AC_TRY(const size_t column, model_column(labels, model));
      drafts.push_back(column);
    }
    agreement.n_drafts_ = drafts.size();
    for (const size_t r : material.label_rows) {
      const LabelRow& row = labels.rows[r];
      if (row.answers.empty()) {
        return fail(ErrorCode::kInvalidArgument, "{}: no 'answers' to compare drafts by, in row {}",
                    labels.name, r + 1);
      }
      uint16_t agreeing = 0;
      for (const size_t draft : drafts) {
        if (!row.answers[weak].empty() && row.answers[draft] == row.answers[weak]) ++agreeing;
      }
      agreement.agreeing_.push_back(agreeing);
    }
    return agreement;
  }

  // Gain of the weak model over the strong one, out of fold. `predicted` [2][n_rows].
  std::vector<float> gains(const Material& material, std::span<const std::vector<float>> predicted,
                           int n_folds, std::vector<float>& weak_success) const {
    SparseRows rows;
    rows.n_columns = 2 + n_drafts_ + 1;
    for (size_t i = 0; i < material.size(); ++i) {
      rows.add(0, gate_logit(predicted[0][i]));
      rows.add(1, gate_logit(predicted[1][i]));
      rows.add(static_cast<uint16_t>(2 + agreeing_[i]), 1.0f);
      rows.end_row();
    }
    std::vector<float> gain(material.size());
    weak_success.assign(material.size(), 0.0f);
    for (int fold = 0; fold < n_folds; ++fold) {
      std::vector<uint32_t> train;
      for (uint32_t i = 0; i < material.size(); ++i) {
        if (material.folds[i] != fold) train.push_back(i);
      }
      const LogisticModel weak = fit_logistic(rows, train, material.weak, {.penalty = 0.1});
      const LogisticModel strong = fit_logistic(rows, train, material.strong, {.penalty = 0.1});
      for (size_t i = 0; i < material.size(); ++i) {
        if (material.folds[i] != fold) continue;
        weak_success[i] = probability(weak.logit(rows, i));
        gain[i] = weak_success[i] - probability(strong.logit(rows, i));
      }
    }
    return gain;
  }

 private:
  size_t n_drafts_ = 0;
  std::vector<uint16_t> agreeing_;  // [n_rows]
};

GuaranteeTrials try_guarantee(std::span<const std::vector<float>> predicted,
                              const Material& material, const RouterTableOptions& options) {
  GuaranteeTrials trials;
  trials.n_trials = options.n_trials;
  if (options.n_trials == 0) return trials;
  Rng rng(kTrialSeed);
  std::vector<size_t> order(material.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  for (int trial = 0; trial < options.n_trials; ++trial) {
    for (size_t i = order.size(); i > 1; --i) {
      std::swap(order[i - 1], order[static_cast<size_t>(rng.below(i))]);
    }
    const size_t half = order.size() / 2;
    CalibrationTable table{.n_tiers = 2, .predicted = {}, .earned = {}};
    for (size_t k = 0; k < half; ++k) {
      const size_t i = order[k];
      table.predicted.insert(table.predicted.end(), {predicted[0][i], predicted[1][i]});
      table.earned.insert(table.earned.end(), {material.weak[i], material.strong[i]});
    }
    const Guarantee promised = guarantee(table, options.retain, options.confidence);
    if (!promised.allowance) {
      trials.infeasible += 1;
      trials.retained += 1;
      continue;
    }
    std::vector<float> scores, weak, strong;
    for (size_t k = half; k < order.size(); ++k) {
      const size_t i = order[k];
      scores.push_back(predicted[0][i] - predicted[1][i]);
      weak.push_back(material.weak[i]);
      strong.push_back(material.strong[i]);
    }
    const Kept kept = keep_at(scores, {weak, strong}, -*promised.allowance);
    trials.missed += kept.retained < options.retain ? 1 : 0;
    trials.cut += kept.cut;
    trials.retained += kept.retained;
  }
  const double n = options.n_trials;
  trials.missed /= n;
  trials.infeasible /= n;
  trials.cut /= n;
  trials.retained /= n;
  return trials;
}

OrderedJson number(double value) {
  return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr);
}

std::string percent(double value) {
  return std::isnan(value) ? "-" : fmt::format("{:.1f}", 100 * value);
}

}  // namespace

Result<RouterTable> router_table(const Labels& labels, const RouterTableOptions& options) {
  std::vector<TierSource> tiers = {{"weak", {options.weak}}, {"strong", {options.strong}}};
  if (options.weak.empty() && options.strong.empty()) {
    AC_TRY(tiers, default_tiers(labels));
  }
  const auto say = [&options](std::string_view what) {
    if (options.progress) options.progress(what);
  };
  AC_TRY(const GateExamples examples, gate_examples(labels, tiers));
  say("default gate");
  AC_TRY(const auto predicted, gate_out_of_fold(examples, rows_of(examples), options.n_folds, options.cancel));
  say("paper's gate");
  AC_TRY(const FoldedScores paper,
         scores_out_of_fold({.tiers = tiers, .cancel = options.cancel}, labels, options.n_folds));

  Material material{.weak = examples.earned[0],
                    .strong = examples.earned[1],
                    .folds = {},
                    .label_rows = examples.label_rows};
  for (const uint64_t hash : examples.hashes) {
    material.folds.push_back(fold_of(hash, options.n_folds));
  }
  // The paper's scores come fold by fold; in the order of the labels they match the rest.
  std::map<size_t, size_t> place_of;
  for (size_t i = 0; i < paper.label_rows.size(); ++i) place_of[paper.label_rows[i]] = i;
  std::vector<float> paper_success, paper_full;
  for (const size_t row : material.label_rows) {
    paper_success.push_back(paper.scored.predicted[0][place_of[row]]);
    paper_full.push_back(paper.scored.predicted[1][place_of[row]]);
  }

  RouterTable table;
  table.labels = labels.name;
  table.weak = models_of(tiers[0]);
  table.strong = models_of(tiers[1]);
  table.n_rows = material.size();
  table.retain = options.retain;
  table.confidence = options.confidence;
  table.weak_success = mean_of(material.weak);
  table.strong_success = mean_of(material.strong);

  const auto add = [&](std::string name, std::span<const float> scores,
                       std::span<const float> success) {
    table.rows.push_back(row_of(std::move(name), scores, material, options));
    if (!success.empty()) table.rows.back().ece = calibration_error(success, material.weak);
  };
  const std::vector<float> gain = difference(predicted[0], predicted[1]);
  add("default", gain, predicted[0]);
  if (!options.drafts.empty()) {
    AC_TRY(const size_t weak, model_column(labels, tiers[0].models[0]));
    AC_TRY(const Agreement agreement, Agreement::create(labels, material, options, weak));
    std::vector<float> success;
    const std::vector<float> with = agreement.gains(material, predicted, options.n_folds, success);
    add("agreement", with, success);
  }
  // With what the weak model shows: before it writes, and when it has written.
  if (has_signals(labels, examples, tiers[0])) {
    const StageSource source{
        .labels = labels, .examples = examples, .tiers = tiers, .predicted = predicted};
    for (const auto& [stage, name] :
         {std::pair(DraftStage::kProbe, "probe"), std::pair(DraftStage::kDraft, "draft")}) {
      say(name);
      AC_TRY(const GateExamples rows, stage_examples(source, 0, stage, nullptr));
      AC_TRY(const auto with,
             gate_out_of_fold(rows, rows_of(rows), options.n_folds, options.cancel));
      add(name, difference(with[0], with[1]), with[0]);
    }
  }
  add("paper", paper_success, paper_success);
  const std::vector<float> true_gain = difference(material.weak, material.strong);
  add("task", task_means(labels, material, true_gain, options.n_folds),
      task_means(labels, material, material.weak, options.n_folds));
  table.rows.push_back({.name = "random",
                        .apgr = 0.5,
                        .cpt50 = 0.5,
                        .cpt80 = 0.8,
                        .cut = random_cut(material.outcome(), options.retain),
                        .retained = options.retain,
                        .ece = kNaN});
  add("oracle", true_gain, material.weak);
  // Equal gains may be parted by who knows them.
  table.rows.back().cut = oracle_cut(material.outcome(), options.retain);
  table.rows.back().retained = options.retain;
  table.rule = keep_at(paper_success, material.outcome(), kRuleThreshold);
  say("guarantee");
  table.guarantee = try_guarantee(predicted, material, options);
  return table;
}

std::vector<std::string> router_table_lines(const RouterTable& table) {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("{}: {} prompts, {} {:.3f} -> {} {:.3f}", table.labels, table.n_rows,
                              table.weak, table.weak_success, table.strong, table.strong_success));
  lines.push_back(fmt::format("{:<12}{:>7}{:>8}{:>8}{:>16}{:>11}{:>8}", "router", "APGR", "CPT50",
                              "CPT80", fmt::format("cut for {}", percent(table.retain)), "retained",
                              "ECE"));
  for (const RouterRow& row : table.rows) {
    lines.push_back(fmt::format("{:<12}{:>7}{:>8}{:>8}{:>16}{:>11}{:>8}", row.name,
                                std::isnan(row.apgr) ? "-" : fmt::format("{:.3f}", row.apgr),
                                percent(row.cpt50), percent(row.cpt80), percent(row.cut),
                                percent(row.retained),
                                std::isnan(row.ece) ? "-" : fmt::format("{:.3f}", row.ece)));
  }
  lines.push_back(fmt::format("paper's rule, confidence {}: cut {}, retained {}",
                              table.rule.threshold, percent(table.rule.cut),
                              percent(table.rule.retained)));
  const GuaranteeTrials& trials = table.guarantee;
  if (trials.n_trials > 0) {
    lines.push_back(fmt::format(
        "guarantee of {} % with {} % confidence, {} random halves: missed in {} %, nothing "
        "promised "
        "in {} %; cut {}, retained {}",
        percent(table.retain), percent(table.confidence), trials.n_trials, percent(trials.missed),
        percent(trials.infeasible), percent(trials.cut), percent(trials.retained)));
  }
  return lines;
}

OrderedJson router_table_to_json(const RouterTable& table) {
  OrderedJson json;
  for (const RouterRow& row : table.rows) {
    json[row.name] = {{"apgr", number(row.apgr)},         {"cpt50", number(row.cpt50)},
                      {"cpt80", number(row.cpt80)},       {"cut", number(row.cut)},
                      {"retained", number(row.retained)}, {"ece", number(row.ece)}};
  }
  json["rule"] = {{"threshold", table.rule.threshold},
                  {"cut", number(table.rule.cut)},
                  {"retained", number(table.rule.retained)}};
  const GuaranteeTrials& trials = table.guarantee;
  json["guarantee"] = {{"confidence", table.confidence},
                       {"trials", trials.n_trials},
                       {"missed", trials.missed},
                       {"infeasible", trials.infeasible},
                       {"cut", trials.cut},
                       {"retained", trials.retained}};
  json["labels"] = table.labels;
  json["rows"] = table.n_rows;
  json["weak"] = {{"model", table.weak}, {"success", table.weak_success}};
  json["strong"] = {{"model", table.strong}, {"success", table.strong_success}};
  json["retain"] = table.retain;
  return json;
}

}  // namespace ac
