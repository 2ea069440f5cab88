// Logistic regression against its own optimality conditions, and the gate learned from made-up and
// from real labels.
#include "models/train/gate_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "models/train/logistic.h"
#include "models/train/router_table.h"
#include "runtime/core/rng.h"
#include "tests/train/made_up_labels.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

SparseRows random_rows(size_t n_rows, size_t n_columns, Rng& rng) {
  SparseRows rows;
  rows.n_columns = n_columns;
  for (size_t r = 0; r < n_rows; ++r) {
    for (size_t c = 0; c < n_columns; ++c) {
      if (rng.below(3) == 0) rows.add(static_cast<uint16_t>(c), static_cast<float>(rng.normal()));
    }
    rows.end_row();
  }
  return rows;
}

TEST(Logistic, StandsWhereTheGradientIsNothing) {
  Rng rng(1);
  const SparseRows rows = random_rows(400, 30, rng);
  std::vector<float> labels;
  std::vector<uint32_t> which;
  for (uint32_t r = 0; r < rows.size(); ++r) {
    labels.push_back(static_cast<float>(rng.uniform()));
    if (r % 4 != 0) which.push_back(r);
  }
  const double penalty = 2;
  const LogisticModel model = fit_logistic(
      rows, which, labels, {.penalty = penalty, .max_iterations = 500, .tolerance = 1e-14});
  std::vector<double> gradient(rows.n_columns + 1, 0);
  for (size_t c = 0; c < rows.n_columns; ++c) gradient[c] = penalty * model.weights[c];
  for (const uint32_t r : which) {
    const double error = 1 / (1 + std::exp(-model.logit(rows, r))) - static_cast<double>(labels[r]);
    gradient.back() += error;
    for (size_t k = rows.begin[r]; k < rows.begin[r + 1]; ++k) {
      gradient[rows.columns[k]] += error * static_cast<double>(rows.values[k]);
    }
  }
  for (const double value : gradient) EXPECT_NEAR(value, 0, 1e-4);
}

TEST(Logistic, StartsFromAnotherModelAndEndsAtTheSame) {
  Rng rng(2);
  const SparseRows rows = random_rows(200, 20, rng);
  std::vector<float> labels;
  std::vector<uint32_t> which;
  for (uint32_t r = 0; r < rows.size(); ++r) {
    labels.push_back(static_cast<float>(rng.below(2)));
    which.push_back(r);
  }
  const LogisticOptions options{.penalty = 1, .max_iterations = 500, .tolerance = 1e-14};
  const LogisticModel from_nothing = fit_logistic(rows, which, labels, options);
  const LogisticModel rough = fit_logistic(rows, which, labels, {.penalty = 50});
  const LogisticModel from_rough = fit_logistic(rows, which, labels, options, rough);
  for (size_t c = 0; c < rows.n_columns; ++c) {
    EXPECT_NEAR(from_nothing.weights[c], from_rough.weights[c], 1e-4);
  }
}

TEST(Calibrate, UndoesAScaleAndAShift) {
  Rng rng(3);
  std::vector<double> logits;
  std::vector<float> labels;
  for (int i = 0; i < 20000; ++i) {
    const double z = rng.normal() * 2;
    logits.push_back((z - 0.5) / 1.7);
    labels.push_back(rng.uniform() < 1 / (1 + std::exp(-z)) ? 1.0f : 0.0f);
  }
  const Calibration calibration = calibrate(logits, labels);
  EXPECT_NEAR(calibration.scale, 1.7, 0.08);
  EXPECT_NEAR(calibration.shift, 0.5, 0.08);
}

const std::vector<TierSource> kTiers = {{"small", {"weak"}}, {"full", {"strong"}}};

TEST(GateTrainer, LearnsWhatTheWordsSay) {
  const Labels labels = made_up_labels(3000);
  const auto report = train_gate({.tiers = kTiers, .retain = 0.95}, labels);
  ASSERT_TRUE(report) << report.error().message;
  NgramReader reader;
  const auto says = [&](std::string_view prompt) {
    return report->gate.predict(reader.read(prompt)).success;
  };
  EXPECT_GT(says("the river since a tree please count blue 77")[0], 0.9f);
  EXPECT_LT(says("the river prove a tree please count blue 77")[0], 0.2f);
  EXPECT_GT(says("the river prove a tree please count blue 77")[1], 0.8f);
  EXPECT_LT(says("the river riddle a tree please count blue 77")[1], 0.3f);
  // Two prompts in five must not stay; riddles may, since both fail.
  ASSERT_TRUE(report->promised.allowance);
  EXPECT_NEAR(report->promised.kept, 0.6, 0.08);
  EXPECT_GT(report->promised.retained, 0.95);
  EXPECT_EQ(report->gate.parts().calibration.n_rows(), report->n_calibration);
  EXPECT_LT(report->gate.novelty(reader.read("the river since a tree please count blue")), 0.2);
  EXPECT_GT(report->gate.novelty(reader.read("zygotes divide asymmetrically under stress")), 0.9);
}

