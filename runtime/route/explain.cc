#include "runtime/route/explain.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ac {
namespace {

PromptFeatures without(const PromptFeatures& features, int left_out) {
  PromptFeatures rest;
  for (int t = 0; t < features.n_tokens; ++t) {
    if (t == left_out) continue;
    rest.buckets[static_cast<size_t>(rest.n_tokens++)] = features.buckets[static_cast<size_t>(t)];
  }
  return rest;
}

void explain_pieces(const Predictor& predictor, std::string_view prompt,
                    const PromptFeatures& features, double success, RouteExplanation& out) {
  for (std::string& text : prompt_pieces(prompt)) {
    const auto t = static_cast<int>(out.pieces.size());
    const Prediction rest = predictor.predict(without(features, t));
    out.pieces.push_back({std::move(text), success - static_cast<double>(rest.success.front())});
  }
}

std::string where(const Route& route) {
  if (route.place == Place::kRemote) {
    return route.variant.empty()
               ? "the remote full model"
               : fmt::format("the remote full model (falls back to {})", route.variant);
  }
  return fmt::format("local {}", route.variant);
}

}  // namespace

Result<RouteExplanation> explain_route(const Predictor* predictor, std::string_view prompt,
                                       std::span<const VariantCost> variants, PolicyInput rules,
                                       const Clock& clock) {
  RouteExplanation out;
  const Clock::TimePoint start = clock.now();
  PromptFeatures features;
  Prediction prediction;
  std::span<const std::string> tiers;
  if (predictor != nullptr) {
    features = prompt_features(prompt);
    prediction = predictor->predict(features);
    tiers = predictor->tiers();
  }
  out.candidates = candidates_for(tiers, prediction, variants);
  rules.locals = out.candidates;
  rules.has_prediction = predictor != nullptr;
  rules.remote_success = full_model_success(prediction);
  AC_TRY(out.route, decide(rules));
  out.microseconds = 1e6 * seconds_between(start, clock.now());

  out.threshold = rules.threshold;
  if (predictor == nullptr) return out;
  out.n_parameters = predictor->n_parameters();
  for (size_t i = 0; i < tiers.size(); ++i) {
    out.tiers.push_back({tiers[i], static_cast<double>(prediction.success[i])});
  }
  explain_pieces(*predictor, prompt, features, out.tiers.front().success, out);
  return out;
}

std::vector<std::string> explanation_lines(const RouteExplanation& explanation) {
  std::vector<std::string> lines;
  const Route& route = explanation.route;
  lines.push_back(fmt::format("route       {}{}", where(route),
                              route.degraded ? ", degraded: the full model was wanted" : ""));
  lines.push_back(fmt::format("reason      {}", route_reason_name(route.reason)));
  if (explanation.tiers.empty()) {
    lines.push_back("predictor   none");
  } else {
    lines.push_back(fmt::format("confidence  {:.3f}, threshold {:.3f}", route.confidence,
                                explanation.threshold));
    for (const auto& tier : explanation.tiers) {
      lines.push_back(
          fmt::format("  tier      {:<12} predicted success {:.3f}", tier.name, tier.success));
    }
  }
  for (const Candidate& candidate : explanation.candidates) {
    lines.push_back(explanation.tiers.empty()
                        ? fmt::format("  variant   {}", candidate.id)
                        : fmt::format("  variant   {:<12} predicted success {:.3f}", candidate.id,
                                      candidate.success));
  }
  if (!explanation.tiers.empty()) {
    lines.push_back(
        fmt::format("read        {} of at most {} pieces; success of '{}' with each, "
                    "less without it:",
                    explanation.pieces.size(), kPredictorTokens, explanation.tiers.front().name));
    std::vector<const RouteExplanation::Piece*> order;
    for (const auto& piece : explanation.pieces) order.push_back(&piece);
    std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
      return std::abs(a->influence) > std::abs(b->influence);
    });
    for (const auto* piece : order) {
      lines.push_back(fmt::format("  {:+.3f}    {}", piece->influence, piece->text));
    }
    lines.push_back(fmt::format("predictor   {} parameters", explanation.n_parameters));
  }
  lines.push_back(fmt::format("decided in  {:.1f} us", explanation.microseconds));
  return lines;
}

OrderedJson explanation_to_json(const RouteExplanation& explanation) {
  const Route& route = explanation.route;
  OrderedJson json;
  json["place"] = route.place == Place::kLocal ? "local" : "remote";
  json["variant"] = route.variant;
  json["reason"] = route_reason_name(route.reason);
  json["degraded"] = route.degraded;
  json["confidence"] =
      explanation.tiers.empty() ? OrderedJson(nullptr) : OrderedJson(route.confidence);
  json["threshold"] = explanation.threshold;
  json["tiers"] = OrderedJson::array();
  for (const auto& tier : explanation.tiers) {
    json["tiers"].push_back({{"name", tier.name}, {"success", tier.success}});
  }
  json["candidates"] = OrderedJson::array();
  for (const Candidate& candidate : explanation.candidates) {
    json["candidates"].push_back(
        {{"id", candidate.id}, {"cost", candidate.cost}, {"success", candidate.success}});
  }
  json["pieces"] = OrderedJson::array();
  for (const auto& piece : explanation.pieces) {
    json["pieces"].push_back({{"text", piece.text}, {"influence", piece.influence}});
  }
  json["parameters"] = explanation.n_parameters;
  json["microseconds"] = explanation.microseconds;
  return json;
}

}  // namespace ac
