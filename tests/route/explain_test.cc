#include "runtime/route/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "models/predictor/network.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

Predictor random_predictor() {
  Rng rng(17);
  Predictor::Parts parts;
  parts.tiers = {"small", "full"};
  parts.parameters.resize(static_cast<size_t>(predictor::offsets_for(2).total));
  for (float& value : parts.parameters) value = static_cast<float>(rng.uniform() - 0.5);
  parts.scale = {1, 1};
  parts.shift = {0, 2};
  return Predictor::create(std::move(parts)).value();
}

Gates paper_alone(Predictor predictor) { return {std::move(predictor), std::nullopt}; }

const std::vector<VariantCost> kVariants = {{"q4", 1}, {"q8", 2}};
constexpr std::string_view kPrompt = "Prove that \xF0\x9F\x98\x80\xFF sequences converge";

Decision decision_for(const Gates* gates, std::string_view prompt, PolicyInput rules) {
  Decision decision;
  std::span<const std::string> tiers;
  if (gates != nullptr && gates->ngram.has_value()) {
    NgramReader reader;
    decision.gate = GateKind::kNgram;
    decision.prediction = gates->ngram->predict(reader.read(prompt));
    decision.allowance = rules.allowance;
  } else if (gates != nullptr) {
    decision.gate = GateKind::kPaper;
    decision.prediction = gates->paper.predict(prompt_features(prompt));
  }
  if (gates != nullptr) tiers = gates->paper.tiers();
  const Prediction prediction = decision.prediction.value_or(Prediction{});
  decision.candidates = candidates_for(tiers, prediction, kVariants);
  decision.threshold = rules.threshold;
  rules.locals = decision.candidates;
  rules.has_prediction = gates != nullptr;
  decision.route = decide(rules).value();
  decision.predict_seconds = 3e-6;
  return decision;
}

RouteExplanation explained_for(const Gates* gates, std::string_view prompt,
                               PolicyInput rules = {}) {
  return explain_route(gates, prompt, decision_for(gates, prompt, std::move(rules)));
}

TEST(Explain, SaysWhatTheRouterSaw) {
  const Gates gates = paper_alone(random_predictor());
  const RouteExplanation explained =
      explained_for(&gates, kPrompt, {.threshold = 0.6, .remote_configured = true});
  const Prediction prediction = gates.paper.predict(prompt_features(kPrompt));
  EXPECT_EQ(explained.n_parameters, 10786);
  EXPECT_EQ(explained.decision.threshold, 0.6);
  ASSERT_EQ(explained.tiers.size(), 2u);
  EXPECT_EQ(explained.tiers[1].success, static_cast<double>(prediction.success[1]));
  EXPECT_EQ(explained.pieces.size(), prompt_pieces(kPrompt).size());
}

TEST(Explain, InfluenceIsWhatAPieceChanges) {
  const Gates gates = paper_alone(random_predictor());
  const RouteExplanation explained = explained_for(&gates, "alpha beta gamma");
  const auto says = [&gates](std::string_view prompt) {
    return static_cast<double>(gates.paper.predict(prompt_features(prompt)).success[0]);
  };
  ASSERT_EQ(explained.pieces.size(), 3u);
  EXPECT_DOUBLE_EQ(explained.pieces[0].influence, says("alpha beta gamma") - says("beta gamma"));
  EXPECT_DOUBLE_EQ(explained.pieces[1].influence, says("alpha beta gamma") - says("alpha gamma"));
  EXPECT_DOUBLE_EQ(explained.pieces[2].influence, says("alpha beta gamma") - says("alpha beta"));
  EXPECT_NE(explained.pieces[0].influence, 0.0);
}

TEST(Explain, LinesAndJson) {
  const Gates gates = paper_alone(random_predictor());
  const RouteExplanation explained = explained_for(&gates, kPrompt, {.threshold = 2.0});
  const auto lines = explanation_lines(explained);
  EXPECT_THAT(lines, Contains(HasSubstr("local q8, degraded")));
  EXPECT_THAT(lines, Contains(HasSubstr("offline")));
  EXPECT_THAT(lines, Contains(HasSubstr("10786 parameters")));
  const OrderedJson json = explanation_to_json(explained);
  EXPECT_EQ(json["place"], "local");
  EXPECT_EQ(json["degraded"], true);
  EXPECT_NEAR(json["microseconds"].get<double>(), 3.0, 1e-9);
  EXPECT_EQ(json["pieces"].size(), explained.pieces.size());
  EXPECT_NO_THROW((void)json.dump()) << "pieces are UTF-8 whatever the prompt was";
}

TEST(Explain, TheNgramGateShowsNgrams) {
  NgramGate::Parts parts;
  parts.tiers = {"small", "full"};
  Rng rng(18);
  for (int i = 0; i < kNgramBuckets * 2; ++i) parts.weights.push_back(static_cast<float>(rng.normal()));
  parts.bias = {0.5f, 1.0f};
  parts.seen.assign(kSeenBits / 32, 0);
  parts.usual_novelty = 0.4f;
  parts.calibration.n_tiers = 2;
  const Gates gates{random_predictor(), NgramGate::create(std::move(parts)).value()};
  RouteExplanation explained = explained_for(&gates, "how do cells divide", {.allowance = 0.02});
  EXPECT_EQ(explained.n_parameters, 8194);
  EXPECT_EQ(explained.pieces.size(), 7u);  // four words, three pairs
  EXPECT_GE(std::abs(explained.pieces[0].influence), std::abs(explained.pieces[6].influence));
  explained.decision.novelty = 1;
  explained.decision.is_novel = true;
  const auto lines = explanation_lines(explained);
  EXPECT_THAT(lines, Contains(HasSubstr("may be 0.020 less likely")));
  EXPECT_THAT(lines, Contains(HasSubstr("100 % of the n-grams were never learned from: less")));
  const OrderedJson json = explanation_to_json(explained);
  EXPECT_EQ(json["gate"], "default");
  EXPECT_EQ(json["novel"], true);
}

TEST(Explain, WithoutAPredictor) {
  const RouteExplanation explained = explained_for(nullptr, kPrompt);
  EXPECT_TRUE(explained.pieces.empty());
  EXPECT_THAT(explanation_lines(explained), Contains("predictor   none"));
  EXPECT_TRUE(explanation_to_json(explained)["confidence"].is_null());
}

TEST(Explain, AnEmptyPrompt) {
  const Gates gates = paper_alone(random_predictor());
  const RouteExplanation empty = explained_for(&gates, "");
  EXPECT_TRUE(empty.pieces.empty());
  EXPECT_EQ(empty.tiers.size(), 2u);
}

}  // namespace
}  // namespace ac
