// Nested precision: the base is the Q4_0 model byte for byte, both planes are as good as 8 bits,
// and every level in between is a model of its own.
#include "models/compress/nested.h"

#include <gtest/gtest.h>

#include <cmath>

#include "models/compress/export.h"
#include "models/compress/measure.h"
#include "models/compress/requantize.h"
#include "models/compress/tensor_values.h"
#include "models/compress/zoo_parts.h"
#include "tests/compress/stories.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

// A random model with a workbench, and what nest() makes of it.
struct NestedModel {
  std::shared_ptr<const Checkpoint> base;
  std::unique_ptr<test::Workbench> bench;
  TokenWindows held_out;

  explicit NestedModel(const test::RandomModelOptions& options)
      : base(std::make_shared<const Checkpoint>(test::random_model(options))) {
    const int32_t n_vocab = read_model_config(*base)->n_vocab;
    TokenWindows windows;
    for (uint64_t i = 0; i < 4; ++i) windows.add(test::random_tokens(90, n_vocab, i));
    bench = std::make_unique<test::Workbench>(base, windows);
    for (uint64_t i = 10; i < 14; ++i) held_out.add(test::random_tokens(60, n_vocab, i));
  }
  Checkpoint nested(const NestedOptions& options = {}) {
    auto made = nest(bench->stage(base), options);
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(made->checkpoint) : Checkpoint();
  }
};

double kl_at(const Checkpoint& base, Checkpoint& nested, int32_t level,
             const TokenWindows& held_out) {
  EXPECT_TRUE(set_checkpoint_level(nested, level));
  const auto quality = measure_quality(base, nested, held_out);
  EXPECT_TRUE(quality) << quality.error().message;
  return quality ? quality->kl_mean : NAN;
}

// Every tensor of the twin is in the nested checkpoint as it is; beside them only residuals.
void expect_twin(const Checkpoint& twin, const Checkpoint& nested) {
  for (const auto& [name, view] : twin.tensors) {
    EXPECT_TRUE(testing::same_tensor(view, nested.tensor(name).value())) << name;
  }
  for (const auto& [name, view] : nested.tensors) {
    EXPECT_EQ(is_residual(name), !has_tensor(twin, name)) << name;
  }
}

class NestedStories : public test::StoriesTest {};

TEST_F(NestedStories, FourBitsEightBitsAndBetween) {
  auto made = nest(bench().stage(bench().base()), {});
  ASSERT_TRUE(made) << made.error().message;
  Checkpoint& nested = made->checkpoint;
  const auto twin = quantise(bench().stage(bench().base()), {.format = WeightFormat::kQ4_0});
  ASSERT_TRUE(twin);
  expect_twin(twin->checkpoint, nested);
  std::vector<double> kl;
  for (const int32_t level : {0, 10, 25, 50, 75, 100}) {
    kl.push_back(kl_at(*bench().base(), nested, level, held_out()));
    RecordProperty("level_" + std::to_string(level), std::to_string(kl.back()));
  }
  const auto alone = measure_quality(*bench().base(), twin->checkpoint, held_out());
  ASSERT_TRUE(alone);
  EXPECT_EQ(kl.front(), alone->kl_mean);
  // ffn_down has rows of 172 weights, which are not whole blocks, and stays f16 at every level.
  EXPECT_EQ(nested.tensor("blk.0.ffn_down.weight")->format, WeightFormat::kF16);
  EXPECT_LE(kl.back(), 0.0015);
  for (size_t i = 1; i < kl.size(); ++i) EXPECT_LT(kl[i], kl[i - 1]) << i;
  // The list is worth its name: half of the residuals do more than half.
  EXPECT_LT(kl[3], 0.5 * kl[0]);
  // Compensated residuals are worth their time.
  const auto q8 = quantise(bench().stage(bench().base()), {.format = WeightFormat::kQ8_0});
  ASSERT_TRUE(q8);
  const auto eight = measure_quality(*bench().base(), q8->checkpoint, held_out());
  RecordProperty("q8_0", std::to_string(eight->kl_mean));
}

