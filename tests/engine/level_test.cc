// Levels of precision in the engine: for an engine, for an answer, for a token; and the cache
// stays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "models/arch/model.h"
#include "runtime/engine/memory.h"
#include "runtime/engine/session.h"
#include "tests/engine/endless.h"
#include "tests/support/plain_backend.h"
#include "tests/support/random_model.h"

namespace ac {
namespace {

using test::prompt_of;
using testing::HasSubstr;

// And tells how likely every token was.
GenerateOptions endless_with_logprobs(int32_t max_tokens) {
  GenerateOptions options = test::endless(max_tokens);
  options.n_logprobs = 1;
  return options;
}

// A family whose logits are capped: random models of others are certain of what they say.
Checkpoint nested_model() {
  Checkpoint checkpoint = test::random_model({.family = "gemma2",
                                              .seed = 31,
                                              .format = WeightFormat::kQ4_0,
                                              .tokenizer = true,
                                              .n_layers = 2});
  test::add_residuals(checkpoint, 32);
  return checkpoint;
}

std::unique_ptr<Engine> engine_of(Checkpoint checkpoint, const EngineOptions& options = {}) {
  auto engine = Engine::load_on(test::make_plain_backend(), std::move(checkpoint), options);
  EXPECT_TRUE(engine.has_value()) << engine.error().message;
  return engine ? std::move(*engine) : nullptr;
}

// The log-probability of each token of `answer` after `prompt`, on a backend by itself: every token
// is fed once, at the level that level_at says for the step that feeds it.
std::vector<double> replay(std::span<const int32_t> prompt, std::span<const int32_t> answer,
                           const std::function<int32_t(int32_t)>& level_at) {
  const Checkpoint checkpoint = nested_model();
  const auto backend = test::make_plain_backend();
  const auto model = load_model(checkpoint, *backend);
  AC_CHECK(model.has_value());
  AC_CHECK(backend->create_kv(model->config.kv_shape(1, 96, KvFormat::kF32)).has_value());
  std::vector<int32_t> tokens(prompt.begin(), prompt.end());
  std::vector<double> found;
  size_t fed = 0;
  for (size_t i = 0; i < answer.size(); ++i) {
    set_level(*backend, *model, level_at(static_cast<int32_t>(i)));
    const size_t n = tokens.size() - fed;
    std::vector<int32_t> positions(n);
    for (size_t j = 0; j < n; ++j) positions[j] = static_cast<int32_t>(fed + j);
    const std::vector<int32_t> slots(n, 0);
    const int32_t row[] = {static_cast<int32_t>(n) - 1};
    backend->begin_step(
        {.tokens = std::span(tokens).subspan(fed), .positions = positions, .slots = slots});
    const Value out = forward(*backend, *model, row);
    AC_CHECK(backend->end_step().has_value());
    double sum = 0;
    const auto logits = backend->read(out);
    for (const float x : logits) sum += std::exp(static_cast<double>(x));
    found.push_back(static_cast<double>(logits[static_cast<size_t>(answer[i])]) - std::log(sum));
    fed = tokens.size();
    tokens.push_back(answer[i]);
  }
  return found;
}

void expect_replayed(const Generation& made, std::span<const int32_t> prompt,
                     const std::function<int32_t(int32_t)>& level_at) {
  const std::vector<double> expected = replay(prompt, made.tokens, level_at);
  ASSERT_EQ(made.logprobs.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(static_cast<double>(made.logprobs[i].logprob), expected[i], 1e-5) << i;
  }
}

double difference(std::span<const double> a, std::span<const double> b) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - b[i]));
  return most;
}

TEST(Level, ChangesInMidAnswerAndTheCacheStays) {
  const auto engine = engine_of(nested_model());
  const std::vector<int32_t> prompt = prompt_of(13, 1);
  // The prompt and five tokens with 4 bits, some with half, the rest with 8.
  std::vector<int32_t> asked;
  const auto level_at = [](int32_t n) { return n < 5 ? 0 : n < 9 ? 50 : 100; };
  GenerateOptions options = endless_with_logprobs(16);
  options.level_at = [&](int32_t n) {
    asked.push_back(n);
    return level_at(n);
  };
  const auto made = engine->generate(prompt, options);
  ASSERT_TRUE(made) << made.error().message;
  // Once for the prompt and once for each token that is fed: nothing is computed a second time.
  std::vector<int32_t> once(16);
  for (size_t i = 0; i < once.size(); ++i) once[i] = static_cast<int32_t>(i);
  EXPECT_EQ(asked, once);
  // What a model gives whose cache was filled at the levels of the time. Had the engine read the
  // prompt again at the new level, it would be something else.
  expect_replayed(*made, prompt, level_at);
  const auto mixed = replay(prompt, made->tokens, level_at);
  for (const int32_t level : {0, 50, 100}) {
    EXPECT_GT(difference(mixed, replay(prompt, made->tokens, [&](int32_t) { return level; })), 1e-3)
        << level;
  }
  // The engine's own level is what it was.
  EXPECT_EQ(engine->level(), 100);
}

