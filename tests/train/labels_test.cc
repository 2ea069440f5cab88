#include "models/train/labels.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

namespace ac {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kGood =
    R"({"prompt": "Add 2 and 2.", "task": "sum", "split": "train", "scores": {"b": 1, "a": 0.5}})"
    "\n"
    R"({"prompt": "Which?", "options": ["one", "two"], "scores": {"b": -0.03, "c": null}, "id": 7})"
    "\r\n\n"
    R"({"prompt": "", "split": "test", "scores": {"c": 0}})";

TEST(Labels, ReadsRowsModelsAndSplits) {
  const auto labels = parse_labels(kGood, "good.jsonl");
  ASSERT_TRUE(labels.has_value()) << labels.error().message;
  EXPECT_EQ(labels->name, "good.jsonl");
  EXPECT_THAT(labels->models, ElementsAre("a", "b", "c"));
  ASSERT_EQ(labels->rows.size(), 3u);
  const LabelRow& first = labels->rows[0];
  EXPECT_EQ(first.prompt, "Add 2 and 2.");
  EXPECT_EQ(first.task, "sum");
  EXPECT_TRUE(first.has_split);
  EXPECT_EQ(first.split, Split::kTrain);
  EXPECT_EQ(first.scores[0], 0.5f);
  EXPECT_EQ(first.scores[1], 1.0f);
  EXPECT_TRUE(std::isnan(first.scores[2]));
  const LabelRow& second = labels->rows[1];
  EXPECT_EQ(second.prompt, "Which?\none\ntwo");
  EXPECT_FALSE(second.has_split);
  EXPECT_EQ(second.scores[1], 0.0f) << "below chance is no success";
  EXPECT_TRUE(std::isnan(second.scores[2]));
  EXPECT_EQ(labels->rows[2].split, Split::kTest);
  EXPECT_THAT(mean_scores(*labels), ElementsAre(0.5, 0.5, 0.0));
}

struct Bad {
  const char* line;
  const char* message;
};
const Bad kBad[] = {
    {"[]", "expected an object"},
    {"7", "expected an object"},
    {"{", "line"},
    {"{}", "prompt"},
    {R"({"prompt": 7, "scores": {"a": 1}})", "prompt"},
    {R"({"prompt": null, "scores": {"a": 1}})", "prompt"},
    {R"({"prompt": "p"})", "scores"},
    {R"({"prompt": "p", "scores": [1]})", "scores"},
    {R"({"prompt": "p", "scores": {}})", "scores"},
    {R"({"prompt": "p", "scores": {"": 1}})", "scores"},
    {R"({"prompt": "p", "scores": {"a": "1"}})", "scores.a"},
    {R"({"prompt": "p", "scores": {"a": true}})", "scores.a"},
    {R"({"prompt": "p", "scores": {"a": {}}})", "scores.a"},
    {R"({"prompt": "p", "scores": {"a": 1.5}})", "scores.a"},
    {R"({"prompt": "p", "scores": {"a": -2}})", "scores.a"},
    {R"({"prompt": "p", "scores": {"a": 1e300}})", "scores.a"},
    {R"({"prompt": "p", "scores": {"a": 123456789012345678901234567890}})", "scores.a"},
    {R"({"prompt": "p", "scores": {"a": 1e999}})", "line"},
    {R"({"prompt": "p", "scores": {"a": NaN}})", "line"},
    {R"({"prompt": "p", "scores": {"a": 1, "a": 0}})", "a"},
    {R"({"prompt": "p", "split": "exam", "scores": {"a": 1}})", "split"},
    {R"({"prompt": "p", "split": 3, "scores": {"a": 1}})", "split"},
    {R"({"prompt": "p", "task": 3, "scores": {"a": 1}})", "task"},
    {R"({"prompt": "p", "options": "one", "scores": {"a": 1}})", "options"},
    {R"({"prompt": "p", "options": ["one", 2], "scores": {"a": 1}})", "options"},
    {R"({"prompt": "p", "scores": {"a": 1}} {})", "line"},
    {"{\"prompt\": \"p\xFF\", \"scores\": {\"a\": 1}}", "UTF-8"},
    {"{\"prompt\": \"p\", \"deep\": [[[[[[[[[[[[]]]]]]]]]]]], \"scores\": {\"a\": 1}}", "line"},
};

TEST(Labels, ErrorsNameTheLineAndTheField) {
  const std::string good = R"({"prompt": "p", "scores": {"a": 1}})";
  for (const Bad& bad : kBad) {
    const auto labels = parse_labels(good + "\n\n" + bad.line + "\n" + good, "bad.jsonl");
    ASSERT_FALSE(labels.has_value()) << bad.line;
    EXPECT_EQ(labels.error().code, ErrorCode::kCorruptFile) << bad.line;
    EXPECT_THAT(labels.error().message,
                AllOf(HasSubstr("bad.jsonl"), HasSubstr("line 3"), HasSubstr(bad.message)))
        << bad.line;
  }
}

TEST(Labels, NothingToLearnFromIsAnError) {
  for (const std::string_view empty : {"", "\n\n", "  \r\n"}) {
    EXPECT_FALSE(parse_labels(empty, "empty").has_value());
  }
  EXPECT_FALSE(parse_labels(R"({"prompt": "p", "scores": {"a": null}})", "x").has_value());
}

TEST(Labels, CutAtEveryLength) {
  for (size_t n = 0; n < kGood.size(); ++n) {
    const std::string cut = kGood.substr(0, n);  // its own memory, so that reading past it shows
    const auto labels = parse_labels(cut, "cut");
    // Whole only between lines.
    const bool between = n > 0 && (cut.back() == '}' || cut.back() == '\n' || cut.back() == '\r');
    EXPECT_TRUE(between || !labels.has_value()) << n;
  }
}

TEST(Labels, FlippedBytesAreReadOrRefused) {
  for (size_t i = 0; i < kGood.size(); ++i) {
    for (const char flip : {'\x01', '\x20', '\x80', '\xFF'}) {
      std::string text = kGood;
      text[i] = static_cast<char>(text[i] ^ flip);
      const auto labels = parse_labels(text, "flipped");
      if (!labels.has_value()) {
        EXPECT_THAT(labels.error().message, HasSubstr("flipped"));
        continue;
      }
      for (const LabelRow& row : labels->rows) {
        EXPECT_EQ(row.scores.size(), labels->models.size());
      }
    }
  }
}

TEST(Labels, TooManyModels) {
  const auto with_models = [](int from, int to) {
    std::string line = R"({"prompt": "p", "scores": {)";
    for (int m = from; m < to; ++m) {
      line += (m > from ? ", \"m" : "\"m") + std::to_string(m) + "\": 1";
    }
    return line + "}}\n";
  };
  EXPECT_TRUE(parse_labels(with_models(0, 256), "x").has_value());
  EXPECT_FALSE(parse_labels(with_models(0, 257), "x").has_value());
  EXPECT_FALSE(parse_labels(with_models(0, 200) + with_models(200, 300), "x").has_value());
}

TEST(Tiers, AreParsed) {
  const auto one = parse_tier_source("small=llama-8b");
  ASSERT_TRUE(one.has_value());
  EXPECT_EQ(one->tier, "small");
  EXPECT_THAT(one->models, ElementsAre("llama-8b"));
  const auto two = parse_tier_source("mid=a+b@host=1");
  ASSERT_TRUE(two.has_value());
  EXPECT_THAT(two->models, ElementsAre("a", "b@host=1"));
  EXPECT_EQ(models_of(*two), "a+b@host=1");
  for (const std::string_view bad : {"", "small", "=a", "small=", "small=a+", "small=+a", "="}) {
    EXPECT_FALSE(parse_tier_source(bad).has_value()) << bad;
  }
}

TEST(Tiers, DefaultIsAPairOrAQuestion) {
  const auto labels = [](const std::string& scores) {
    return parse_labels(R"({"prompt": "p", "scores": )" + scores + "}", "x").value();
  };
  const auto two = default_tiers(labels(R"({"big": 1, "a-small": 0.25})"));
  ASSERT_TRUE(two.has_value());
  EXPECT_THAT((*two)[0].models, ElementsAre("a-small"));
  EXPECT_EQ((*two)[1].tier, "full");
  const auto known = default_tiers(
      labels(R"({"llama-3.1-8b-instruct": 0, "llama-3.1-nemotron-51b-instruct": 0, "zebra": 1})"));
  ASSERT_TRUE(known.has_value());
  EXPECT_THAT((*known)[0].models, ElementsAre("llama-3.1-8b-instruct"));
  const auto three = default_tiers(labels(R"({"a": 0.75, "b": 0.25, "c": 0.5})"));
  ASSERT_FALSE(three.has_value());
  EXPECT_THAT(three.error().message, HasSubstr("b 0.250, c 0.500, a 0.750"));
}

TEST(Tiers, RowsNeedAScoreForEveryTier) {
  const auto labels = parse_labels(
      "{\"prompt\": \"1\", \"scores\": {\"a\": 1, \"b\": 0.5, \"c\": 0}}\n"
      "{\"prompt\": \"2\", \"scores\": {\"a\": 1, \"c\": 0}}\n"
      "{\"prompt\": \"3\", \"scores\": {\"a\": 0, \"b\": 1, \"c\": 1}}\n",
      "x");
  ASSERT_TRUE(labels.has_value());
  const std::vector<TierSource> tiers = {{"low", {"b", "c"}}, {"high", {"a"}}};
  const auto rows = tier_rows(*labels, tiers);
  ASSERT_TRUE(rows.has_value());
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_THAT((*rows)[0].scores, ElementsAre(0.25f, 1.0f));
  EXPECT_EQ((*rows)[1].row, 2u);
  const std::vector<TierSource> unknown = {{"low", {"b", "zebra"}}};
  const auto refused = tier_rows(*labels, unknown);
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().message, AllOf(HasSubstr("zebra"), HasSubstr("c 0.333")));
}

