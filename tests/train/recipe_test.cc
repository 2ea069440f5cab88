#include "models/train/recipe.h"

#include <gtest/gtest.h>

#include "models/train/train_log.h"
#include "runtime/core/file.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

constexpr const char* kLeast =
    "version = 1\n[model]\nd_model = 64\nlayers = 2\nheads = 4\nkv_heads = 2\nd_ff = 96\n"
    "[train]\nsteps = 10\n";

TEST(Recipe, TheOneThatShipsIsGood) {
  const auto recipe = read_base_recipe(AC_SOURCE_DIR "/models/recipes/research-mini.ini");
  ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
  EXPECT_EQ(recipe->model.name, "research-mini");
}

TEST(Recipe, DefaultsAndCanonicalForm) {
  const auto recipe = parse_base_recipe(kLeast, "/lab/r.ini");
  ASSERT_TRUE(recipe.has_value()) << recipe.error().message;
  EXPECT_EQ(recipe->model.d_model, 64);
  EXPECT_EQ(recipe->model.context, 512);
  EXPECT_EQ(recipe->prompt_weight, 0.1f);
  EXPECT_EQ(recipe->format, WeightFormat::kBF16);
  // Every value written out is the same recipe.
  const auto again = parse_base_recipe(recipe->canonical, "/elsewhere/s.ini");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->canonical, recipe->canonical);
}

TEST(Recipe, PathsAreRelativeToTheFile) {
  const auto recipe = parse_base_recipe(std::string(kLeast) + "[data]\ntext = words.txt\n", "/lab/r.ini");
  ASSERT_TRUE(recipe.has_value());
  EXPECT_EQ(recipe->text_path, "/lab/words.txt");
}

TEST(Recipe, ErrorsNameLineAndKey) {
  const auto message = [](const std::string& text) {
    const auto recipe = parse_base_recipe(text, "r.ini");
    return recipe ? std::string("no error") : recipe.error().message;
  };
  const std::string least = kLeast;
  EXPECT_EQ(message(least + "warmup = 3\n"),
            "r.ini:10: unknown key 'warmup' in [train], did you mean 'warm_up'?");
  EXPECT_EQ(message(least + "seed = -1\n"), "r.ini:10: seed is '-1', expected 0 to 4294967295");
  EXPECT_EQ(message(least + "steps = 11\n"), "r.ini:10: train.steps is there already, in line 9");
  EXPECT_NE(message("version = 1\n[train]\nsteps = 3\n").find("d_model is missing in [model]"), std::string::npos);
  EXPECT_NE(message(least.substr(12)).find("'version = 1' is missing"), std::string::npos);
  EXPECT_NE(message(least + "[tokenizer]\nvocab = 100\n").find("expected 259 to"), std::string::npos);
  std::string odd = least;
  odd.replace(odd.find("heads = 4"), 9, "heads = 3");
  EXPECT_NE(message(odd).find("64 with 3 heads"), std::string::npos);
  EXPECT_NE(message(least + "tokens_per_pack = 100\n").find("at least the context"), std::string::npos);
}

TEST(Recipe, GarbageIsAnError) {
  const std::string least = kLeast;
  for (size_t n = 0; n + 6 < least.size(); ++n) {
    EXPECT_FALSE(parse_base_recipe(least.substr(0, n), "r.ini").has_value()) << n;
  }
  Rng rng(9);
  for (int i = 0; i < 500; ++i) {
    std::string text = least;
    text[static_cast<size_t>(rng.below(text.size()))] = static_cast<char>(rng.below(256));
    const auto recipe = parse_base_recipe(text, "r.ini");  // an error or a recipe, never a crash
    if (recipe) {
      EXPECT_GT(recipe->model.d_model, 0);
    }
  }
}

TEST(TrainLog, LinesAreReadAgain) {
  const std::vector<LogPoint> points = {
      {.step = 1, .n_tokens = 100, .loss = 5.5, .tokens_per_s = 20000, .learning_rate = 1e-3, .gradient_length = 2},
      {.step = 2, .n_tokens = 200, .loss = 5.25, .held_out = 5.75, .tokens_per_s = 21000, .learning_rate = 2e-3, .gradient_length = 1.5}};
  const std::string text = log_lines(points);
  const auto again = parse_log_lines(text, "x.log");
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(log_lines(*again), text);
  EXPECT_EQ((*again)[1].held_out, 5.75);
  for (size_t n = 1; n + 1 < text.size(); ++n) {
    const auto cut = parse_log_lines(text.substr(0, n), "x.log");
    const bool whole_line = text[n - 1] == '\n' || text[n] == '\n';
    EXPECT_EQ(cut.has_value(), whole_line) << n;
    if (!cut) {
      EXPECT_EQ(cut.error().message.rfind("x.log:", 0), 0u);
    }
  }
}

TEST(TrainLog, TheCurveIsOneWellFormedPicture) {
  std::vector<LogPoint> points;
  for (int i = 1; i <= 5000; ++i) {
    points.push_back({.step = i, .loss = 2 + 4.0 / i});
    if (i % 500 == 0) points.back().held_out = 2.5;
  }
  const std::string svg = loss_curve_svg(points, "a < b & c", {6.5, "unigram"});
  EXPECT_EQ(svg.rfind("<svg ", 0), 0u);
  EXPECT_NE(svg.find("a &lt; b &amp; c"), std::string::npos);
  EXPECT_NE(svg.find("unigram 6.500"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_LT(svg.size(), 40000u);
  // No points, one point, points that are all alike.
  for (const size_t n : {size_t{0}, size_t{1}}) {
    const std::string small = loss_curve_svg(std::span(points).first(n), "t", {});
    EXPECT_EQ(small.find("nan"), std::string::npos) << n;
    EXPECT_EQ(small.find("inf"), std::string::npos) << n;
  }
}

}  // namespace
}  // namespace ac