TEST(GateTrainer, TheSameLabelsGiveTheSameBits) {
  const Labels labels = made_up_labels(400);
  const auto once = train_gate({.tiers = kTiers}, labels);
  const auto again = train_gate({.tiers = kTiers}, labels);
  ASSERT_TRUE(once && again);
  EXPECT_EQ(once->gate.parts().weights, again->gate.parts().weights);
  EXPECT_EQ(once->gate.parts().calibration.predicted, again->gate.parts().calibration.predicted);
}

TEST(GateTrainer, TooFewLabels) {
  const auto report = train_gate({.tiers = kTiers}, made_up_labels(12));
  ASSERT_FALSE(report);
  EXPECT_THAT(report.error().message, HasSubstr("expected at least"));
}

TEST(RouterTable, StandsBetweenRandomAndOracle) {
  const auto table = router_table(
      made_up_labels(1200), {.weak = "weak", .strong = "strong", .retain = 0.95, .n_trials = 20});
  ASSERT_TRUE(table) << table.error().message;
  std::map<std::string, RouterRow> rows;
  for (const RouterRow& row : table->rows) rows[row.name] = row;
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_GT(rows["default"].cut, rows["random"].cut + 0.2);
  EXPECT_LE(rows["default"].cut, rows["oracle"].cut + 0.01);
  EXPECT_GT(rows["default"].apgr, 0.8);
  EXPECT_LT(rows["default"].cpt80, 0.5);
  EXPECT_LT(rows["default"].ece, 0.05);
  EXPECT_LE(table->guarantee.missed, 0.2);
  EXPECT_FALSE(router_table_lines(*table).empty());
}

TEST(RouterTable, AgreementOfADraftHelpsWherePromptsSayNothing) {
  Rng rng(4);
  std::string text;
  for (int i = 0; i < 1500; ++i) {
    const bool weak_ok = rng.uniform() < 0.6;
    const char* weak = weak_ok ? "7" : rng.below(2) == 0 ? "8" : "9";
    const char* draft = rng.uniform() < 0.8 ? "7" : rng.below(2) == 0 ? "8" : "5";
    text += fmt::format(
        R"({{"prompt": "question {}", "scores": {{"w": {}, "s": 1}}, "answers": {{"w": "{}", "d": "{}"}}}})"
        "\n",
        i, weak_ok ? 1 : 0, weak, draft);
    // A model needs scores to be known.
    text.insert(text.rfind("\"s\": 1") + 6, ", \"d\": 0");
  }
  const Labels labels = parse_labels(text, "drafts.jsonl").value();
  const RouterTableOptions options{.weak = "w", .strong = "s", .drafts = {"d"}, .n_trials = 0};
  const auto table = router_table(labels, options);
  ASSERT_TRUE(table) << table.error().message;
  EXPECT_EQ(table->rows[1].name, "agreement");
  EXPECT_GT(table->rows[1].cut, table->rows[0].cut + 0.2);
  EXPECT_GT(table->rows[1].retained, 0.9);
}

TEST(RouterTable, SaysWhatIsWrong) {
  const Labels labels = made_up_labels(400);
  EXPECT_THAT(router_table(labels, {.weak = "none", .strong = "strong"}).error().message,
              HasSubstr("no model 'none'"));
  EXPECT_THAT(router_table(labels, {.weak = "weak", .strong = "strong", .drafts = {"weak"}})
                  .error()
                  .message,
              HasSubstr("answers"));
}

// LLMRouter's 14-task mix: the cut that the documentation claims, with thresholds from other folds.
TEST(RealLabels, TheDefaultGateKeepsMostPromptsLocal) {
  const std::string path = std::string(AC_SHARED_DATA) + "/routing/mix14.jsonl";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not here";
  const Labels labels = read_labels(path).value();
  const std::vector<TierSource> tiers = {{"weak", {"llama-3.1-8b-instruct"}},
                                         {"strong", {"llama-3.1-nemotron-51b-instruct"}}};
  const GateExamples examples = gate_examples(labels, tiers).value();
  const auto predicted = gate_out_of_fold(examples, rows_of(examples), 5, nullptr);
  ASSERT_TRUE(predicted) << predicted.error().message;
  std::vector<float> gain;
  for (size_t i = 0; i < examples.size(); ++i) {
    gain.push_back((*predicted)[0][i] - (*predicted)[1][i]);
  }
  const Outcome outcome{examples.earned[0], examples.earned[1]};
  EXPECT_GE(largest_cut(gain, outcome, 0.96).cut, 0.70);
  EXPECT_LT(calibration_error((*predicted)[0], examples.earned[0]), 0.05);
}

}  // namespace
}  // namespace ac
