#include "runtime/server/page_api.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "runtime/ledger/ledger_summary.h"

namespace ac {
namespace {

constexpr size_t kShownRows = 50;
constexpr int64_t kDayMs = 24 * 3600 * 1000;

std::string_view gate_name(const PageFacts& facts) {
  if (facts.gates == nullptr) return "none";
  return facts.paper || !facts.gates->ngram ? "paper" : "ngram";
}

OrderedJson number_or_null(double number) {
  return number > 0 ? OrderedJson(number) : OrderedJson(nullptr);
}

OrderedJson quality_of(const PageVariant& variant) {
  if (variant.tasks.n > 0) {
    const Interval interval = variant.tasks.interval();
    return {{"success", variant.tasks.rate()},
            {"low", interval.low},
            {"high", interval.high},
            {"n", variant.tasks.n}};
  }
  if (variant.divergence) return {{"divergence", *variant.divergence}};
  return nullptr;
}

// earned / full with the interval that the delta method gives.
void add_interval(const std::vector<RuleOutcome>& outcomes, PromisePoint& point) {
  double full = 0, earned = 0;
  for (const RuleOutcome& outcome : outcomes) {
    full += outcome.full;
    earned += outcome.earned;
  }
  if (full <= 0) return;
  point.retained = earned / full;
  double squares = 0;
  for (const RuleOutcome& outcome : outcomes) {
    const double rest = outcome.earned - point.retained * outcome.full;
    squares += rest * rest;
  }
  const double half = 1.96 * std::sqrt(squares) / full;
  point.low = std::max(0.0, point.retained - half);
  point.high = point.retained + half;
}

}  // namespace

std::vector<PromisePoint> promise_curve(const CalibrationTable& table, double confidence) {
  constexpr std::array kTargets = {0.80, 0.85, 0.88, 0.90, 0.92,  0.93,
                                   0.94, 0.95, 0.96, 0.97, 0.98, 0.99};
  std::vector<PromisePoint> curve;
  if (table.n_rows() == 0) return curve;
  for (const double target : kTargets) {
    const Guarantee promised = guarantee(table, target, confidence);
    PromisePoint point{.target_success = target};
    if (promised.allowance) {
      std::vector<RuleOutcome> outcomes;
      size_t n_kept = 0;
      for (size_t row = 0; row < table.n_rows(); ++row) {
        const std::span<const float> predicted(&table.predicted[row * table.n_tiers],
                                               table.n_tiers);
        outcomes.push_back(table.outcome(row, accepted_tier(predicted, *promised.allowance)));
        if (outcomes.back().kept) ++n_kept;
      }
      point.local_share = static_cast<double>(n_kept) / static_cast<double>(table.n_rows());
      add_interval(outcomes, point);
    }
    curve.push_back(point);
  }
  return curve;
}

OrderedJson page_state(const PageFacts& facts, const Router& router, size_t n_waiting) {
  const RouterView view = router.view();
  OrderedJson variants = OrderedJson::array();
  for (const PageVariant& variant : facts.variants) variants.push_back(variant.id);
  const bool has_remote = !facts.remote_host.empty();
  return {{"version", facts.version},
          {"variants", std::move(variants)},
          {"aliases", facts.aliases},
          {"remote",
           {{"configured", has_remote},
            {"url_host", facts.remote_host},
            {"model", facts.remote_model},
            {"state", !has_remote ? "none" : view.remote_paused ? "paused" : "ready"}}},
          {"offline", facts.offline_fixed || router.offline()},
          {"offline_fixed", facts.offline_fixed},
          {"learns", facts.learns},
          {"gate", gate_name(facts)},
          {"threshold", facts.threshold},
          {"target_success", facts.target_success},
          {"waiting", n_waiting},
          {"needs_key", facts.needs_key}};
}

Result<OrderedJson> page_savings(Ledger& ledger, int64_t days, int64_t now_ms) {
  const int64_t from_ms = day_start_ms(now_ms) - (days - 1) * kDayMs;
  AC_TRY(const std::vector<LedgerRow> rows, ledger.rows({.from_ms = from_ms}));
  OrderedJson json{{"from", utc_text(from_ms).substr(0, 10)}};
  OrderedJson summary = summary_to_json(summary_of(rows));
  json["models"] = std::move(summary["models"]);
  json["days"] = std::move(summary["days"]);
  summary.erase("models");
  summary.erase("days");
  json["all"] = std::move(summary);
  json["recent"] = OrderedJson::array();
  for (size_t i = rows.size(); i-- > 0 && json["recent"].size() < kShownRows;) {
    json["recent"].push_back(row_to_json(rows[i]));
  }
  return json;
}

OrderedJson page_zoo(const PageFacts& facts, const Router& router,
                     const std::map<std::string, double>& tokens_per_second) {
  const std::vector<std::string> loaded = router.view().loaded;
  OrderedJson variants = OrderedJson::array();
  for (const PageVariant& variant : facts.variants) {
    const auto speed = tokens_per_second.find(variant.id);
    variants.push_back(
        {{"id", variant.id},
         {"method", variant.method},
         {"bytes", variant.bytes},
         {"bits", number_or_null(variant.bits)},
         {"relative_compute", variant.relative_compute},
         {"quality", quality_of(variant)},
         {"ms_per_token", number_or_null(variant.ms_per_token)},
         {"tokens_per_second_here",
          number_or_null(speed == tokens_per_second.end() ? 0 : speed->second)},
         {"loaded", std::find(loaded.begin(), loaded.end(), variant.id) != loaded.end()}});
  }
  return {{"variants", std::move(variants)}};
}

OrderedJson page_router(const PageFacts& facts, const std::vector<PromisePoint>& curve,
                        const Router& router, double usd_per_prompt) {
  const double usd_per_1000 = 1000 * usd_per_prompt;
  const bool by_gain = gate_name(facts) == "ngram";
  OrderedJson points = OrderedJson::array();
  for (const PromisePoint& point : curve) {
    points.push_back({{"threshold", point.target_success},
                      {"local_share", point.local_share},
                      {"usd_per_1000", (1 - point.local_share) * usd_per_1000},
                      {"full_usd_per_1000", usd_per_1000},
                      {"success", point.retained},
                      {"low", point.low},
                      {"high", point.high}});
  }
  OrderedJson calibration = nullptr;
  if (by_gain) {
    const size_t n = facts.gates->ngram->parts().calibration.n_rows();
    if (n > 0) calibration = {{"n", n}};
  }
  return {{"gate", gate_name(facts)},
          {"parameters", facts.gates == nullptr ? 0
                         : by_gain              ? facts.gates->ngram->n_parameters()
                                                : facts.gates->paper.n_parameters()},
          {"knob", by_gain ? "target_success" : "confidence_threshold"},
          {"threshold", by_gain ? facts.target_success : facts.threshold},
          {"target_success", facts.target_success},
          {"target_confidence", facts.target_confidence},
          {"calibration", std::move(calibration)},
          {"alarm", router.view().alarm},
          {"curve", std::move(points)}};
}

}  // namespace ac
