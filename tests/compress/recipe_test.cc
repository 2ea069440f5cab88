#include "models/compress/recipe.h"

#include <gtest/gtest.h>

namespace ac {
namespace {

constexpr std::string_view kWhole =
    "version = 1\n"
    "[calibrate]\n"
    "tokens = 4096\n"
    "window = 128\n"
    "[measure]\n"
    "tokens = 999\n"
    "[small.1]\n"
    "prune = ff_keep=0.5 kv_keep=0.75 unit=64 selection=strength global=no\n"
    "repair = damping=0.1\n"
    "low_rank = keep=0.6 joint_qkv=yes   ; q, k and v\n"
    "repair = least_squares\n"
    "quantise = q4_k rounding=search output=q6_k\n"
    "[q8]\n"
    "quantise = q8_0\n"
    "[fine]\n"
    "quantise = nested levels=0,25,100 damping=0.02 reorder=no output=q6_k order_tokens=512\n"
    "[finer]\n"
    "quantise = nested\n"
    "[taught]\n"
    "recover = full\n"
    "[taught.2]\n"
    "recover = full optimizer=adamw\n"
    "[taught.3]\n"
    "recover = lora rank=8\n";

TEST(Recipe, EveryNumberIsInTheText) {
  const auto recipe = parse_recipe(kWhole, "a.ini");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(recipe->calibrate_tokens, 4096u);
  EXPECT_EQ(recipe->window, 128);
  EXPECT_EQ(recipe->measure_tokens, 999u);
  ASSERT_EQ(recipe->variants.size(), 7u);
  EXPECT_EQ(recipe->variants[0].id, "small.1");
  std::vector<std::string> texts;
  for (const auto& technique : recipe->variants[0].chain) texts.push_back(technique->text());
  const std::vector<std::string> expected = {
      "prune ff_keep=0.5 kv_keep=0.75 time_keep=1 drop_layers=0 unit=64 floor=0.25 damping=0.01 "
      "selection=strength global=no compensate=yes",
      "repair least_squares damping=0.1",
      "low_rank keep=0.6 q=yes o=yes joint_qkv=yes unit=32 weighted=yes",
      "repair least_squares damping=0.01",
      "quantise q4_k rounding=search output=q6_k",
  };
  EXPECT_EQ(texts, expected);
  EXPECT_EQ(recipe->variants[1].chain[0]->text(),
            "quantise q8_0 rounding=compensated damping=0.01 reorder=yes");
  EXPECT_TRUE(recipe->variants[1].chain[0]->needs_calibration());
  EXPECT_EQ(recipe->variants[1].levels(), std::vector<int32_t>());
  // Levels say which variants there are, not how they are made.
  texts.push_back(recipe->variants[2].chain[0]->text());
  EXPECT_EQ(texts.back(), "quantise nested damping=0.02 reorder=no output=q6_k order_tokens=512");
  EXPECT_EQ(recipe->variants[2].levels(), (std::vector<int32_t>{0, 25, 100}));
  EXPECT_EQ(level_id("fine", 25), "fine.25");
  texts.push_back(recipe->variants[3].chain[0]->text());
  EXPECT_EQ(texts.back(), "quantise nested damping=0.01 reorder=yes order_tokens=1024");
  EXPECT_EQ(recipe->variants[3].levels(), (std::vector<int32_t>{0, 50, 100}));
  EXPECT_TRUE(recipe->variants[3].chain[0]->needs_calibration());
  constexpr std::string_view kEnds[] = {" optimizer=muon", " optimizer=adamw", " rank=8"};
  for (size_t i = 0; i < std::size(kEnds); ++i) {
    texts.push_back(recipe->variants[4 + i].chain[0]->text());
    EXPECT_TRUE(texts.back().ends_with(kEnds[i])) << texts.back();
  }
  // A line's text, read again, says the same.
  for (const std::string& text : texts) {
    const size_t space = text.find(' ');
    const auto again = make_technique(text.substr(0, space), text.substr(space + 1));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ((*again)->text(), text);
  }
  EXPECT_FALSE((*make_technique("quantise", "bf16"))->needs_calibration());
}

TEST(Recipe, MistakesSayWhereAndWhat) {
  struct Case {
    std::string_view text;
    std::string_view part;
  };
  const Case cases[] = {
      {"", "version = 1"},
      {"[a]\nquantise = q8_0\n", "version = 1"},
      {"version = 2\n[a]\nquantise = q8_0\n", "a.ini:1"},
      {"version = 1\n", "names no variant"},
      {"version = 1\n[a]\nquantize = q8_0\n", "quantise"},
      {"version = 1\n[a]\nquantise = q9_9\n", "q9_9"},
      {"version = 1\n[a]\nquantise = q2_k\n", "q2_k"},
      {"version = 1\n[a]\nquantise = q8_0 q4_0\n", "q4_0"},
      {"version = 1\n[a]\nquantise = q8_0 damping=x\n", "damping"},
      {"version = 1\n[a]\nquantise = q8_0 damping=0.1 damping=0.2\n", "twice"},
      {"version = 1\n[a]\nquantise = q8_0 dampin=0.1\n", "did you mean 'damping'"},
      {"version = 1\n[a]\nquantise = q8_0 rounding=up\n", "rounding"},
      {"version = 1\n[a]\nquantise = q8_0 reorder=maybe\n", "yes or no"},
      {"version = 1\n[a]\nprune = ff_keep=0\n", "ff_keep"},
      {"version = 1\n[a]\nprune = ff_keep=nan\n", "ff_keep"},
      {"version = 1\n[a]\nprune = unit=1.5\n", "whole number"},
      {"version = 1\n[a]\nprune = 0.5\n", "key=value"},
      {"version = 1\n[a]\nprune = selection=best\n", "selection"},
      {"version = 1\n[a]\nlow_rank = keep=1\n", "keep"},
      {"version = 1\n[a]\nrecover = full optimizer=sgd\n", "expected adamw or muon"},
      {"version = 1\n[a]\nrecover = lora optimizer=muon\n", "goes with full"},
      {"version = 1\n[a]\nquantise = q8_0\nprune = ff_keep=0.5\n", "prune after quantise"},
      {"version = 1\n[a]\nlow_rank =\nprune = ff_keep=0.5\n", "prune after low_rank"},
      {"version = 1\n[a]\nquantise = q8_0\nrepair =\n", "repair after quantise"},
      {"version = 1\n[a]\nquantise = q8_0\nquantise = q4_0\n", "once"},
      {"version = 1\n[a]\nquantise = nest\n", "or nested"},
      {"version = 1\n[a]\nquantise = nested\nprune = ff_keep=0.5\n", "prune after quantise"},
      {"version = 1\n[a]\nquantise = nested rounding=search\n", "rounding"},
      {"version = 1\n[a]\nquantise = nested order_tokens=0\n", "order_tokens"},
      {"version = 1\n[a]\nquantise = nested output=q9\n", "q9"},
      {"version = 1\n[a]\nquantise = nested levels=\n", "levels"},
      {"version = 1\n[a]\nquantise = nested levels=0,,1\n", "levels"},
      {"version = 1\n[a]\nquantise = nested levels=50,0\n", "ascending"},
      {"version = 1\n[a]\nquantise = nested levels=50,50\n", "ascending"},
      {"version = 1\n[a]\nquantise = nested levels=-1\n", "levels"},
      {"version = 1\n[a]\nquantise = nested levels=101\n", "levels"},
      {"version = 1\n[a]\nquantise = nested levels=1.5\n", "levels"},
      {"version = 1\n[a]\nquantise = nested levels=99999999999999999999\n", "levels"},
      {"version = 1\n[a]\nquantise = nested\n[a.50]\nquantise = q8_0\n", "'a.50'"},
      {"version = 1\n[A B]\nquantise = q8_0\n", "not a variant's name"},
      {"version = 1\n[a]\nquantise = q8_0\n[b]\nquantise = q8_0\n[a]\nrepair =\n", "there twice"},
      {"version = 1\n[calibrate]\ntokens = many\n", "many"},
      {"version = 1\n[calibrate]\ntoken = 1\n", "token"},
      {"version = 1\n[measure]\ntokens = 99999999999999999999\n", "999', expected"},
      {"version = 1\nversion = 1\n[a\n", "a.ini:3"},
  };
  for (const Case& one : cases) {
    const auto recipe = parse_recipe(one.text, "a.ini");
    ASSERT_FALSE(recipe) << one.text;
    EXPECT_EQ(recipe.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(recipe.error().message.find(one.part), std::string::npos) << recipe.error().message;
    EXPECT_NE(recipe.error().message.find("a.ini"), std::string::npos) << recipe.error().message;
  }
}

TEST(Recipe, CutAndFlippedTextNeverCrashes) {
  for (size_t n = 0; n <= kWhole.size(); ++n) {
    const auto cut = parse_recipe(kWhole.substr(0, n), "a.ini");
    if (n == kWhole.size()) {
      EXPECT_TRUE(cut);
    }
  }
  for (size_t n = 0; n < kWhole.size(); ++n) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped(kWhole);
      flipped[n] = static_cast<char>(flipped[n] ^ (1 << bit));
      const auto recipe = parse_recipe(flipped, "a.ini");
      if (!recipe) {
        EXPECT_FALSE(recipe.error().message.empty());
      }
    }
  }
}

}  // namespace
}  // namespace ac
