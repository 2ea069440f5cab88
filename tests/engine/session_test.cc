// The engine on random models: reuse, chunks, limits, memory.
// The plain backend makes the arithmetic exact, so that tokens can be compared; the CPU backend is
// run where its own behaviour matters.
#include "runtime/engine/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/memory.h"
#include "runtime/engine/backends.h"
#include "runtime/engine/memory.h"
#include "tests/engine/endless.h"
#include "tests/engine/plain_engine.h"
#include "tests/support/compare.h"
#include "tests/support/plain_backend.h"
#include "tests/support/random_model.h"
#include "tests/support/reference_decoder.h"

namespace ac {
namespace {

using test::endless;
using test::generate;
using test::plain_engine;
using test::prompt_of;
using test::tiny;

using testing::HasSubstr;

// Greedy, token by token, from the reference that has no cache.
std::vector<int32_t> reference_greedy(const Checkpoint& checkpoint, std::vector<int32_t> tokens,
                                      size_t n) {
  std::vector<int32_t> made;
  for (size_t i = 0; i < n; ++i) {
    const std::vector<double> logits = test::reference_logits(checkpoint, tokens);
    const size_t n_vocab = logits.size() / tokens.size();
    size_t best = logits.size() - n_vocab;
    for (size_t j = best; j < logits.size(); ++j) {
      const bool banned = j - (logits.size() - n_vocab) == 2;
      if (!banned && logits[j] > logits[best]) best = j;
    }
    made.push_back(static_cast<int32_t>(best - (logits.size() - n_vocab)));
    tokens.push_back(made.back());
  }
  return made;
}

TEST(Session, AnswersAsTheReferenceDoes) {
  for (std::string_view family : test::random_model_families()) {
    auto engine = plain_engine({.prefill_chunk = 4}, 21, family);
    const std::vector<int32_t> prompt = prompt_of(11, 1);
    const Generation made = generate(*engine, prompt, endless(12));
    EXPECT_EQ(made.tokens, reference_greedy(tiny(family), prompt, 12)) << family;
    EXPECT_EQ(made.finish, FinishReason::kLength);
    EXPECT_EQ(made.n_prompt_tokens, 11);
    EXPECT_EQ(made.n_reused_tokens, 0);
  }
}

TEST(Session, ReusesAPrefixAndChangesNothing) {
  auto engine = plain_engine();
  const std::vector<int32_t> first = prompt_of(20, 1);
  const Generation one = generate(*engine, first, endless(10));
  // The conversation goes on: prompt, answer, new words.
  std::vector<int32_t> second = first;
  second.insert(second.end(), one.tokens.begin(), one.tokens.end());
  const std::vector<int32_t> more = prompt_of(5, 2);
  second.insert(second.end(), more.begin(), more.end());
  const Generation two = generate(*engine, second, endless(10));
  // The last token of an answer is never fed, so it is the first to be computed.
  EXPECT_EQ(two.n_reused_tokens, 29);
  // Another branch shares part of it.
  std::vector<int32_t> third(second.begin(), second.begin() + 15);
  third.push_back(7);
  const Generation three = generate(*engine, third, endless(10));
  EXPECT_EQ(three.n_reused_tokens, 15);
  // The same prompt again: its last token is computed again, no more.
  const Generation again = generate(*engine, third, endless(10));
  EXPECT_EQ(again.n_reused_tokens, 15);
  EXPECT_EQ(again.tokens, three.tokens);
  for (const auto& [prompt, made] : {std::pair(second, two), std::pair(third, three)}) {
    auto fresh = plain_engine();
    const Generation expected = generate(*fresh, prompt, endless(10));
    EXPECT_EQ(expected.n_reused_tokens, 0);
    EXPECT_EQ(made.tokens, expected.tokens);
    EXPECT_EQ(made.text, expected.text);
  }
}

TEST(Session, KeepsOtherConversationsInOtherSlots) {
  auto engine = plain_engine({.n_slots = 2});
  const std::vector<int32_t> a = prompt_of(12, 1);
  const std::vector<int32_t> b = prompt_of(14, 2);
  generate(*engine, a, endless(4));
  generate(*engine, b, endless(4));
  EXPECT_EQ(generate(*engine, a, endless(4)).n_reused_tokens, 11);
  EXPECT_EQ(generate(*engine, b, endless(4)).n_reused_tokens, 13);
  // A third takes the place of the one unused for longest, which is a.
  generate(*engine, prompt_of(9, 3), endless(4));
  EXPECT_EQ(generate(*engine, b, endless(4)).n_reused_tokens, 13);
  EXPECT_EQ(generate(*engine, a, endless(4)).n_reused_tokens, 0);
}

TEST(Session, ChunksAgree) {
  const std::vector<int32_t> prompt = prompt_of(60, 4);
  const std::vector<double> expected = test::reference_logits(tiny(), prompt);
  std::vector<int32_t> tokens;
  for (int32_t chunk : {1, 7, 512}) {
    auto engine = plain_engine({.prefill_chunk = chunk});
    const auto logits = engine->logits(prompt);
    ASSERT_TRUE(logits.has_value()) << logits.error().message;
    EXPECT_LE(test::nmse<float>(*logits, std::span<const double>(expected)), 4e-11) << chunk;
    const Generation made = generate(*engine, prompt, endless(8));
    if (tokens.empty()) tokens = made.tokens;
    EXPECT_EQ(made.tokens, tokens) << chunk;
  }
}

TEST(Session, LogitsLeaveAUsableCache) {
  auto engine = plain_engine();
  const std::vector<int32_t> prompt = prompt_of(40, 4);
  ASSERT_TRUE(engine->logits(prompt).has_value());
  const Generation made = generate(*engine, prompt, endless(5));
  EXPECT_EQ(made.n_reused_tokens, 39);
  auto fresh = plain_engine();
  EXPECT_EQ(made.tokens, generate(*fresh, prompt, endless(5)).tokens);
}

TEST(Session, EmbedsTheMeanOfItsStates) {
  const auto whole = plain_engine(), chunked = plain_engine({.prefill_chunk = 3});
  const std::vector<int32_t> prompt = prompt_of(11, 4);
  const auto vector = whole->embed(prompt);
  ASSERT_TRUE(vector);
  ASSERT_EQ(vector->size(), static_cast<size_t>(whole->config().d_model));
  double length = 0;
  for (const float x : *vector) length += static_cast<double>(x) * static_cast<double>(x);
  EXPECT_NEAR(length, 1, 1e-5);
  const auto in_chunks = chunked->embed(prompt);
  ASSERT_TRUE(in_chunks);
  for (size_t i = 0; i < vector->size(); ++i) EXPECT_NEAR((*vector)[i], (*in_chunks)[i], 1e-5);
  // Of one token it is that token's state, whose direction a prefill shows.
  const std::vector<int32_t> one(prompt.begin(), prompt.begin() + 1);
  std::vector<float> state;
  GenerateOptions options{.max_tokens = 1};
  options.after_prefill = [&](const PrefillState& shown) {
    state.assign(shown.hidden.begin(), shown.hidden.end());
    return false;
  };
  generate(*whole, one, options);
  const auto of_one = whole->embed(one);
  ASSERT_TRUE(of_one);
  const double scale = static_cast<double>(state[0]) / static_cast<double>((*of_one)[0]);
  for (size_t i = 0; i < state.size(); ++i) {
    EXPECT_NEAR(state[i], scale * static_cast<double>((*of_one)[i]), 1e-4);
  }
  EXPECT_GT(scale, 0);
  EXPECT_FALSE(whole->embed({}));
  const std::vector<int32_t> long_one(static_cast<size_t>(whole->n_context()) + 1, 3);
  EXPECT_EQ(whole->embed(long_one).error().code, ErrorCode::kContextFull);
}

TEST(Session, KeepsToTheContext) {
  auto engine = plain_engine({.n_context = 16});
  EXPECT_EQ(engine->n_context(), 16);
  const auto full = engine->generate(prompt_of(16, 1), endless(5));
  ASSERT_FALSE(full.has_value());
  EXPECT_EQ(full.error().code, ErrorCode::kContextFull);
  EXPECT_EQ(full.error().message,
            "a prompt of 16 tokens and one of the answer exceed the context of 16");
  // Fifteen leave room for one in the cache, and one that follows from it.
  const Generation short_answer = generate(*engine, prompt_of(15, 1), endless(50));
  EXPECT_EQ(short_answer.finish, FinishReason::kLength);
  EXPECT_EQ(short_answer.tokens.size(), 2u);
  const Generation longer = generate(*engine, prompt_of(6, 1), endless(50));
  EXPECT_EQ(longer.tokens.size(), 11u);
  EXPECT_EQ(longer.tokens, reference_greedy(tiny(), prompt_of(6, 1), 11));
  EXPECT_EQ(engine->logits(prompt_of(17, 1)).error().code, ErrorCode::kContextFull);
  EXPECT_TRUE(engine->logits(prompt_of(16, 1)).has_value());
}

TEST(Session, RefusesBadRequests) {
  auto engine = plain_engine();
  const std::vector<int32_t> prompt = prompt_of(4, 1);
  const auto code_of = [&](std::span<const int32_t> tokens, const GenerateOptions& options) {
    const auto made = engine->generate(tokens, options);
    EXPECT_FALSE(made.has_value());
    return made ? ErrorCode::kIo : made.error().code;
  };
  EXPECT_EQ(code_of({}, {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(std::vector<int32_t>{-1}, {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(std::vector<int32_t>{1 << 20}, {}), ErrorCode::kInvalidArgument);
  GenerateOptions options;
  options.max_tokens = -1;
  EXPECT_EQ(code_of(prompt, options), ErrorCode::kInvalidArgument);
  options = {};
  options.stop = {""};
  EXPECT_EQ(code_of(prompt, options), ErrorCode::kInvalidArgument);
  options = {};
  options.n_logprobs = 1 << 20;
  EXPECT_EQ(code_of(prompt, options), ErrorCode::kInvalidArgument);
  options = {};
  options.sampler.top_p = 7;
  EXPECT_EQ(code_of(prompt, options), ErrorCode::kInvalidArgument);
  EXPECT_EQ(engine->logits({}).error().code, ErrorCode::kInvalidArgument);
  options = {};
  options.max_tokens = 0;
  const Generation none = generate(*engine, prompt, options);
  EXPECT_TRUE(none.tokens.empty());
  EXPECT_EQ(none.finish, FinishReason::kLength);
}

TEST(Session, RefusesBadOptions) {
  for (const EngineOptions& options :
       {EngineOptions{.n_context = -1}, EngineOptions{.n_context = 1 << 30},
        EngineOptions{.n_slots = 0}, EngineOptions{.n_slots = 1 << 20},
        EngineOptions{.prefill_chunk = 0}}) {
    const auto engine = Engine::load_on(test::make_plain_backend(), tiny(), options);
    ASSERT_FALSE(engine.has_value());
    EXPECT_EQ(engine.error().code, ErrorCode::kInvalidArgument);
  }
  const auto engine = Engine::load(tiny(), {.backend = "abacus"});
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(engine.error().message, HasSubstr("auto, cpu"));
}

TEST(Session, RefusesWhatDoesNotFit) {
  const auto engine =
      Engine::load_on(test::make_plain_backend(), tiny(), {.memory_limit_bytes = 1 << 16});
  ASSERT_FALSE(engine.has_value());
  EXPECT_EQ(engine.error().code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(engine.error().message, HasSubstr("weights"));
  EXPECT_THAT(engine.error().message, HasSubstr("keys and values"));
  EXPECT_THAT(engine.error().message, HasSubstr("activations"));
  // A cache of tebibytes is refused before it is taken.
  const auto huge =
      Engine::load_on(test::make_plain_backend(), tiny(), {.n_context = 1 << 24, .n_slots = 256});
  ASSERT_FALSE(huge.has_value());
  EXPECT_EQ(huge.error().code, ErrorCode::kOutOfMemory);
}

TEST(Memory, AddsUpWhatIsTaken) {
  const Checkpoint checkpoint = tiny();
  const auto config = read_model_config(checkpoint);
  ASSERT_TRUE(config.has_value());
  const auto backend = test::make_plain_backend();
  const KvShape shape = config->kv_shape(1, 64, KvFormat::kF32);
  const MemoryPlan plan = plan_memory(checkpoint, *config, shape, 16, *backend);
  uint64_t weights = 0;
  for (const auto& [name, view] : checkpoint.tensors) weights += view.size_bytes;
  EXPECT_EQ(plan.weights_bytes, weights);
  EXPECT_EQ(plan.cache_bytes,
            2u * 2 * 20 * 64 * 8);  // two layers, k and v of 2 heads of 10, doubles
  EXPECT_GT(plan.activations_bytes, 16u * 60 * 4);
  EXPECT_TRUE(check_memory(plan, plan.total(), "x").has_value());
  EXPECT_FALSE(check_memory(plan, plan.total() - 1, "x").has_value());
  const uint64_t available = available_memory_bytes();
  EXPECT_GT(available, 1u << 20);
}

TEST(Session, WritesBosOnce) {
  auto engine = plain_engine();
  const std::vector<int32_t> raw = engine->tokens_of_text("the hen");
  ASSERT_FALSE(raw.empty());
  EXPECT_EQ(raw.front(), 1);
  EXPECT_EQ(std::count(raw.begin(), raw.end(), 1), 1);
  EXPECT_EQ(engine->tokens_of_text(""), std::vector<int32_t>{1});
  // Words that look like a special token are words.
  const std::vector<int32_t> words = engine->tokens_of_text("<s></s>");
  EXPECT_EQ(std::count(words.begin(), words.end(), 1), 1);
  EXPECT_EQ(std::count(words.begin(), words.end(), 2), 0);
  EXPECT_EQ(engine->chat_template(), nullptr);
  const auto chat = engine->tokens_of_chat({{"system", "the"}, {"user", "hen"}});
  ASSERT_TRUE(chat.has_value());
  EXPECT_EQ(*chat, engine->tokens_of_text("the\nhen"));
}

TEST(Session, AppliesTheTemplate) {
  Checkpoint checkpoint = tiny();
  checkpoint.set_string(
      "tokenizer.chat_template",
      "{{ bos_token }}{% for m in messages %}{{ m['role'] }} {{ m['content'] }}</s>{% endfor %}"
      "{% if add_generation_prompt %}in{% endif %}");
  auto engine = Engine::load_on(test::make_plain_backend(), std::move(checkpoint), {});
  ASSERT_TRUE(engine.has_value()) << engine.error().message;
  EXPECT_NE((*engine)->chat_template(), nullptr);
  // The template's own bos is the only one, its </s> is special, the user's is not.
  const auto tokens = (*engine)->tokens_of_chat({{"user", "a</s>b<s>"}});
  ASSERT_TRUE(tokens.has_value()) << tokens.error().message;
  EXPECT_EQ(tokens->front(), 1);
  EXPECT_EQ(std::count(tokens->begin(), tokens->end(), 1), 1);
  EXPECT_EQ(std::count(tokens->begin(), tokens->end(), 2), 1);
}

TEST(Session, ATemplateBeyondUsHindersOnlyChats) {
  Checkpoint checkpoint = tiny();
  checkpoint.set_string("tokenizer.chat_template", "{% import 'os' as os %}");
  auto engine = Engine::load_on(test::make_plain_backend(), std::move(checkpoint), {});
  ASSERT_TRUE(engine.has_value()) << engine.error().message;
  EXPECT_EQ((*engine)->chat_template(), nullptr);
  const auto chat = (*engine)->tokens_of_chat({{"user", "hen"}});
  ASSERT_FALSE(chat.has_value());
  EXPECT_THAT(chat.error().message, HasSubstr("chat template"));
  EXPECT_FALSE((*engine)->tokens_of_text("hen").empty());
}

// A backend that fails in the middle: an error, and afterwards nothing of the cache is trusted.
TEST(Session, ForgetsTheCacheAfterAFailedStep) {
  auto [backend, fail_next] = test::make_failing_backend();
  auto engine = Engine::load_on(std::move(backend), tiny(), {});
  ASSERT_TRUE(engine.has_value()) << engine.error().message;
  const std::vector<int32_t> prompt = prompt_of(8, 1);
  const Generation before = generate(**engine, prompt, endless(5));
  *fail_next = true;
  const auto failed = (*engine)->generate(prompt, endless(5));
  ASSERT_FALSE(failed.has_value());
  EXPECT_EQ(failed.error().code, ErrorCode::kIo);
  const Generation after = generate(**engine, prompt, endless(5));
  EXPECT_EQ(after.n_reused_tokens, 0);
  EXPECT_EQ(after.tokens, before.tokens);
}

// The CPU backend: sampled and greedy answers are the same tokens for any number of threads.
TEST(CpuSession, DoesNotDependOnThreads) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kQ8_0}) {
    std::vector<int32_t> greedy;
    std::vector<int32_t> sampled;
    for (int n_threads : {1, 2, 3, 4}) {
      auto engine =
          Engine::load(test::random_model({.seed = 5, .format = format, .tokenizer = true}),
                       {.backend = "cpu", .n_threads = n_threads});
      ASSERT_TRUE(engine.has_value()) << engine.error().message;
      EXPECT_EQ((*engine)->backend_name(), "cpu");
      GenerateOptions options = endless(24);
      const Generation a = generate(**engine, prompt_of(17, 3), options);
      options.sampler.temperature = 0.9f;
      options.sampler.top_p = 0.95f;
      options.sampler.seed = 77;
      const Generation b = generate(**engine, prompt_of(17, 4), options);
      if (greedy.empty()) greedy = a.tokens;
      if (sampled.empty()) sampled = b.tokens;
      EXPECT_EQ(a.tokens, greedy) << n_threads;
      EXPECT_EQ(b.tokens, sampled) << n_threads;
    }
  }
}

}  // namespace
}  // namespace ac
