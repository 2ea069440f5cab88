#include "models/compress/quantise.h"

#include <gtest/gtest.h>

#include "models/compress/measure.h"
#include "models/compress/tensor_values.h"
#include "tests/compress/stories.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

class QuantiseStories : public test::StoriesTest {
 protected:
  double kl_of(const QuantiseOptions& options) {
    const auto made = quantise(bench().stage(bench().base()), options);
    EXPECT_TRUE(made) << made.error().message;
    const auto quality = measure_quality(*bench().base(), made->checkpoint, held_out());
    EXPECT_TRUE(quality) << quality.error().message;
    return quality->kl_mean;
  }
};

TEST_F(QuantiseStories, CompensationAgainstRounding) {
  const double plain = kl_of({.format = WeightFormat::kQ4_0, .rounding = Rounding::kNearest});
  const double searched = kl_of({.format = WeightFormat::kQ4_0, .rounding = Rounding::kSearch});
  const double compensated = kl_of({.format = WeightFormat::kQ4_0});
  RecordProperty("q4_0_nearest", std::to_string(plain));
  RecordProperty("q4_0_search", std::to_string(searched));
  RecordProperty("q4_0_compensated", std::to_string(compensated));
  EXPECT_LT(searched, plain);
  EXPECT_LE(compensated, 0.6 * plain);
  EXPECT_LE(kl_of({.format = WeightFormat::kQ8_0}), 0.0015);
}

// Every family runs after it was rounded, whatever shares a tensor there.
TEST(Quantise, EveryFamily) {
  for (const std::string_view family : test::random_model_families()) {
    SCOPED_TRACE(family);
    const auto base = std::make_shared<const Checkpoint>(
        test::random_model({.family = family, .whole_blocks = true, .low_rank = true}));
    const auto config = read_model_config(*base);
    ASSERT_TRUE(config);
    TokenWindows windows;
    windows.add(test::random_tokens(90, config->n_vocab, 1));
    test::Workbench bench(base, windows);
    const std::vector<int32_t> tokens = test::random_tokens(20, config->n_vocab, 2);
    auto backend = cpu::create_cpu_backend();
    const auto expected = test::run_logits(*base, **backend, tokens);
    ASSERT_TRUE(expected);
    const auto made = quantise(bench.stage(base), {.format = WeightFormat::kQ8_0});
    ASSERT_TRUE(made) << made.error().message;
    size_t n_blocks = 0;
    for (const auto& [name, view] : made->checkpoint.tensors) {
      if (view.format == WeightFormat::kQ8_0) ++n_blocks;
    }
    EXPECT_GT(n_blocks, 10u);
    auto other = cpu::create_cpu_backend();
    const auto actual = test::run_logits(made->checkpoint, **other, tokens);
    ASSERT_TRUE(actual) << actual.error().message;
    // 8 bits: errors of about 1/250 of a weight, a few layers deep.
    EXPECT_LT(test::nmse(std::span<const float>(*actual), std::span<const float>(*expected)), 2e-3);
  }
}

TEST(Quantise, FormatsThatDoNotFit) {
  // 96 columns: whole blocks of 32, not of 256.
  const auto base = std::make_shared<const Checkpoint>(
      test::random_model({.family = "llama", .whole_blocks = true}));
  const auto config = read_model_config(*base);
  TokenWindows windows;
  windows.add(test::random_tokens(90, config->n_vocab, 1));
  test::Workbench bench(base, windows);
  const auto made = quantise(bench.stage(base), {.format = WeightFormat::kQ4_K});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->checkpoint.tensor("blk.0.attn_q.weight")->format, WeightFormat::kQ4_0);
  EXPECT_EQ(made->checkpoint.tensor("token_embd.weight")->format, WeightFormat::kQ8_0);  // tied
  EXPECT_FALSE(made->notes.empty());
  const auto odd = std::make_shared<const Checkpoint>(test::random_model({.family = "llama"}));
  test::Workbench odd_bench(odd, windows);
  const auto half = quantise(odd_bench.stage(odd), {.format = WeightFormat::kQ4_0});
  ASSERT_TRUE(half) << half.error().message;
  EXPECT_EQ(half->checkpoint.tensor("blk.0.attn_q.weight")->format, WeightFormat::kF16);
}

TEST(Quantise, WhatIsNarrowAlreadyStaysBitForBit) {
  const auto base = std::make_shared<const Checkpoint>(
      test::random_model({.family = "llama", .format = WeightFormat::kQ4_0}));
  const auto config = read_model_config(*base);
  TokenWindows windows;
  windows.add(test::random_tokens(90, config->n_vocab, 1));
  test::Workbench bench(base, windows);
  const auto made = quantise(bench.stage(base), {.format = WeightFormat::kQ8_0});
  ASSERT_TRUE(made) << made.error().message;
  for (const auto& [name, view] : base->tensors) {
    EXPECT_TRUE(testing::same_tensor(view, made->checkpoint.tensor(name).value())) << name;
  }
}

TEST(Quantise, WeightsThatAreNotNumbers) {
  Checkpoint model = test::random_model({.family = "llama", .whole_blocks = true});
  const TensorView view = model.tensor("blk.1.ffn_up.weight").value();
  reinterpret_cast<float*>(const_cast<std::byte*>(view.data))[5] = NAN;
  const auto base = std::make_shared<const Checkpoint>(std::move(model));
  TokenWindows windows;
  windows.add(test::random_tokens(90, read_model_config(*base)->n_vocab, 1));
  test::Workbench bench(base, windows);
  const auto made =
      quantise(bench.stage(base), {.format = WeightFormat::kQ8_0, .rounding = Rounding::kNearest});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kCorruptFile);
  EXPECT_NE(made.error().message.find("blk.1.ffn_up.weight"), std::string::npos);
}

}  // namespace
}  // namespace ac
