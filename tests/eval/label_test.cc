// Labels of a zoo whose variants say what they were told to.
#include "runtime/eval/label.h"

#include <gtest/gtest.h>

#include "models/predictor/compare_text.h"
#include "tests/eval/told_engine.h"

namespace ac {
namespace {

TEST(CompareText, Lines) {
  EXPECT_TRUE(same_lines(" a b\r\n\n c", "a b\nc\n"));
  EXPECT_FALSE(same_lines("a b", "a  b"));
  EXPECT_FALSE(same_lines("a\nb", "a b"));
  EXPECT_TRUE(same_lines("", " \n"));
}

TEST(CompareText, Words) {
  EXPECT_EQ(word_overlap("a b c", "c  b\na"), 1);
  EXPECT_EQ(word_overlap("", ""), 1);
  EXPECT_EQ(word_overlap("a", ""), 0);
  EXPECT_DOUBLE_EQ(word_overlap("a a b", "a c"), 2.0 / 5);
}

class ToldVariants final : public VariantSource {
 public:
  ToldVariants() {
    variants_.push_back({.cost = {.id = "dear", .cost = 2}});
    variants_.push_back({.cost = {.id = "cheap", .cost = 1}});
  }
  std::span<const LocalVariant> variants() const override { return variants_; }
  Result<std::unique_ptr<Engine>> load(std::string_view id) const override {
    auto engine = std::make_unique<ToldEngine>();
    engine->answer = [dear = id == "dear"](const std::string& prompt) {
      return dear || prompt == "easy" ? "the right words" : "the wrong words";
    };
    return std::unique_ptr<Engine>(std::move(engine));
  }
  Result<ModelText> load_text() const override { return fail(ErrorCode::kNotFound, "none"); }

 private:
  std::vector<LocalVariant> variants_;
};

const std::vector<PromptToLabel> kPrompts = {
    {.prompt = "easy",
     .task = "t",
     .score = [](std::string_view a) { return a == "the right words" ? 1.0 : 0.0; }},
    {.prompt = "hard",
     .task = "t",
     .score = [](std::string_view a) { return a == "the right words" ? 1.0 : 0.0; }},
    {.prompt = "hard", .task = ""}};

TEST(Label, ACheckerOrTheReferenceScores) {
  std::vector<std::string> order;
  const auto columns =
      label_prompts(ToldVariants(), kPrompts,
                    {.on_variant = [&](std::string_view id) { order.emplace_back(id); }});
  ASSERT_TRUE(columns) << columns.error().message;
  EXPECT_EQ(order, (std::vector<std::string>{"cheap", "dear"}));
  ASSERT_EQ(columns->size(), 2u);
  EXPECT_EQ((*columns)[0].scores, (std::vector<double>{1, 0, 2.0 / 3}));
  EXPECT_EQ((*columns)[1].scores, (std::vector<double>{1, 1, 1}));
  EXPECT_EQ((*columns)[0].answers[1], "the wrong words");
}

TEST(Label, AReferenceMustBeThere) {
  const auto columns = label_prompts(ToldVariants(), kPrompts, {.reference = "other"});
  ASSERT_FALSE(columns);
  EXPECT_EQ(columns.error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace ac
