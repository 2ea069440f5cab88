// Whole models of every family on a Vulkan device: the logits of the reference in double precision, and the
// tokens that the CPU says.
#include <filesystem>
#include <numeric>

#include "cpu/backend_cpu.h"
#include "models/store/gguf.h"
#include "runtime/engine/session.h"
#include "tests/engine/endless.h"
#include "tests/support/random_model.h"
#include "tests/support/reference_decoder.h"
#include "tests/support/run_model.h"
#include "tests/vulkan/vulkan_fixture.h"

namespace ac::test {
namespace {

constexpr double kLogitError = 1e-6;

class VulkanModel : public testing::Test {
 protected:
  void SetUp() override {
    n_messages_ = vulkan::n_validation_messages();
    const auto made = make_vulkan();
    if (!made && may_skip(made.error())) GTEST_SKIP() << made.error().message;
    ASSERT_TRUE(made) << made.error().message;
  }
  void TearDown() override { EXPECT_EQ(vulkan::n_validation_messages(), n_messages_); }
  int64_t n_messages_ = 0;

  static void expect_logits(const Checkpoint& checkpoint) {
    const std::vector<int32_t> tokens = random_tokens(24, 100, 3);
    const std::vector<double> expected = reference_logits(checkpoint, tokens);
    for (const int32_t chunk : {1, 7, 0}) {
      const auto got = run_logits(checkpoint, **make_vulkan(), tokens, {.chunk = chunk});
      ASSERT_TRUE(got) << got.error().message;
      EXPECT_LE(nmse(std::span<const float>(*got), std::span<const double>(expected)), kLogitError)
          << "in chunks of " << chunk;
    }
  }
};

TEST_F(VulkanModel, EveryFamilyHasItsLogits) {
  for (const std::string_view family : random_model_families()) {
    SCOPED_TRACE(std::string(family));
    expect_logits(random_model({.family = family, .seed = 4}));
  }
}

TEST_F(VulkanModel, PrunedAndThinOnesToo) {
  expect_logits(random_model({.family = "llama", .seed = 5, .per_layer = true}));
  expect_logits(random_model({.family = "llama", .seed = 6, .low_rank = true}));
  expect_logits(random_model(
      {.family = "qwen3", .seed = 7, .format = WeightFormat::kQ8_0, .low_rank = true, .untied = true}));
  expect_logits(random_model({.family = "llama", .seed = 8, .format = WeightFormat::kQ4_0, .per_layer = true}));
}

TEST_F(VulkanModel, LevelsOfNestedOnes) {
  Checkpoint nested = random_model({.family = "llama", .seed = 9, .format = WeightFormat::kQ4_0});
  add_residuals(nested, 2);
  const std::vector<int32_t> tokens = random_tokens(12, 100, 3);
  for (const int32_t level : {0, 40, 100}) {
    ASSERT_TRUE(set_checkpoint_level(nested, level));
    const auto got = run_logits(nested, **make_vulkan(), tokens, {});
    ASSERT_TRUE(got) << got.error().message;
    const std::vector<double> expected = reference_logits(sum_of_planes(nested, level), tokens);
    EXPECT_LE(nmse(std::span<const float>(*got), std::span<const double>(expected)), kLogitError) << level;
  }
}

// Activations in bytes are what the CPU's kernels have, too.
TEST_F(VulkanModel, LogitsWithActivationsInBytes) {
  for (const WeightFormat format : {WeightFormat::kQ8_0, WeightFormat::kQ4_0}) {
    const Checkpoint checkpoint = random_model({.family = "llama", .seed = 14, .format = format});
    const std::vector<int32_t> tokens = random_tokens(24, 100, 3);
    const auto got = run_logits(checkpoint, **make_vulkan(true, true), tokens, {.chunk = 1});
    ASSERT_TRUE(got) << got.error().message;
    const std::vector<double> expected = reference_logits(checkpoint, tokens);
    const double error = nmse(std::span<const float>(*got), std::span<const double>(expected));
    EXPECT_LE(error, 2e-3);
    EXPECT_GT(error, 1e-7) << "were they in bytes?";
  }
}

// A program that is replayed computes what it computed when it was recorded.
TEST_F(VulkanModel, ReplayChangesNothing) {
  const Checkpoint checkpoint = random_model({.family = "llama", .seed = 10});
  const std::vector<int32_t> tokens = random_tokens(20, 100, 4);
  const auto backend = std::move(*make_vulkan());
  const auto first = run_logits(checkpoint, *backend, tokens, {.chunk = 1});
  const auto second = run_logits(checkpoint, **make_vulkan(), tokens, {.chunk = 1});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*first, *second);
}

std::vector<int32_t> greedy(std::unique_ptr<Backend> backend, Checkpoint checkpoint,
                            std::span<const int32_t> prompt, int32_t n) {
  auto engine = Engine::load_on(std::move(backend), std::move(checkpoint), {.kv_format = KvFormat::kF32});
  EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
  if (!engine) return {};
  const auto made = (*engine)->generate(prompt, endless(n));
  EXPECT_TRUE(made) << (made ? "" : made.error().message);
  return made ? made->tokens : std::vector<int32_t>();
}

TEST_F(VulkanModel, SaysWhatTheCpuSays) {
  constexpr int32_t kTokens = 64;
  for (const std::string_view family : random_model_families()) {
    SCOPED_TRACE(std::string(family));
    const auto model = [&] {
      return random_model({.family = family, .seed = 12, .tokenizer = true, .n_context = 96});
    };
    const std::vector<int32_t> prompt = prompt_of(9, 5);
    const auto expected = greedy(std::move(*cpu::create_cpu_backend({.n_threads = 1})), model(), prompt, kTokens);
    EXPECT_EQ(expected.size(), size_t{kTokens});
    EXPECT_EQ(greedy(std::move(*make_vulkan()), model(), prompt, kTokens), expected);
  }
}

TEST_F(VulkanModel, TellsTheStory) {
  const std::string path = AC_SHARED_DATA "/models/stories260K.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is not there";
  const int32_t bos[] = {1};
  const auto expected = greedy(std::move(*cpu::create_cpu_backend({.n_threads = 1})),
                               std::move(*open_gguf(path)), bos, 64);
  EXPECT_EQ(greedy(std::move(*make_vulkan()), std::move(*open_gguf(path)), bos, 64), expected);
}

}  // namespace
}  // namespace ac::test
