#include "models/compress/prune.h"

#include <gtest/gtest.h>

#include <cstring>

#include "models/compress/measure.h"
#include "models/compress/repair.h"
#include "models/compress/tensor_values.h"
#include "tests/compress/algebra.h"
#include "tests/compress/stories.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

std::vector<float> logits(const Checkpoint& model, std::span<const int32_t> tokens) {
  auto backend = cpu::create_cpu_backend();
  const auto made = test::run_logits(model, **backend, tokens);
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : std::vector<float>();
}

class PruneStories : public test::StoriesTest {
 protected:
  static std::shared_ptr<const Checkpoint> pruned(const PruneOptions& options) {
    auto made = prune(bench().stage(bench().base()), options);
    EXPECT_TRUE(made) << made.error().message;
    return std::make_shared<const Checkpoint>(std::move(made->checkpoint));
  }
  static double kl(const Checkpoint& variant) {
    const auto quality = measure_quality(*bench().base(), variant, held_out());
    EXPECT_TRUE(quality) << quality.error().message;
    return quality->kl_mean;
  }
};

// Nothing in this model is there for nothing: of half of its 172 channels even the best choice
// costs most of what it knows, and divergences saturate. So the order of the means is tested here,
// and the ratio at a quarter; the algebra has its own tests.
TEST_F(PruneStories, GreedyLeastSquaresAndRepair) {
  const auto plain = pruned({.ff_keep = 0.5,
                             .unit = 2,
                             .selection = Selection::kStrength,
                             .global = false,
                             .compensate = false});
  const auto best = pruned({.ff_keep = 0.5, .unit = 2});
  const auto config = read_model_config(*best);
  ASSERT_TRUE(config);
  int32_t channels = 0;
  for (const LayerConfig& layer : config->layers) {
    channels += layer.d_ff;
    EXPECT_GE(layer.d_ff, 43);  // the floor of a quarter
    EXPECT_EQ(layer.d_ff % 2, 0);
  }
  EXPECT_EQ(channels, 5 * 86);
  const auto fixed = repair(bench().stage(best), {});
  ASSERT_TRUE(fixed) << fixed.error().message;
  const double plain_kl = kl(*plain), best_kl = kl(*best), fixed_kl = kl(fixed->checkpoint);
  RecordProperty("ff_half_plain", std::to_string(plain_kl));
  RecordProperty("ff_half_greedy_ls", std::to_string(best_kl));
  RecordProperty("ff_half_repaired", std::to_string(fixed_kl));
  EXPECT_LT(best_kl, 0.75 * plain_kl);
  EXPECT_LT(fixed_kl, 0.65 * plain_kl);
}

TEST_F(PruneStories, HeadGroupsAndLayers) {
  const auto cut = pruned({.kv_keep = 0.75, .compensate = false});
  const auto fit = pruned({.kv_keep = 0.75});
  EXPECT_LT(kl(*fit), 0.75 * kl(*cut));
  const auto shorter = pruned({.drop_layers = 1});
  const auto config = read_model_config(*shorter);
  ASSERT_TRUE(config);
  int absent = 0;
  for (size_t i = 0; i < config->layers.size(); ++i) {
    if (config->layers[i].n_heads > 0) continue;
    ++absent;
    EXPECT_EQ(config->layers[i].d_ff, 0);
    EXPECT_NE(i, 0u);
    EXPECT_NE(i, config->layers.size() - 1);
  }
  EXPECT_EQ(absent, 1);
  const auto mended = repair(bench().stage(shorter), {});
  ASSERT_TRUE(mended) << mended.error().message;
  EXPECT_LT(kl(mended->checkpoint), kl(*shorter));
}

TEST_F(PruneStories, KeepingAllGivesEqualLogits) {
  const std::vector<int32_t> tokens = test::random_tokens(30, 512, 1);
  const auto all = pruned({});
  const std::vector<float> expected = logits(*bench().base(), tokens);
  const std::vector<float> actual = logits(*all, tokens);
  ASSERT_EQ(actual.size(), expected.size());
  EXPECT_EQ(std::memcmp(actual.data(), expected.data(), actual.size() * sizeof(float)), 0);
}

