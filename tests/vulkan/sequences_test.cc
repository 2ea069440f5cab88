// Whole models over many steps: several sequences at once, levels that change on the way, what ran before,
// and each choice of a token against the CPU's.
#include <algorithm>
#include <functional>
#include <numeric>

#include "cpu/backend_cpu.h"
#include "models/arch/model.h"
#include "tests/support/random_model.h"
#include "tests/support/reference_decoder.h"
#include "tests/vulkan/vulkan_fixture.h"

namespace ac::test {
namespace {

constexpr double kLogitError = 1e-6;
constexpr int32_t kVocab = 101;

// Tokens that follow what a slot has.
struct Part {
  int32_t slot = 0;
  int32_t first = 0;
  std::span<const int32_t> tokens;
};

// Logits of every token of one step, in order.
std::vector<float> step(Backend& backend, const Model& model, std::span<const Part> parts) {
  std::vector<int32_t> tokens, positions, slots;
  for (const Part& part : parts) {
    for (size_t i = 0; i < part.tokens.size(); ++i) {
      tokens.push_back(part.tokens[i]);
      positions.push_back(part.first + static_cast<int32_t>(i));
      slots.push_back(part.slot);
    }
  }
  std::vector<int32_t> rows(tokens.size());
  std::iota(rows.begin(), rows.end(), 0);
  backend.begin_step({tokens, positions, slots});
  const Value out = forward(backend, model, rows);
  const Status status = backend.end_step();
  EXPECT_TRUE(status) << (status ? "" : status.error().message);
  if (!status) return {};
  const auto logits = backend.read(out);
  return {logits.begin(), logits.end()};
}

// Logits of every token of a sequence, `chunk` of them in a step (0: all).
std::vector<float> logits_of(Backend& backend, const Model& model, std::span<const int32_t> tokens,
                             int32_t chunk, int32_t slot = 0) {
  const size_t each = chunk > 0 ? static_cast<size_t>(chunk) : tokens.size();
  std::vector<float> all;
  for (size_t begin = 0; begin < tokens.size(); begin += each) {
    const size_t n = std::min(each, tokens.size() - begin);
    const Part part{.slot = slot, .first = static_cast<int32_t>(begin), .tokens = tokens.subspan(begin, n)};
    const std::vector<float> some = step(backend, model, {&part, 1});
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

template <class Expected>
double distance(const std::vector<float>& got, const std::vector<Expected>& expected) {
  return nmse(std::span<const float>(got), std::span<const Expected>(expected));
}

class VulkanSequences : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    if (const auto made = make_vulkan(); !made) GTEST_SKIP() << made.error().message;
  }
  void TearDown() override { EXPECT_EQ(vulkan::n_validation_messages(), 0); }

  static Model load(Backend& backend, const Checkpoint& checkpoint) {
    auto model = load_model(checkpoint, backend);
    EXPECT_TRUE(model) << (model ? "" : model.error().message);
    return std::move(*model);
  }
  static void empty_cache(Backend& backend, const Model& model, int32_t n_slots = 1,
                          KvFormat format = KvFormat::kF32) {
    const Status status =
        backend.create_kv(model.config.kv_shape(n_slots, model.config.n_context, format));
    EXPECT_TRUE(status) << (status ? "" : status.error().message);
  }
};

INSTANTIATE_TEST_SUITE_P(EveryFamily, VulkanSequences, testing::ValuesIn(random_model_families()),
                         [](const auto& test) { return std::string(test.param); });

// Three layers, and everything that a model can have: pruned, thin, untied, stretched.
TEST_P(VulkanSequences, ThreeLayersWithEverything) {
  const std::vector<int32_t> tokens = random_tokens(30, kVocab, 3);
  std::vector<Checkpoint> checkpoints;
  checkpoints.push_back(random_model({.family = GetParam(), .seed = 21, .n_layers = 3}));
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kQ8_0, WeightFormat::kQ4_0}) {
    checkpoints.push_back(random_model({.family = GetParam(),
                                        .seed = 22,
                                        .format = format,
                                        .per_layer = true,
                                        .low_rank = true,
                                        .untied = true,
                                        .stretched = true,
                                        .n_layers = 3}));
  }
  const auto backend = std::move(*make_vulkan());
  std::vector<Model> models;
  for (const Checkpoint& checkpoint : checkpoints) models.push_back(load(*backend, checkpoint));
  for (size_t i = 0; i < models.size(); ++i) {
    const std::vector<double> expected = reference_logits(checkpoints[i], tokens);
    for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16}) {
      for (const int32_t chunk : {1, 5, 0}) {
        empty_cache(*backend, models[i], 1, format);
        EXPECT_LE(distance(logits_of(*backend, models[i], tokens, chunk), expected), kLogitError)
            << "model " << i << " in chunks of " << chunk
            << (format == KvFormat::kF16 ? ", cache in f16" : "");
      }
    }
  }
}

