#include "models/train/evaluate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "models/predictor/network.h"

namespace ac {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

const std::vector<TierSource> kTiers = {{"small", {"a"}}, {"mid", {"b", "c"}}, {"full", {"d"}}};

ScoredRows three_tiers() {
  ScoredRows scored;
  scored.predicted = {{0.9f, 0.2f, 0.6f, 0.1f}, {0.9f, 0.8f, 0.6f, 0.3f}, {0.9f, 0.9f, 0.9f, 0.9f}};
  scored.earned = {{1, 0, 0, 0}, {1, 0, 1, 0}, {1, 1, 1, 1}};
  return scored;
}

TEST(Evaluate, ByHand) {
  const Evaluation evaluation = evaluate_scores(three_tiers(), kTiers, PredictorFacts{});
  EXPECT_EQ(evaluation.n_rows, 4u);
  ASSERT_EQ(evaluation.tiers.size(), 3u);
  EXPECT_EQ(evaluation.tiers[1].models, "b+c");
  EXPECT_DOUBLE_EQ(evaluation.tiers[1].mean_score, 0.5);
  EXPECT_NEAR(evaluation.tiers[2].mean_predicted, 0.9, 1e-6);
  EXPECT_TRUE(std::isnan(evaluation.tiers[2].auc)) << "the full model is always right here";
  // The rule at 0.7: row 0 to small, row 1 to mid (wrong), rows 2 and 3 to the full model.
  EXPECT_DOUBLE_EQ(evaluation.rule.cut, 0.5);
  EXPECT_DOUBLE_EQ(evaluation.rule.retained, 0.75);
  ASSERT_EQ(evaluation.pairs.size(), 2u);
  EXPECT_DOUBLE_EQ(evaluation.pairs[0].cut, 0.25);
  EXPECT_DOUBLE_EQ(evaluation.pairs[0].oracle_cut, 0.25);
  EXPECT_NEAR(evaluation.pairs[0].random_cut, 0.038 / 0.75, 1e-6);
  EXPECT_FALSE(evaluation.pairs[0].chosen_before.has_value());
}

TEST(Evaluate, ThresholdsChosenBeforeAreAppliedToTheCheapestTier) {
  PredictorFacts facts;
  facts.target_retention = 0.962f;
  facts.target_threshold = 0.55f;
  facts.target_gain = -0.1f;
  const Evaluation evaluation = evaluate_scores(three_tiers(), kTiers, facts);
  ASSERT_TRUE(evaluation.pairs[0].chosen_before.has_value());
  EXPECT_DOUBLE_EQ(evaluation.pairs[0].chosen_before->cut, 0.5);
  EXPECT_DOUBLE_EQ(evaluation.pairs[0].chosen_before->retained, 0.75);
  EXPECT_DOUBLE_EQ(evaluation.pairs[0].gain_chosen_before->cut, 0.25);
  EXPECT_FALSE(evaluation.pairs[1].chosen_before.has_value());
}

TEST(Evaluate, LinesAndJsonHoldTheFigures) {
  Evaluation evaluation = evaluate_scores(three_tiers(), kTiers, PredictorFacts{});
  evaluation.labels = "x.jsonl";
  evaluation.rows = "test";
  const std::vector<std::string> lines = evaluation_lines(evaluation);
  EXPECT_THAT(lines, Contains(HasSubstr("x.jsonl, test rows: 4")));
  EXPECT_THAT(lines, Contains(HasSubstr("n/a")));
  EXPECT_THAT(lines, Contains(HasSubstr("random 5.1%, oracle 25.0%")));
  EXPECT_THAT(lines, Contains(HasSubstr("confidence >= 0.7: 50.0% kept local, 75.0% retained")));
  const OrderedJson json = evaluation_to_json(evaluation);
  EXPECT_EQ(json["n_rows"], 4);
  EXPECT_EQ(json["rule"]["cut"], 0.5);
  EXPECT_TRUE(json["tiers"][2]["auc"].is_null());
  EXPECT_EQ(json["pairs"][0]["oracle_cut"], 0.25);
}

Predictor constant_predictor() {
  Predictor::Parts parts;
  parts.tiers = {"small", "full"};
  parts.parameters.assign(static_cast<size_t>(predictor::offsets_for(2).total), 0.0f);
  parts.scale = {1, 1};
  parts.shift = {0, 1};
  parts.facts.labels = "mine.jsonl";
  parts.facts.models = {"weak", "strong"};
  return Predictor::create(std::move(parts)).value();
}

Labels labels_named(const std::string& name) {
  std::string text;
  for (int i = 0; i < 10; ++i) {
    text += "{\"prompt\": \"" + std::to_string(i) + "\", \"split\": \"" +
            (i < 7 ? "train" : "test") + "\", \"scores\": {\"weak\": " + (i % 2 ? "1" : "0") +
            ", \"strong\": 1, \"other\": 0}}\n";
  }
  return parse_labels(text, name).value();
}

TEST(EvaluatePredictor, ChoosesRowsAndTiers) {
  const Predictor predictor = constant_predictor();
  const Labels own = labels_named("mine.jsonl");
  const auto tested = evaluate_predictor(predictor, own, {}, EvaluatedRows::kAuto);
  ASSERT_TRUE(tested.has_value()) << tested.error().message;
  EXPECT_EQ(tested->rows, "test") << "what it learned from does not count";
  EXPECT_EQ(tested->n_rows, 3u);
  EXPECT_EQ(tested->tiers[0].models, "weak");
  EXPECT_NEAR(tested->tiers[0].mean_predicted, 0.5, 1e-6);
  const auto all = evaluate_predictor(predictor, own, {}, EvaluatedRows::kAll);
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(all->n_rows, 10u);

  const Labels foreign = labels_named("other.jsonl");
  EXPECT_FALSE(evaluate_predictor(predictor, foreign, {}, EvaluatedRows::kAuto).has_value())
      << "three columns, none named: a question, not a guess";
  const auto named = evaluate_predictor(
      predictor, foreign, {{"small", {"weak"}}, {"full", {"strong"}}}, EvaluatedRows::kAuto);
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ(named->rows, "all");
  EXPECT_FALSE(
      evaluate_predictor(predictor, own, {{"only", {"weak"}}}, EvaluatedRows::kAll).has_value());
}

}  // namespace
}  // namespace ac
