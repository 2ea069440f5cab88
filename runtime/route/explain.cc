#include "runtime/route/explain.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ac {
namespace {

constexpr size_t kShownNgrams = 12;

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

RouteExplanation explain_route(const Gates* gates, std::string_view prompt, Decision decision) {
  RouteExplanation out;
  out.decision = std::move(decision);
  if (gates == nullptr || !out.decision.prediction.has_value()) return out;
  const std::span<const std::string> tiers = gates->paper.tiers();
  for (size_t i = 0; i < tiers.size(); ++i) {
    out.tiers.push_back({tiers[i], static_cast<double>(out.decision.prediction->success[i])});
  }
  if (out.decision.gate == GateKind::kNgram) {
    out.n_parameters = gates->ngram->n_parameters();
    for (NgramInfluence& each : ngram_influences(*gates->ngram, prompt, kShownNgrams)) {
      out.pieces.push_back({std::move(each.text), each.gain_logit});
    }
  } else {
    out.n_parameters = gates->paper.n_parameters();
    explain_pieces(gates->paper, prompt, prompt_features(prompt), out.tiers.front().success, out);
  }
  return out;
}

std::vector<std::string> explanation_lines(const RouteExplanation& explanation) {
  std::vector<std::string> lines;
  const Decision& decision = explanation.decision;
  const Route& route = decision.route;
  lines.push_back(fmt::format("route       {}{}", where(route),
                              route.degraded ? ", degraded: the full model was wanted" : ""));
  lines.push_back(fmt::format("reason      {}", route_reason_name(route.reason)));
  if (explanation.tiers.empty()) {
    lines.push_back("predictor   none");
  } else {
    if (decision.allowance) {
      lines.push_back(fmt::format("success     {:.3f}; a variant may be {:.3f} less likely to "
                                  "succeed than the full model",
                                  route.confidence, *decision.allowance));
    } else {
      lines.push_back(
          fmt::format("confidence  {:.3f}, threshold {:.3f}", route.confidence, decision.threshold));
    }
    if (decision.draft_allowance) {
      lines.push_back(fmt::format("draft       judged once it is read and once it is written, with {:.3f}",
                                  *decision.draft_allowance));
    }
    if (!decision.cascade.empty()) {
      lines.push_back(fmt::format("cascade     {} drafts first, judged with {:.3f}", decision.cascade,
                                  *decision.cascade_allowance));
    }
    if (decision.worth_gain > 0) {
      lines.push_back(fmt::format("worth       the remote's price asks for {:.3f} more success",
                                  decision.worth_gain));
    }
    if (!decision.alarm.empty()) lines.push_back("alarm       " + decision.alarm);
    if (decision.gate == GateKind::kNgram) {
      lines.push_back(fmt::format("novelty     {:.0f} % of the n-grams were never learned from{}",
                                  100 * decision.novelty,
                                  decision.is_novel ? ": less is allowed than usually" : ""));
    }
    for (const auto& tier : explanation.tiers) {
      lines.push_back(
          fmt::format("  tier      {:<12} predicted success {:.3f}", tier.name, tier.success));
    }
  }
  for (const Candidate& candidate : decision.candidates) {
    lines.push_back(explanation.tiers.empty()
                        ? fmt::format("  variant   {}", candidate.id)
                        : fmt::format("  variant   {:<12} predicted success {:.3f}", candidate.id,
                                      candidate.success));
  }
  if (!explanation.tiers.empty()) {
    const std::string& cheapest = explanation.tiers.front().name;
    lines.push_back(
        decision.gate == GateKind::kNgram
            ? fmt::format("read        all of it; what speaks for '{}' and against it, in logits:",
                          cheapest)
            : fmt::format("read        {} of at most {} pieces; success of '{}' with each, "
                          "less without it:",
                          explanation.pieces.size(), kPredictorTokens, cheapest));
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
  if (decision.n_tokens_needed > 0) {
    lines.push_back(
        fmt::format("needs       {} tokens, prompt and answer", decision.n_tokens_needed));
  }
  lines.push_back(fmt::format("decided in  {:.1f} us", 1e6 * decision.predict_seconds));
  return lines;
}

OrderedJson explanation_to_json(const RouteExplanation& explanation) {
  const Decision& decision = explanation.decision;
  const Route& route = decision.route;
  OrderedJson json;
  json["place"] = route.place == Place::kLocal ? "local" : "remote";
  json["variant"] = route.variant;
  json["reason"] = route_reason_name(route.reason);
  json["degraded"] = route.degraded;
  json["must_stay"] = decision.must_stay;
  json["confidence"] =
      explanation.tiers.empty() ? OrderedJson(nullptr) : OrderedJson(route.confidence);
  json["gate"] = explanation.tiers.empty()                 ? OrderedJson(nullptr)
                 : decision.gate == GateKind::kNgram ? OrderedJson("default")
                                                     : OrderedJson("paper");
  json["threshold"] = decision.threshold;
  json["allowance"] =
      decision.allowance ? OrderedJson(*decision.allowance) : OrderedJson(nullptr);
  json["draft_allowance"] =
      decision.draft_allowance ? OrderedJson(*decision.draft_allowance) : OrderedJson(nullptr);
  json["cascade"] = decision.cascade.empty() ? OrderedJson(nullptr) : OrderedJson(decision.cascade);
  json["worth_gain"] = decision.worth_gain;
  json["alarm"] = decision.alarm.empty() ? OrderedJson(nullptr) : OrderedJson(decision.alarm);
  json["novelty"] = decision.novelty;
  json["novel"] = decision.is_novel;
  json["tiers"] = OrderedJson::array();
  for (const auto& tier : explanation.tiers) {
    json["tiers"].push_back({{"name", tier.name}, {"success", tier.success}});
  }
  json["candidates"] = OrderedJson::array();
  for (const Candidate& candidate : decision.candidates) {
    json["candidates"].push_back(
        {{"id", candidate.id}, {"cost", candidate.cost}, {"success", candidate.success}});
  }
  json["pieces"] = OrderedJson::array();
  for (const auto& piece : explanation.pieces) {
    json["pieces"].push_back({{"text", piece.text}, {"influence", piece.influence}});
  }
  json["parameters"] = explanation.n_parameters;
  json["microseconds"] = 1e6 * decision.predict_seconds;
  return json;
}

}  // namespace ac
