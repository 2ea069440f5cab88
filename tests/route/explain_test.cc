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

const std::vector<VariantCost> kVariants = {{"q4", 1}, {"q8", 2}};
constexpr std::string_view kPrompt = "Prove that \xF0\x9F\x98\x80\xFF sequences converge";

Decision decision_for(const Predictor* predictor, std::string_view prompt, PolicyInput rules) {
  Decision decision;
  std::span<const std::string> tiers;
  if (predictor != nullptr) {
    decision.prediction = predictor->predict(prompt_features(prompt));
    tiers = predictor->tiers();
  }
  const Prediction prediction = decision.prediction.value_or(Prediction{});
  decision.candidates = candidates_for(tiers, prediction, kVariants);
  decision.threshold = rules.threshold;
  rules.locals = decision.candidates;
  rules.has_prediction = predictor != nullptr;
  decision.route = decide(rules).value();
  decision.predict_seconds = 3e-6;
  return decision;
}

RouteExplanation explained_for(const Predictor* predictor, std::string_view prompt,
                               PolicyInput rules = {}) {
  return explain_route(predictor, prompt, decision_for(predictor, prompt, std::move(rules)));
}

TEST(Explain, SaysWhatTheRouterSaw) {
  const Predictor predictor = random_predictor();
  const RouteExplanation explained =
      explained_for(&predictor, kPrompt, {.threshold = 0.6, .remote_configured = true});
  const Prediction prediction = predictor.predict(prompt_features(kPrompt));
  EXPECT_EQ(explained.n_parameters, 10786);
  EXPECT_EQ(explained.decision.threshold, 0.6);
  ASSERT_EQ(explained.tiers.size(), 2u);
  EXPECT_EQ(explained.tiers[1].success, static_cast<double>(prediction.success[1]));
  EXPECT_EQ(explained.pieces.size(), prompt_pieces(kPrompt).size());
}

TEST(Explain, InfluenceIsWhatAPieceChanges) {
  const Predictor predictor = random_predictor();
  const RouteExplanation explained = explained_for(&predictor, "alpha beta gamma");
  const auto says = [&predictor](std::string_view prompt) {
    return static_cast<double>(predictor.predict(prompt_features(prompt)).success[0]);
  };
  ASSERT_EQ(explained.pieces.size(), 3u);
  EXPECT_DOUBLE_EQ(explained.pieces[0].influence, says("alpha beta gamma") - says("beta gamma"));
  EXPECT_DOUBLE_EQ(explained.pieces[1].influence, says("alpha beta gamma") - says("alpha gamma"));
  EXPECT_DOUBLE_EQ(explained.pieces[2].influence, says("alpha beta gamma") - says("alpha beta"));
  EXPECT_NE(explained.pieces[0].influence, 0.0);
}

TEST(Explain, LinesAndJson) {
  const Predictor predictor = random_predictor();
  const RouteExplanation explained = explained_for(&predictor, kPrompt, {.threshold = 2.0});
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

TEST(Explain, WithoutAPredictor) {
  const RouteExplanation explained = explained_for(nullptr, kPrompt);
  EXPECT_TRUE(explained.pieces.empty());
  EXPECT_THAT(explanation_lines(explained), Contains("predictor   none"));
  EXPECT_TRUE(explanation_to_json(explained)["confidence"].is_null());
}

TEST(Explain, AnEmptyPrompt) {
  const Predictor predictor = random_predictor();
  const RouteExplanation empty = explained_for(&predictor, "");
  EXPECT_TRUE(empty.pieces.empty());
  EXPECT_EQ(empty.tiers.size(), 2u);
}

}  // namespace
}  // namespace ac
