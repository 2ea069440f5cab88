#include "models/train/predictor_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "runtime/core/rng.h"
#include "tests/train/made_up_labels.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

TEST(PredictorTrainer, LearnsWhatTheWordsSay) {
  const Labels labels = made_up_labels(1500);
  int n_calls = 0;
  const auto report = train_predictor({.n_epochs = 15,
                                       .word_dropout = 0.1f,
                                       .on_epoch = [&n_calls](const EpochLoss&) { ++n_calls; }},
                                      labels);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->curve.size(), static_cast<size_t>(n_calls));
  EXPECT_LT(report->curve.back().train, 0.5 * report->curve.front().train);
  EXPECT_EQ(report->n_train + report->n_validation + report->n_test + report->n_left_out, 1500u);
  for (const TierQuality& tier : report->test.tiers) {
    EXPECT_GT(tier.auc, 0.97) << tier.tier;
    EXPECT_LT(tier.calibration_error, 0.1) << tier.tier;
  }
  const PairQuality& pair = report->test.pairs.at(0);
  EXPECT_GT(pair.cut, pair.random_cut + 0.2);
  EXPECT_LE(pair.cut, pair.oracle_cut);
  EXPECT_GT(report->test.rule.retained, 0.95);
  ASSERT_TRUE(pair.chosen_before.has_value());

  const auto says = [&report](std::string_view prompt) {
    return report->predictor.predict(prompt_features(prompt)).success;
  };
  EXPECT_GT(says("please count the blue tree")[0], 0.7f);
  EXPECT_LT(says("please prove the blue lemma")[0], 0.3f);
  EXPECT_GT(says("please prove the blue lemma")[1], 0.7f);
  EXPECT_LT(says("a riddle why the river")[1], 0.3f);
  const PredictorFacts& facts = report->predictor.facts();
  EXPECT_EQ(facts.labels, "made_up.jsonl");
  EXPECT_EQ(facts.n_rows, report->n_train);
  EXPECT_GT(facts.n_epochs, 0u);
}

TEST(PredictorTrainer, OneSeedOneResult) {
  const Labels labels = made_up_labels(300);
  const auto trained = [&labels](uint32_t seed) {
    return train_predictor({.seed = seed, .n_epochs = 3}, labels).value();
  };
  const TrainReport once = trained(5), again = trained(5), other = trained(6);
  EXPECT_EQ(once.predictor.parts().parameters, again.predictor.parts().parameters);
  EXPECT_EQ(once.predictor.parts().scale, again.predictor.parts().scale);
  EXPECT_EQ(once.predictor.facts().target_threshold, again.predictor.facts().target_threshold);
  EXPECT_NE(once.predictor.parts().parameters, other.predictor.parts().parameters);
}

TEST(PredictorTrainer, StopsEarlyAndKeepsTheBestEpoch) {
  // Labels that no word explains: the validation loss has nothing to gain.
  Rng rng(2);
  std::string text;
  for (int i = 0; i < 200; ++i) {
    text += "{\"prompt\": \"question " + std::to_string(i) +
            "\", \"scores\": {\"a\": " + (rng.uniform() < 0.5 ? "1" : "0") +
            ", \"b\": " + (rng.uniform() < 0.8 ? "1" : "0") + "}}\n";
  }
  const Labels labels = parse_labels(text, "noise").value();
  const auto report =
      train_predictor({.n_epochs = 200, .patience = 3, .learning_rate = 0.01f}, labels);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  const auto best = static_cast<int>(report->predictor.facts().n_epochs);
  EXPECT_LT(report->curve.size(), 200u);
  EXPECT_EQ(static_cast<int>(report->curve.size()), best + 3);
  double least = HUGE_VAL;
  for (const EpochLoss& point : report->curve) least = std::min(least, point.validation);
  if (best > 0) {
    EXPECT_EQ(report->curve[static_cast<size_t>(best - 1)].validation, least);
  }
}

