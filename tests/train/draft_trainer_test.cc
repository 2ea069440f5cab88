// The draft gate learned from labels in which the truth shows in what variants show.
#include "models/train/draft_trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "models/train/label_signals.h"
#include "models/train/router_table.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

// Prompts that say nothing; "weak" is right where its log-probabilities are high, "strong" nearly
// always. The hidden state knows half of it before a word is written.
Labels shown_labels(int n_rows, bool with_answers = true) {
  Rng rng(11);
  std::string text;
  for (int i = 0; i < n_rows; ++i) {
    const bool right = rng.uniform() < 0.6, strong = rng.uniform() < 0.95;
    DraftSignals signals;
    signals.entropy = 0.5f;
    signals.mean_logprob = right ? -0.01f : -0.5f;
    signals.low_logprob = 3 * signals.mean_logprob;
    signals.least_logprob = 5 * signals.mean_logprob;
    signals.n_tokens = 20;
    const bool knows = rng.uniform() < 0.5;
    signals.hidden = {knows ? (right ? 1.0f : -1.0f) : 0.0f, 1, 0};
    OrderedJson row{{"prompt", "question " + std::to_string(i)}};
    row["scores"] = {{"weak", right ? 1 : 0}, {"medium", right ? 1 : 0}, {"strong", strong ? 1 : 0}};
    if (with_answers) row["answers"] = {{"weak", "x"}, {"medium", right ? "x" : "y"}, {"strong", "x"}};
    row["signals"] = {{"weak", signals_to_json(signals)}, {"medium", signals_to_json(signals)}};
    text += json_line(row) + "\n";
  }
  return parse_labels(text, "shown.jsonl").value();
}

const std::vector<TierSource> kTiers = {
    {"weak", {"weak"}}, {"medium", {"medium"}}, {"strong", {"strong"}}};

TEST(LabelSignals, ComeBack) {
  DraftSignals signals{.entropy = 1.5f, .margin = 0.25f, .hidden = {0.5f, -2}};
  signals.mean_logprob = -0.125f;
  signals.low_logprob = -0.5f;
  signals.least_logprob = -3;
  signals.n_tokens = 7;
  signals.n_ungrounded = 2;
  signals.n_wrong_sums = 1;
  signals.repeats = true;
  signals.cut_off = true;
  const Json json = parse_json(json_line(signals_to_json(signals))).value();
  const DraftSignals read = signals_from_json(json).value();
  EXPECT_EQ(read.entropy, signals.entropy);
  EXPECT_EQ(read.margin, signals.margin);
  EXPECT_EQ(read.hidden, signals.hidden);
  EXPECT_EQ(read.mean_logprob, signals.mean_logprob);
  EXPECT_EQ(read.low_logprob, signals.low_logprob);
  EXPECT_EQ(read.least_logprob, signals.least_logprob);
  EXPECT_EQ(read.n_tokens, 7);
  EXPECT_EQ(read.n_ungrounded, 2);
  EXPECT_EQ(read.n_wrong_sums, 1);
  EXPECT_TRUE(read.repeats);
  EXPECT_TRUE(read.cut_off);
}

TEST(LabelSignals, SayWhereTheyAreWrong) {
  const auto message = [](const std::string& signals) {
    const auto labels = parse_labels(
        R"({"prompt":"p","scores":{"weak":1},"signals":)" + signals + "}\n", "bad.jsonl");
    EXPECT_FALSE(labels);
    return labels ? std::string() : labels.error().message;
  };
  EXPECT_THAT(message("3"), HasSubstr("field 'signals'"));
  EXPECT_THAT(message(R"({"weak":[]})"), HasSubstr("field 'signals.weak'"));
  EXPECT_THAT(message(R"({"weak":{"entropy":"x"}})"), HasSubstr("entropy"));
  std::string good = json_line(signals_to_json({}));
  good.pop_back();
  EXPECT_THAT(message(R"({"weak":)" + good + R"(,"hidden":[1e39]}})"), HasSubstr("hidden"));
}

TEST(DraftTrainer, FindsWhatDraftsShow) {
  const Labels labels = shown_labels(1200);
  const auto report = train_gate({.tiers = kTiers, .retain = 0.95}, labels);
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_TRUE(report->draft);
  EXPECT_EQ(report->draft->parts().n_hidden, 3);
  EXPECT_EQ(report->draft->parts().seconds, (std::vector<std::string>{"medium", "weak"}));
  EXPECT_LT(report->promised.kept, 0.2);
  ASSERT_TRUE(report->with_draft.allowance);
  EXPECT_GT(report->with_draft.kept, 0.5);
  const Prediction prediction{{0.6f, 0.6f, 0.95f}};
  DraftSignals good, bad;
  good.hidden = bad.hidden = {0, 1, 0};
  good.entropy = bad.entropy = 0.5f;
  good.n_tokens = bad.n_tokens = 20;
  good.mean_logprob = -0.01f, good.low_logprob = -0.03f, good.least_logprob = -0.05f;
  bad.mean_logprob = -0.5f, bad.low_logprob = -1.5f, bad.least_logprob = -2.5f;
  const auto success = [&](const DraftSignals& signals) {
    return report->draft->predict(DraftStage::kDraft, 0, prediction, signals);
  };
  EXPECT_GT(success(good).variant, 0.9);
  EXPECT_LT(success(bad).variant, 0.1);
  EXPECT_GT(success(bad).full, 0.8);
  // The hidden state alone, before anything is written.
  DraftSignals before = good;
  before.hidden = {-1, 1, 0};
  EXPECT_LT(report->draft->predict(DraftStage::kProbe, 0, prediction, before).variant, 0.4);
}

TEST(DraftTrainer, TheTableShowsWhatEachStageIsWorth) {
  const auto table =
      router_table(shown_labels(800), {.weak = "weak", .strong = "strong", .n_trials = 0});
  ASSERT_TRUE(table) << table.error().message;
  const auto row = [&](std::string_view name) {
    for (const RouterRow& one : table->rows) {
      if (one.name == name) return one;
    }
    ADD_FAILURE() << "no row " << name;
    return RouterRow();
  };
  EXPECT_GT(row("probe").apgr, row("default").apgr + 0.1);
  EXPECT_GT(row("draft").apgr, row("default").apgr + 0.2);
  EXPECT_GT(row("draft").cut, row("probe").cut + 0.1);
  EXPECT_GT(row("draft").cut, 0.55);
}

TEST(DraftTrainer, WithoutSignalsThereIsNone) {
  Labels labels = shown_labels(200);
  labels.rows[150].signals.clear();
  const auto report = train_gate({.tiers = kTiers}, labels);
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->draft);
}

TEST(DraftTrainer, SaysWhatIsMissing) {
  const auto without_answers = train_gate({.tiers = kTiers}, shown_labels(200, false));
  ASSERT_FALSE(without_answers);
  EXPECT_THAT(without_answers.error().message, HasSubstr("'answers'"));
  Labels labels = shown_labels(200);
  labels.rows[7].signals[2]->hidden.pop_back();
  const auto uneven = train_gate({.tiers = kTiers}, labels);
  ASSERT_FALSE(uneven);
  EXPECT_THAT(uneven.error().message, HasSubstr("row 8 has a hidden state of another length"));
}

}  // namespace
}  // namespace ac