// Prompts of different lengths, then a token of each at a time, while another prompt comes in.
TEST_P(VulkanSequences, SeveralAtOnce) {
  constexpr size_t kSequences = 4, kPrompt[kSequences] = {9, 1, 17, 20}, kMore = 8;
  const Checkpoint checkpoint = random_model({.family = GetParam(), .seed = 23});
  const auto backend = std::move(*make_vulkan());
  const Model model = load(*backend, checkpoint);
  empty_cache(*backend, model, kSequences);
  std::vector<std::vector<int32_t>> sequences;
  std::vector<std::vector<double>> expected;
  std::vector<std::vector<float>> got(kSequences);
  for (size_t i = 0; i < kSequences; ++i) {
    sequences.push_back(random_tokens(kPrompt[i] + kMore, kVocab, 30 + i));
    expected.push_back(reference_logits(checkpoint, sequences[i]));
  }
  const auto run = [&](const std::vector<std::pair<size_t, size_t>>& counts) {
    std::vector<Part> parts;
    for (const auto& [i, n] : counts) {
      const size_t first = got[i].size() / static_cast<size_t>(kVocab);
      parts.push_back({.slot = static_cast<int32_t>(kSequences - 1 - i),
                       .first = static_cast<int32_t>(first),
                       .tokens = std::span(sequences[i]).subspan(first, n)});
    }
    const std::vector<float> logits = step(*backend, model, parts);
    auto from = logits.begin();
    for (const auto& [i, n] : counts) {
      const auto size = static_cast<ptrdiff_t>(n * static_cast<size_t>(kVocab));
      ASSERT_LE(size, logits.end() - from);
      got[i].insert(got[i].end(), from, from + size);
      from += size;
    }
  };
  run({{0, 9}});
  run({{1, 1}, {2, 17}});
  for (size_t i = 0; i < kMore; ++i) {
    if (HasFatalFailure()) return;
    if (i < 4) {
      run({{2, 1}, {3, 5}, {0, 1}, {1, 1}});
    } else {
      run({{2, 1}, {0, 1}, {1, 1}});
    }
  }
  for (size_t i = 0; i < kMore; ++i) run({{3, 1}});
  for (size_t i = 0; i < kSequences; ++i) {
    EXPECT_LE(distance(got[i], expected[i]), kLogitError) << "sequence " << i;
  }
}

// A step of shapes that were seen before is replayed; what it was made for must not show.
TEST_P(VulkanSequences, WhatRanBeforeLeavesNothing) {
  const Checkpoint checkpoint = random_model({.family = GetParam(), .seed = 24});
  const std::vector<int32_t> before = random_tokens(20, kVocab, 5), tokens = random_tokens(20, kVocab, 6);
  const auto used = std::move(*make_vulkan());
  const Model used_model = load(*used, checkpoint);
  empty_cache(*used, used_model, 2);
  for (const int32_t chunk : {1, 5, 0}) logits_of(*used, used_model, before, chunk);
  const auto fresh = std::move(*make_vulkan());
  const Model model = load(*fresh, checkpoint);
  for (const int32_t chunk : {1, 5, 0}) {
    SCOPED_TRACE(fmt::format("in chunks of {}", chunk));
    empty_cache(*fresh, model, 2);
    const std::vector<float> expected = logits_of(*fresh, model, tokens, chunk);
    ASSERT_FALSE(expected.empty());
    // In the slot that the others had, in one that is new, and once more.
    EXPECT_TRUE(logits_of(*used, used_model, tokens, chunk, 0) == expected);
    EXPECT_TRUE(logits_of(*used, used_model, tokens, chunk, 1) == expected);
    EXPECT_TRUE(logits_of(*used, used_model, tokens, chunk, 0) == expected);
  }
}

TEST_P(VulkanSequences, LevelsChangeFromStepToStep) {
  Checkpoint nested =
      random_model({.family = GetParam(), .seed = 25, .format = WeightFormat::kQ4_0, .n_layers = 2});
  add_residuals(nested, 7);
  const std::vector<int32_t> tokens = random_tokens(12, kVocab, 8);
  const auto backend = std::move(*make_vulkan());
  const Model model = load(*backend, nested);
  for (const int32_t level : {100, 0, 50, 100}) {
    SCOPED_TRACE(fmt::format("level {}", level));
    const std::vector<double> expected = reference_logits(sum_of_planes(nested, level), tokens);
    set_level(*backend, model, level);
    for (const int32_t chunk : {1, 0}) {
      empty_cache(*backend, model);
      EXPECT_LE(distance(logits_of(*backend, model, tokens, chunk), expected), kLogitError);
    }
  }
}

// The CPU's own text is given to both, so that each of 64 choices counts; one may differ where the best
// two are nearer to each other than the backends are.
TEST_P(VulkanSequences, ChoosesAsTheCpuDoes) {
  const Checkpoint checkpoint = random_model({.family = GetParam(), .seed = 26});
  const auto device = std::move(*make_vulkan());
  const auto cpu = std::move(*cpu::create_cpu_backend({.n_threads = 1}));
  const Model there = load(*device, checkpoint), here = load(*cpu, checkpoint);
  empty_cache(*device, there);
  empty_cache(*cpu, here);
  std::vector<int32_t> next = random_tokens(9, kVocab, 9);
  int32_t position = 0;
  for (int i = 0; i < 64; ++i) {
    const Part part{.slot = 0, .first = position, .tokens = next};
    const std::vector<float> all = step(*device, there, {&part, 1}), own = step(*cpu, here, {&part, 1});
    ASSERT_LE(distance(all, own), kLogitError) << "token " << i;
    const auto got = std::span(all).last(kVocab), expected = std::span(own).last(kVocab);
    std::vector<float> sorted(expected.begin(), expected.end());
    std::ranges::sort(sorted, std::greater());
    float error = 0;
    for (size_t t = 0; t < got.size(); ++t) error = std::max(error, std::fabs(got[t] - expected[t]));
    const auto best = std::ranges::max_element(expected) - expected.begin();
    if (sorted[0] - sorted[1] >= 10 * error) {
      EXPECT_EQ(std::ranges::max_element(got) - got.begin(), best) << "token " << i;
    }
    position += static_cast<int32_t>(next.size());
    next = {static_cast<int32_t>(best)};
  }
}

}  // namespace
}  // namespace ac::test
