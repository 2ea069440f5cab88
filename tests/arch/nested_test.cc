// Nested precision as a model has it: levels are prefixes of the list, each a model of its own; and
// files whose planes do not fit are refused.
#include "models/arch/nested.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cpu/backend_cpu.h"
#include "models/arch/model.h"
#include "tests/support/compare.h"
#include "tests/support/plain_backend.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

Checkpoint nested_model(std::string_view family, bool everything = false) {
  Checkpoint checkpoint = test::random_model({.family = family,
                                              .seed = 5,
                                              .format = WeightFormat::kQ4_0,
                                              .per_layer = everything,
                                              .low_rank = everything,
                                              .untied = everything});
  test::add_residuals(checkpoint, 6);
  return checkpoint;
}

TEST(NestedOrder, LevelsAreSharesOfTheWeights) {
  NestedOrder order;
  order.matrices = {{"a", 10}, {"b", 30}, {"c", 60}};
  const std::vector<std::pair<int32_t, size_t>> expected = {{0, 0},  {9, 0},  {10, 1}, {39, 1},
                                                            {40, 2}, {99, 2}, {100, 3}};
  for (const auto& [level, n] : expected) EXPECT_EQ(order.n_read(level), n) << level;
  EXPECT_EQ(order.unread_residuals(40), std::set<std::string>{"c.weight.residual"});
  // Sums that 64 bits hold only just.
  order.matrices = {{"a", uint64_t{1} << 62}, {"b", uint64_t{1} << 62}};
  EXPECT_EQ(order.n_read(49), 0u);
  EXPECT_EQ(order.n_read(50), 1u);
  EXPECT_EQ(order.n_read(100), 2u);
  EXPECT_EQ(NestedOrder().n_read(100), 0u);
}

// On the kernels of the instruction set that was asked for, where the machine has it.
class NestedModel : public testing::Test {
 protected:
  void SetUp() override {
    const auto backend = cpu::create_cpu_backend();
    if (!backend) GTEST_SKIP() << backend.error().message;
  }
};

// Every family, with whatever shares a tensor there, at several levels, on the processor's kernels
// and on plain loops: the model is the one whose weights the planes add up to.
TEST_F(NestedModel, EqualsTheSumOfItsPlanes) {
  for (const std::string_view family : test::random_model_families()) {
    for (const bool everything : {false, true}) {
      Checkpoint nested = nested_model(family, everything);
      const auto tokens = test::random_tokens(21, 101, 3);
      for (const int32_t level : {0, 30, 100}) {
        SCOPED_TRACE(fmt::format("{} {} level {}", family, everything, level));
        ASSERT_TRUE(set_checkpoint_level(nested, level));
        const auto oracle = test::make_plain_backend();
        const auto expected = test::run_logits(test::sum_of_planes(nested, level), *oracle, tokens);
        ASSERT_TRUE(expected) << expected.error().message;
        const auto plain = test::make_plain_backend();
        const auto by_loops = test::run_logits(nested, *plain, tokens);
        ASSERT_TRUE(by_loops) << by_loops.error().message;
        EXPECT_LT(test::nmse(std::span<const float>(*by_loops), std::span<const float>(*expected)),
                  1e-11);
        for (const int32_t chunk : {0, 1}) {
          auto backend = cpu::create_cpu_backend({.n_threads = 2, .poison_memory = true});
          ASSERT_TRUE(backend) << backend.error().message;
          const auto actual = test::run_logits(nested, **backend, tokens, {.chunk = chunk});
          ASSERT_TRUE(actual) << actual.error().message;
          EXPECT_LT(test::nmse(std::span<const float>(*actual), std::span<const float>(*expected)),
                    1e-4);
        }
      }
    }
  }
}

TEST_F(NestedModel, LevelsChangeFromStepToStep) {
  const Checkpoint nested = nested_model("llama");
  auto backend = cpu::create_cpu_backend({.n_threads = 2});
  ASSERT_TRUE(backend);
  auto model = load_model(nested, **backend);
  ASSERT_TRUE(model) << model.error().message;
  ASSERT_TRUE((*backend)->create_kv(model->config.kv_shape(1, 8, KvFormat::kF32)));
  const int32_t zero[] = {0};
  const int32_t token[] = {7};
  const auto logits = [&](int32_t level) {
    set_level(**backend, *model, level);
    (*backend)->begin_step({.tokens = token, .positions = zero, .slots = zero});
    const Value out = forward(**backend, *model, zero);
    EXPECT_TRUE((*backend)->end_step());
    const auto data = (*backend)->read(out);
    return std::vector<float>(data.begin(), data.end());
  };
  const auto low = logits(0);
  const auto middle = logits(50);
  const auto high = logits(100);
  EXPECT_NE(low, middle);
  EXPECT_NE(middle, high);
  // Nothing is left of another level.
  EXPECT_EQ(logits(0), low);
  EXPECT_EQ(logits(100), high);
  EXPECT_EQ(logits(50), middle);
}