std::string rows_of(int n, const std::string& split) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    text += "{\"prompt\": \"question " + std::to_string(i) + "\"" +
            (split.empty() ? "" : ", \"split\": \"" + split + "\"") + ", \"scores\": {\"a\": 1}}\n";
  }
  return text;
}

TEST(Splits, ByHashWhereTheFileNamesNone) {
  const auto labels = parse_labels(rows_of(5000, ""), "x").value();
  std::map<Split, int> count;
  for (const Split split : assign_splits(labels)) ++count[split];
  // Binomial: sd of the shares below 0.6 % of 5,000.
  EXPECT_NEAR(count[Split::kTest], 1000, 120);
  EXPECT_NEAR(count[Split::kValidation], 500, 90);
  EXPECT_EQ(count[Split::kUnused], 0);
}

TEST(Splits, NoPromptOnTwoSides) {
  // The first 100 questions are in both; the file's test rows win.
  const auto labels = parse_labels(rows_of(1000, "train") + rows_of(100, "test"), "x").value();
  const std::vector<Split> splits = assign_splits(labels);
  std::map<std::string, Split> side;
  int n_unused = 0;
  for (size_t r = 0; r < splits.size(); ++r) {
    if (splits[r] == Split::kUnused) {
      ++n_unused;
      continue;
    }
    const auto [entry, is_new] = side.try_emplace(labels.rows[r].prompt, splits[r]);
    EXPECT_EQ(entry->second, splits[r]) << labels.rows[r].prompt;
  }
  EXPECT_EQ(n_unused, 100);
  for (size_t r = 1000; r < 1100; ++r) EXPECT_EQ(splits[r], Split::kTest);
}