// A model of any family with channels and a head group that do nothing: those are what goes, and
// nothing is lost.
TEST(Prune, WhatDoesNothingGoesInEveryFamily) {
  for (const std::string_view family : test::random_model_families()) {
    SCOPED_TRACE(family);
    Checkpoint model = test::random_model({.family = family});
    const auto config = read_model_config(model);
    ASSERT_TRUE(config);
    const auto n_layers = static_cast<int32_t>(config->layers.size());
    const LayerConfig& shape = config->layers[0];
    const int64_t q_width = int64_t{shape.n_heads / shape.n_kv_heads} * config->d_head;
    for (int32_t layer = 0; layer < n_layers; ++layer) {
      const auto clear = [&](std::string_view name, auto is_dead) {
        const TensorView view = model.tensor(layer_tensor(layer, name)).value();
        auto* w = reinterpret_cast<float*>(const_cast<std::byte*>(view.data));
        for (int64_t i = 0; i < view.n_rows(); ++i) {
          for (int64_t j = 0; j < view.n_cols(); ++j) {
            if (is_dead(j)) w[i * view.n_cols() + j] = 0;
          }
        }
      };
      clear("ffn_down", [](int64_t j) { return j % 2 == 1; });
      clear("attn_output", [&](int64_t j) { return j / q_width == 1; });
    }
    const auto base = std::make_shared<const Checkpoint>(std::move(model));
    TokenWindows windows;
    windows.add(test::random_tokens(90, config->n_vocab, 1));
    test::Workbench bench(base, windows);
    const auto made =
        prune(bench.stage(base),
              {.ff_keep = 0.5, .kv_keep = 1 - 1.0 / shape.n_kv_heads, .unit = 1, .damping = 1e-6});
    ASSERT_TRUE(made) << made.error().message;
    const auto after = read_model_config(made->checkpoint);
    ASSERT_TRUE(after) << after.error().message;
    for (const LayerConfig& layer : after->layers) {
      EXPECT_EQ(layer.d_ff, shape.d_ff / 2);
      EXPECT_EQ(layer.n_kv_heads, shape.n_kv_heads - 1);
    }
    const std::vector<int32_t> tokens = test::random_tokens(20, config->n_vocab, 2);
    const std::vector<float> expected = logits(*base, tokens);
    const std::vector<float> actual = logits(made->checkpoint, tokens);
    EXPECT_LT(test::nmse(std::span<const float>(actual), std::span<const float>(expected)), 1e-8);
  }
}

TEST(Prune, RefusesWhatMakesNoSense) {
  const auto base = std::make_shared<const Checkpoint>(test::random_model({.family = "llama"}));
  TokenWindows windows;
  windows.add(test::random_tokens(90, read_model_config(*base)->n_vocab, 1));
  test::Workbench bench(base, windows);
  for (const PruneOptions& options :
       {PruneOptions{.ff_keep = 0}, PruneOptions{.kv_keep = 1.5}, PruneOptions{.unit = 0},
        PruneOptions{.drop_layers = 99}, PruneOptions{.drop_layers = -1}}) {
    const auto made = prune(bench.stage(base), options);
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  }
  const auto pairs =
      std::make_shared<const Checkpoint>(test::random_model({.family = "llama", .low_rank = true}));
  const auto made = prune(bench.stage(pairs), {.ff_keep = 0.5});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
}

TEST(Repair, TheBaseItselfStaysAsItIs) {
  const auto base = std::make_shared<const Checkpoint>(test::random_model({.family = "llama"}));
  TokenWindows windows;
  windows.add(test::random_tokens(90, read_model_config(*base)->n_vocab, 1));
  test::Workbench bench(base, windows);
  const auto made = repair(bench.stage(base), {});
  ASSERT_TRUE(made) << made.error().message;
  cpu::ThreadTeam team({.n_threads = 1});
  for (const std::string name : {"blk.0.attn_output.weight", "blk.1.ffn_down.weight"}) {
    const auto before = read_matrix(*base, name, team);
    const auto after = read_matrix(made->checkpoint, name, team);
    ASSERT_TRUE(before && after);
    // Streams and sums of single precision.
    EXPECT_LT(test::largest_difference(*before, *after), 1e-4) << name;
  }
}

TEST(Repair, NormedOutputsAreLeftWithANote) {
  const auto base = std::make_shared<const Checkpoint>(test::random_model({.family = "gemma2"}));
  TokenWindows windows;
  windows.add(test::random_tokens(90, read_model_config(*base)->n_vocab, 1));
  test::Workbench bench(base, windows);
  const auto made = repair(bench.stage(base), {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->notes.size(), 2 * read_model_config(*base)->layers.size());
}

TEST(Repair, FindsTheWeightsThatGiveTheTargets) {
  cpu::ThreadTeam team({.n_threads = 2});
  const Matrix right = test::random_matrix(16, 40, 1);
  const Matrix wrong = test::random_matrix(16, 40, 2);
  const Matrix h = test::correlated_moments(40, 3);
  const auto c = product(right, h, Transposed::kNo, team);
  const auto made = fit_to_targets(wrong, h, *c, 1e-12, team);
  ASSERT_TRUE(made);
  EXPECT_LT(test::largest_difference(*made, right), 1e-6);
}

}  // namespace
}  // namespace ac