void expect_refused(const Checkpoint& checkpoint, std::string_view part) {
  const auto backend = test::make_plain_backend();
  const auto model = load_model(checkpoint, *backend);
  ASSERT_FALSE(model) << part;
  EXPECT_EQ(model.error().code, ErrorCode::kCorruptFile) << model.error().message;
  EXPECT_NE(model.error().message.find(part), std::string::npos) << model.error().message;
  const auto cost = model_cost(checkpoint);
  EXPECT_FALSE(cost) << part;
}

TEST_F(NestedModel, WhatDoesNotFitIsRefused) {
  const std::string order(kNestedOrderKey);
  const std::string level(kNestedLevelKey);
  const std::vector<std::string> names = [] {
    Checkpoint checkpoint = test::random_model({.family = "llama", .format = WeightFormat::kQ4_0});
    return test::add_residuals(checkpoint, 6);
  }();
  const auto with_names = [&](std::vector<std::string> listed) {
    Checkpoint checkpoint = nested_model("llama");
    checkpoint.set_strings(order, listed);
    return checkpoint;
  };
  // The list.
  Checkpoint changed = nested_model("llama");
  changed.metadata.erase(order);
  expect_refused(changed, "no key agentcompress.nested.order");
  changed.set_uint(order, 3);
  expect_refused(changed, "agentcompress.nested.order");
  std::vector<std::string> listed = names;
  listed.pop_back();
  expect_refused(with_names(listed), "residuals");
  listed.push_back(names[0]);
  expect_refused(with_names(listed), "twice");
  listed.back() = "blk.0.attn_norm";
  expect_refused(with_names(listed), "blk.0.attn_norm");
  listed.back() = std::string(1000, 'x');
  expect_refused(with_names(listed), "which has no residual");
  expect_refused(with_names({}), "names 0 of");
  // The level.
  for (const uint32_t wrong : {101u, 4000000000u}) {
    changed = nested_model("llama");
    changed.set_uint(level, wrong);
    expect_refused(changed, "agentcompress.nested.level");
  }
  changed.set_string(level, "high");
  expect_refused(changed, "agentcompress.nested.level");
  changed = test::random_model({.family = "llama"});
  changed.set_uint(level, 50);
  expect_refused(changed, "agentcompress.nested.order");
  // Planes: without a base, of another shape or format, of what has no place for one.
  const auto with_residual = [&](const std::string& name, WeightFormat format, int64_t n_out,
                                 int64_t n_in) {
    Checkpoint checkpoint = nested_model("llama");
    test::add_random_matrix(checkpoint, nested_residual(name), n_out, n_in, format, 0.01, 1);
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      std::vector<std::string> more = names;
      more.push_back(name);
      checkpoint.set_strings(order, more);
    }
    return checkpoint;
  };
  const TensorView q = nested_model("llama").tensor("blk.0.attn_q.weight").value();
  expect_refused(with_residual("blk.0.nothing", WeightFormat::kQ4_0, 32, 32), "of no matrix");
  expect_refused(with_residual("rope_freqs", WeightFormat::kQ4_0, 32, 32), "of no matrix");
  expect_refused(with_residual("blk.0.attn_q", WeightFormat::kQ4_0, q.n_rows(), q.n_cols() + 32),
                 "shape");
  expect_refused(with_residual("blk.0.attn_q", WeightFormat::kQ4_0, q.n_rows() - 1, q.n_cols()),
                 "shape");
  expect_refused(with_residual("blk.0.attn_q", WeightFormat::kQ8_0, q.n_rows(), q.n_cols()),
                 "its residual q8_0, expected q4_0");
  changed = nested_model("llama");
  const TensorView base = changed.tensor("blk.0.attn_q.weight").value();
  test::add_random_matrix(changed, "blk.0.attn_q.weight", base.n_rows(), base.n_cols(),
                          WeightFormat::kF16, 0.01, 1);
  expect_refused(changed, "is f16 and its residual q4_0, expected q4_0");
}

}  // namespace
}  // namespace ac