TEST(Nested, EveryFamily) {
  for (const std::string_view family : test::random_model_families()) {
    SCOPED_TRACE(family);
    NestedModel model({.family = family, .whole_blocks = true, .low_rank = true});
    Checkpoint nested = model.nested({.order_tokens = 60});
    const auto twin = quantise(model.bench->stage(model.base), {.format = WeightFormat::kQ4_0});
    ASSERT_TRUE(twin);
    expect_twin(twin->checkpoint, nested);
    const auto order = read_nested_order(nested);
    ASSERT_TRUE(order) << order.error().message;
    EXPECT_GT(order->matrices.size(), 10u);
    const double low = kl_at(*model.base, nested, 0, model.held_out);
    const double high = kl_at(*model.base, nested, 100, model.held_out);
    // Divergence goes with the square of an error, which 4 more bits make about 16 times smaller.
    EXPECT_LT(high, 0.1 * low);
    EXPECT_LE(high, 0.0015);
    RecordProperty(std::string(family), fmt::format("{} {}", low, high));

    // Packed as in a zoo it is the same model.
    cpu::ThreadTeam team({.n_threads = 2});
    RequantizeOptions layout;
    const auto config = read_model_config(nested);
    layout.may_pack = [&](std::string_view name, const TensorView& view) {
      return may_pack(*config, name, view);
    };
    auto packed = requantize(nested, std::nullopt, team, layout);
    ASSERT_TRUE(packed) << packed.error().message;
    const auto tokens = test::random_tokens(20, config->n_vocab, 2);
    for (const int32_t level : {0, 40, 100}) {
      ASSERT_TRUE(set_checkpoint_level(nested, level));
      ASSERT_TRUE(set_checkpoint_level(packed->checkpoint, level));
      auto left = cpu::create_cpu_backend();
      auto right = cpu::create_cpu_backend();
      const auto expected = test::run_logits(nested, **left, tokens);
      const auto actual = test::run_logits(packed->checkpoint, **right, tokens);
      ASSERT_TRUE(expected && actual) << actual.error().message;
      EXPECT_EQ(*expected, *actual) << level;
      // Other programs get the same numbers, rounded to 8 bits where there were two planes.
      const auto flat = standard_checkpoint(packed->checkpoint);
      ASSERT_TRUE(flat) << flat.error().message;
      EXPECT_FALSE(is_nested(flat->checkpoint));
      auto other = cpu::create_cpu_backend();
      const auto exported = test::run_logits(flat->checkpoint, **other, tokens);
      ASSERT_TRUE(exported) << exported.error().message;
      EXPECT_LT(test::nmse(std::span<const float>(*exported), std::span<const float>(*actual)),
                2e-3)
          << level;
    }
  }
}

TEST(Nested, CostsRiseWithTheLevel) {
  NestedModel model({.family = "llama", .whole_blocks = true, .n_layers = 2});
  Checkpoint nested = model.nested();
  const auto order = read_nested_order(nested);
  ASSERT_TRUE(order);
  const auto base_cost = model_cost(*model.base);
  ModelCost last;
  for (int32_t level = 0; level <= 100; ++level) {
    ASSERT_TRUE(set_checkpoint_level(nested, level));
    const auto cost = model_cost(nested);
    ASSERT_TRUE(cost) << cost.error().message;
    EXPECT_EQ(cost->parameters, base_cost->parameters);
    EXPECT_EQ(cost->macs_per_token, base_cost->macs_per_token);
    EXPECT_GE(cost->weight_bytes, last.weight_bytes);
    EXPECT_GE(cost->bytes_per_token, last.bytes_per_token);
    EXPECT_GE(cost->bit_ops_per_token, last.bit_ops_per_token);
    EXPECT_GE(order->n_read(level), level == 0 ? 0 : order->n_read(level - 1));
    last = *cost;
  }
  EXPECT_EQ(order->n_read(0), 0u);
  EXPECT_EQ(order->n_read(100), order->matrices.size());
  uint64_t all = 0;
  for (const auto& [name, view] : nested.tensors) all += view.size_bytes;
  EXPECT_EQ(last.weight_bytes, all);
}

// The order is that of what was measured: the first residual alone gains most for its size.
TEST(Nested, TheFirstGainsMost) {
  NestedModel model({.family = "llama", .whole_blocks = true, .n_layers = 2});
  const Checkpoint nested = model.nested({.order_tokens = 360});
  const auto order = read_nested_order(nested);
  ASSERT_TRUE(order);
  auto meter = NestedMeter::create(*model.base, nested, 90, 2);
  ASSERT_TRUE(meter) << meter.error().message;
  std::vector<double> sums(order->matrices.size() + 1);
  for (size_t i = 0; i < model.bench->calibration().n_windows(); ++i) {
    const auto one = (*meter)->divergences(model.bench->calibration().window(i));
    ASSERT_TRUE(one);
    ASSERT_EQ(one->size(), sums.size());
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += static_cast<double>((*one)[j]);
  }
  double last = INFINITY;
  for (size_t i = 0; i < order->matrices.size(); ++i) {
    const double gain = (sums[0] - sums[i + 1]) / static_cast<double>(order->matrices[i].n_weights);
    EXPECT_LE(gain, last + 1e-9) << i;
    last = gain;
  }
}

TEST(Nested, WhatCannotBeNested) {
  // Rows that are not whole blocks.
  NestedModel odd({.family = "llama"});
  auto refused = nest(odd.bench->stage(odd.base), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported) << refused.error().message;
  // What has 4 bits already.
  NestedModel narrow({.family = "llama", .format = WeightFormat::kQ4_0});
  refused = nest(narrow.bench->stage(narrow.base), {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported) << refused.error().message;
}

}  // namespace
}  // namespace ac