TEST(PredictorTrainer, ThreeTiersAndMeansOfModels) {
  const Labels labels = made_up_labels(300);
  const auto report = train_predictor(
      {.tiers = {{"small", {"weak"}}, {"mid", {"weak", "strong"}}, {"full", {"strong"}}},
       .n_epochs = 3},
      labels);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->predictor.tiers().size(), 3u);
  EXPECT_EQ(report->predictor.facts().models[1], "weak+strong");
  EXPECT_EQ(report->test.pairs.size(), 2u);
}

TEST(PredictorTrainer, RefusesNonsense) {
  const Labels labels = made_up_labels(300);
  const auto code = [&labels](const TrainOptions& options) {
    const auto report = train_predictor(options, labels);
    return report.has_value() ? std::string("trained")
                              : std::string(error_code_name(report.error().code));
  };
  EXPECT_EQ(code({.n_epochs = 0}), "invalid_argument");
  EXPECT_EQ(code({.patience = 0}), "invalid_argument");
  EXPECT_EQ(code({.batch_rows = 0}), "invalid_argument");
  EXPECT_EQ(code({.learning_rate = 0}), "invalid_argument");
  EXPECT_EQ(code({.learning_rate = std::nanf("")}), "invalid_argument");
  EXPECT_EQ(code({.weight_decay = -1}), "invalid_argument");
  EXPECT_EQ(code({.clip_length = 0}), "invalid_argument");
  EXPECT_EQ(code({.word_dropout = 1}), "invalid_argument");
  EXPECT_EQ(code({.tiers = {{"one", {"weak"}}}}), "invalid_argument");
  EXPECT_EQ(code({.tiers = {{"a", {"weak"}}, {"b", {"zebra"}}}}), "invalid_argument");
  EXPECT_EQ(code({.tiers = {{"a", {"weak"}}, {"a", {"strong"}}}, .n_epochs = 1}),
            "invalid_argument");
  CancelFlag cancel;
  cancel.raise();
  EXPECT_EQ(code({.cancel = &cancel}), "cancelled");
  const auto few = train_predictor({}, made_up_labels(20));
  ASSERT_FALSE(few.has_value());
  EXPECT_THAT(few.error().message, HasSubstr("expected at least"));
}

TEST(PredictorTrainer, CrossValidationCoversEveryRow) {
  const Labels labels = made_up_labels(600);
  const auto evaluation = cross_validate({.n_epochs = 8}, labels, 3);
  ASSERT_TRUE(evaluation.has_value()) << evaluation.error().message;
  EXPECT_EQ(evaluation->n_rows, 600u);
  EXPECT_EQ(evaluation->rows, "3 folds");
  EXPECT_GT(evaluation->tiers[0].auc, 0.9);
  EXPECT_TRUE(evaluation->pairs[0].gain_chosen_before.has_value());
  EXPECT_FALSE(cross_validate({}, labels, 1).has_value());
}

TEST(PredictorTrainer, RealLabels) {
  const std::string path = AC_SHARED_DATA "/routing/mix14.jsonl";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no labels at " << path;
  const Labels labels = read_labels(path).value();
  const auto report = train_predictor({.n_epochs = 4}, labels);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->n_test, 339u);
  EXPECT_EQ(report->n_left_out, 69u) << "copies of test prompts";
  EXPECT_EQ(report->tiers[0].models[0], "llama-3.1-8b-instruct");
  // The best constant prediction has the entropy of the base rates, 0.67 nats; the words must help.
  double least = HUGE_VAL;
  for (const EpochLoss& point : report->curve) least = std::min(least, point.validation);
  EXPECT_LT(least, 0.64);
  // By chance an AUC of 339 rows has a standard deviation of 0.03.
  EXPECT_GT(report->test.tiers[0].auc, 0.62);
}

}  // namespace
}  // namespace ac