TEST(Level, OfAnEngine) {
  const std::vector<int32_t> prompt = prompt_of(9, 2);
  const auto low = engine_of(nested_model(), {.level = 0});
  EXPECT_EQ(low->level(), 0);
  const auto first = low->generate(prompt, endless_with_logprobs(6));
  ASSERT_TRUE(first);
  expect_replayed(*first, prompt, [](int32_t) { return 0; });
  // Between tokens, by who listens; the answer goes on at the new level.
  GenerateOptions options = endless_with_logprobs(12);
  size_t n_pieces = 0;
  options.on_text = [&](std::string_view) {
    if (++n_pieces == 1) {
      EXPECT_TRUE(low->set_level(100));
    }
    return true;
  };
  ASSERT_TRUE(low->generate(prompt, options));
  EXPECT_EQ(low->level(), 100);
  // A prompt that is still in the cache is not read again.
  const auto again = low->generate(prompt, endless_with_logprobs(6));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->n_reused_tokens, 8);
  // The checkpoint's own level, and logits at the engine's.
  Checkpoint half = nested_model();
  half.set_uint(std::string(kNestedLevelKey), 50);
  const auto middle = engine_of(std::move(half));
  EXPECT_EQ(middle->level(), 50);
  const auto at_half = middle->logits(prompt);
  ASSERT_TRUE(middle->set_level(100));
  const auto at_full = middle->logits(prompt);
  ASSERT_TRUE(at_half && at_full);
  EXPECT_NE(*at_half, *at_full);
  const auto whole = engine_of(nested_model());
  EXPECT_EQ(*whole->logits(prompt), *at_full);
}

// Answers that are made together share steps: each is at least as good as it asked for.
TEST(Level, TheHighestOfAStep) {
  const auto engine = engine_of(nested_model(), {.n_slots = 2});
  const std::vector<std::vector<int32_t>> prompts = {prompt_of(7, 3), prompt_of(7, 4)};
  std::vector<GenerateOptions> options = {endless_with_logprobs(8), endless_with_logprobs(8)};
  options[0].level_at = [](int32_t) { return 0; };
  options[1].level_at = [](int32_t n) { return n < 4 ? 50 : -7; };  // below 0 is 0
  const auto made = engine->generate_batch(prompts, options);
  ASSERT_TRUE(made) << made.error().message;
  for (size_t i = 0; i < 2; ++i) {
    expect_replayed((*made)[i], prompts[i], [](int32_t n) { return n < 4 ? 50 : 0; });
  }
}

TEST(Level, WhereThereIsNone) {
  const auto plain = [] {
    return test::random_model({.family = "llama", .tokenizer = true, .n_layers = 2});
  };
  const auto engine = engine_of(plain());
  EXPECT_EQ(engine->level(), std::nullopt);
  const Status set = engine->set_level(50);
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code, ErrorCode::kInvalidArgument);
  GenerateOptions options = endless_with_logprobs(2);
  options.level_at = [](int32_t) { return 50; };
  const auto made = engine->generate(prompt_of(4, 1), options);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(made.error().message, HasSubstr("one precision"));
  for (const int32_t level : {-1, 101}) {
    const auto wrong =
        Engine::load_on(test::make_plain_backend(), nested_model(), {.level = level});
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().message, HasSubstr("expected 0 to 100"));
    EXPECT_FALSE(engine_of(nested_model())->set_level(level));
  }
  const auto none = Engine::load_on(test::make_plain_backend(), plain(), {.level = 50});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("one precision"));
}

// Residuals of a mapped file are counted as far as they are read.
TEST(Level, Memory) {
  Checkpoint checkpoint = nested_model();
  const auto config = read_model_config(checkpoint);
  const auto backend = test::make_plain_backend();
  const KvShape shape = config->kv_shape(1, 64, KvFormat::kF32);
  const auto weights_at = [&](uint32_t level) {
    checkpoint.set_uint(std::string(kNestedLevelKey), level);
    return plan_memory(checkpoint, *config, shape, 16, *backend).weights_bytes;
  };
  const uint64_t all = weights_at(0);
  EXPECT_EQ(weights_at(100), all);  // in memory they are there whether they are read or not
  checkpoint.drop_pages = [](std::span<const std::byte>) {};
  uint64_t residuals = 0;
  for (const auto& [name, view] : checkpoint.tensors) {
    if (is_residual(name)) residuals += view.size_bytes;
  }
  EXPECT_EQ(weights_at(100), all);
  EXPECT_EQ(weights_at(0), all - residuals);
  EXPECT_GT(weights_at(50), weights_at(0));
  EXPECT_LT(weights_at(50), all);
}

}  // namespace
}  // namespace ac