TEST(Splits, TheHashIsFixed) {
  // A change would move test prompts of published predictors into training.
  EXPECT_EQ(prompt_hash(""), 0x8570e25450bbd481u);
  EXPECT_EQ(prompt_hash("question 1"), 0x1baa0510b2fc8d91u);
}

TEST(Labels, RealFiles) {
  struct Known {
    const char* file;
    size_t n_rows, n_models;
  };
  for (const Known& known : {Known{"mix14.jsonl", 5334, 9}, Known{"routerarena.jsonl", 809, 2},
                             Known{"gsm8k_models.jsonl", 1319, 44}}) {
    const std::string path = std::string(AC_SHARED_DATA "/routing/") + known.file;
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no labels at " << path;
    uint64_t last = 0;
    const auto labels = read_labels(path, [&last](uint64_t done, uint64_t total) {
      EXPECT_GE(done, last);
      EXPECT_LE(done, total);
      last = done;
    });
    ASSERT_TRUE(labels.has_value()) << labels.error().message;
    EXPECT_EQ(labels->name, known.file);
    EXPECT_EQ(labels->rows.size(), known.n_rows);
    EXPECT_EQ(labels->models.size(), known.n_models);
    EXPECT_GT(last, 0u);
    EXPECT_TRUE(default_tiers(*labels).has_value());
  }
}

TEST(Labels, MissingFile) {
  const auto labels = read_labels("/nowhere/labels.jsonl");
  ASSERT_FALSE(labels.has_value());
  EXPECT_EQ(labels.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace ac
