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

// Every look at the clock is 3 us later.
class SteppingClock : public Clock {
 public:
  TimePoint now() const override { return TimePoint(std::chrono::microseconds(3 * ++n_looks_)); }

 private:
  mutable int n_looks_ = 0;
};

const std::vector<VariantCost> kVariants = {{"q4", 1}, {"q8", 2}};
constexpr std::string_view kPrompt = "Prove that \xF0\x9F\x98\x80\xFF sequences converge";

TEST(Explain, SaysWhatTheRouterSaw) {
  const Predictor predictor = random_predictor();
  const auto explained =
      explain_route(&predictor, kPrompt, kVariants, {.threshold = 0.6, .remote_configured = true},
                    SteppingClock());
  ASSERT_TRUE(explained.has_value()) << explained.error().message;
  const Prediction prediction = predictor.predict(prompt_features(kPrompt));
  EXPECT_EQ(explained->n_parameters, 10786);
  EXPECT_EQ(explained->threshold, 0.6);
  EXPECT_NEAR(explained->microseconds, 3.0, 1e-9);
  ASSERT_EQ(explained->tiers.size(), 2u);
  EXPECT_EQ(explained->tiers[1].success, static_cast<double>(prediction.success[1]));
  ASSERT_EQ(explained->candidates.size(), 2u);
  EXPECT_EQ(explained->candidates[0].success, static_cast<double>(prediction.success[0]));
  EXPECT_EQ(explained->route.place == Place::kLocal, prediction.success[0] >= 0.6f);
  EXPECT_EQ(explained->pieces.size(), prompt_pieces(kPrompt).size());
}

TEST(Explain, InfluenceIsWhatAPieceChanges) {
  const Predictor predictor = random_predictor();
  const auto explained = explain_route(&predictor, "alpha beta gamma", kVariants, {});
  ASSERT_TRUE(explained.has_value());
  const auto says = [&predictor](std::string_view prompt) {
    return static_cast<double>(predictor.predict(prompt_features(prompt)).success[0]);
  };
  ASSERT_EQ(explained->pieces.size(), 3u);
  EXPECT_DOUBLE_EQ(explained->pieces[0].influence, says("alpha beta gamma") - says("beta gamma"));
  EXPECT_DOUBLE_EQ(explained->pieces[1].influence, says("alpha beta gamma") - says("alpha gamma"));
  EXPECT_DOUBLE_EQ(explained->pieces[2].influence, says("alpha beta gamma") - says("alpha beta"));
  EXPECT_NE(explained->pieces[0].influence, 0.0);
}

TEST(Explain, LinesAndJson) {
  const Predictor predictor = random_predictor();
  const auto explained = explain_route(&predictor, kPrompt, kVariants, {.threshold = 2.0});
  ASSERT_TRUE(explained.has_value());
  const auto lines = explanation_lines(*explained);
  EXPECT_THAT(lines, Contains(HasSubstr("local q8, degraded")));
  EXPECT_THAT(lines, Contains(HasSubstr("offline")));
  EXPECT_THAT(lines, Contains(HasSubstr("10786 parameters")));
  const OrderedJson json = explanation_to_json(*explained);
  EXPECT_EQ(json["place"], "local");
  EXPECT_EQ(json["degraded"], true);
  EXPECT_EQ(json["pieces"].size(), explained->pieces.size());
  EXPECT_NO_THROW((void)json.dump()) << "pieces are UTF-8 whatever the prompt was";
}

TEST(Explain, WithoutAPredictor) {
  const auto explained = explain_route(nullptr, kPrompt, kVariants, {});
  ASSERT_TRUE(explained.has_value());
  EXPECT_EQ(explained->route.reason, RouteReason::kNoPredictor);
  EXPECT_TRUE(explained->pieces.empty());
  EXPECT_THAT(explanation_lines(*explained), Contains("predictor   none"));
  EXPECT_TRUE(explanation_to_json(*explained)["confidence"].is_null());
}

TEST(Explain, AnEmptyPromptAndAnError) {
  const Predictor predictor = random_predictor();
  const auto empty = explain_route(&predictor, "", kVariants, {});
  ASSERT_TRUE(empty.has_value());
  EXPECT_TRUE(empty->pieces.empty());
  EXPECT_EQ(empty->tiers.size(), 2u);
  const auto nothing = explain_route(&predictor, "hello", {}, {});
  ASSERT_FALSE(nothing.has_value());
  EXPECT_EQ(nothing.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace ac
