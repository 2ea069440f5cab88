// What a reader sees while an answer is made, and how one stops it: pieces, cancelling, stop strings,
// log-probabilities, the state after a prompt.
#include <gtest/gtest.h>

#include "runtime/engine/session.h"
#include "tests/engine/endless.h"
#include "tests/engine/plain_engine.h"
#include "tests/support/reference_decoder.h"

namespace ac {
namespace {

using test::endless;
using test::generate;
using test::plain_engine;
using test::prompt_of;
using test::tiny;

TEST(Session, WhatACallbackThrowsLeavesTheEngineWhole) {
  auto engine = plain_engine();
  GenerateOptions options = endless(8);
  options.on_text = [](std::string_view) -> bool { throw std::runtime_error("a reader's own"); };
  const std::vector<int32_t> prompt = prompt_of(5, 6);
  EXPECT_THROW((void)engine->generate(prompt, options), std::runtime_error);
  auto fresh = plain_engine();
  EXPECT_EQ(generate(*engine, prompt, endless(8)).tokens,
            generate(*fresh, prompt, endless(8)).tokens);
}

TEST(Session, StreamsTheTextItReturns) {
  auto engine = plain_engine();
  GenerateOptions options = endless(30);
  std::string streamed;
  int pieces = 0;
  options.on_text = [&](std::string_view piece) {
    streamed += piece;
    ++pieces;
    return true;
  };
  const Generation made = generate(*engine, prompt_of(5, 6), options);
  EXPECT_EQ(streamed, made.text);
  EXPECT_GT(pieces, 1);
  EXPECT_EQ(made.tokens.size(), 30u);
}

TEST(Session, CancelEndsBetweenTokens) {
  auto engine = plain_engine({.prefill_chunk = 4});
  CancelFlag cancel;
  GenerateOptions options = endless(40);
  options.cancel = &cancel;
  size_t n_seen = 0;
  options.on_text = [&](std::string_view) {
    if (++n_seen == 3) cancel.raise();
    return true;
  };
  const std::vector<int32_t> prompt = prompt_of(10, 7);
  const Generation made = generate(*engine, prompt, options);
  EXPECT_EQ(made.finish, FinishReason::kCancelled);
  EXPECT_LT(made.tokens.size(), 40u);
  EXPECT_GE(made.tokens.size(), 3u);
  // What was computed is still good.
  GenerateOptions whole = endless(8);
  const Generation after = generate(*engine, prompt, whole);
  auto fresh = plain_engine();
  EXPECT_EQ(after.tokens, generate(*fresh, prompt, whole).tokens);
  EXPECT_EQ(after.n_reused_tokens, 9);
  // Raised before the start: nothing at all is computed.
  const Generation none = generate(*engine, prompt_of(10, 8), options);
  EXPECT_EQ(none.finish, FinishReason::kCancelled);
  EXPECT_TRUE(none.tokens.empty());
}

TEST(Session, CancelOfOneLeavesTheOthers) {
  auto engine = plain_engine({.n_slots = 2});
  CancelFlag cancel;
  std::vector<std::vector<int32_t>> prompts = {prompt_of(6, 1), prompt_of(7, 2)};
  std::vector<GenerateOptions> options = {endless(20), endless(20)};
  options[0].cancel = &cancel;
  options[0].on_text = [&](std::string_view) {
    cancel.raise();
    return true;
  };
  const auto made = engine->generate_batch(prompts, options);
  ASSERT_TRUE(made.has_value());
  EXPECT_EQ((*made)[0].finish, FinishReason::kCancelled);
  EXPECT_EQ((*made)[1].finish, FinishReason::kLength);
  auto alone = plain_engine();
  EXPECT_EQ((*made)[1].tokens, generate(*alone, prompts[1], endless(20)).tokens);
}

TEST(Session, AReaderWhoHasEnoughEndsTheAnswer) {
  auto engine = plain_engine();
  GenerateOptions options = endless(40);
  std::string streamed;
  options.on_text = [&](std::string_view piece) {
    streamed += piece;
    return streamed.size() < 5;
  };
  const Generation made = generate(*engine, prompt_of(5, 6), options);
  EXPECT_EQ(made.finish, FinishReason::kCancelled);
  EXPECT_EQ(made.text, streamed);
  EXPECT_LT(made.tokens.size(), 40u);
}

// The text of an answer gives its own stop strings: every substring of three characters or more,
// which lies across token boundaries, since the vocabulary's pieces are short.
TEST(Session, NoStopStringLeaks) {
  auto engine = plain_engine();
  const std::vector<int32_t> prompt = prompt_of(5, 6);
  GenerateOptions options = endless(40);
  // Printable tokens only, so that the text is what the pieces say.
  for (int32_t id = 0; id < 259; ++id) {
    options.sampler.logit_bias.emplace_back(id, -std::numeric_limits<float>::infinity());
  }
  const std::string whole = generate(*engine, prompt, options).text;
  ASSERT_GE(whole.size(), 30u);
  for (size_t begin = 4; begin + 5 < 30; begin += 3) {
    const std::string stop = whole.substr(begin, 5);
    options.stop = {"never in there", stop};
    std::string streamed;
    options.on_text = [&](std::string_view piece) {
      streamed += piece;
      EXPECT_EQ(streamed.find(stop), std::string::npos);
      return true;
    };
    const Generation made = generate(*engine, prompt, options);
    EXPECT_EQ(made.finish, FinishReason::kStop);
    EXPECT_EQ(made.text, whole.substr(0, whole.find(stop)));
    EXPECT_EQ(streamed, made.text);
  }
}

TEST(Session, EndsAtTheEndToken) {
  auto engine = plain_engine();
  GenerateOptions options;
  options.max_tokens = 20;
  options.sampler.logit_bias = {{2, 1e6f}};
  const Generation made = generate(*engine, prompt_of(5, 6), options);
  EXPECT_EQ(made.finish, FinishReason::kStop);
  EXPECT_TRUE(made.tokens.empty());
  EXPECT_EQ(made.text, "");
}

TEST(Session, ReportsLogProbabilities) {
  auto engine = plain_engine();
  GenerateOptions options = endless(6);
  options.n_logprobs = 3;
  const std::vector<int32_t> prompt = prompt_of(9, 6);
  const Generation made = generate(*engine, prompt, options);
  ASSERT_EQ(made.logprobs.size(), 6u);
  std::vector<int32_t> sequence = prompt;
  double sum = 0;
  for (const TokenLogprob& one : made.logprobs) {
    const std::vector<double> all = test::reference_logits(tiny(), sequence);
    const size_t n_vocab = all.size() / sequence.size();
    const std::vector<float> last(all.end() - static_cast<ptrdiff_t>(n_vocab), all.end());
    EXPECT_NEAR(one.logprob, log_probability(last, one.token), 1e-4);
    ASSERT_EQ(one.top.size(), 3u);
    EXPECT_GE(one.top[0].second, one.top[1].second);
    EXPECT_GE(one.top[0].second, one.logprob);
    sum += static_cast<double>(one.logprob);
    sequence.push_back(one.token);
  }
  EXPECT_NEAR(made.mean_logprob, sum / 6, 1e-6);
}

TEST(Session, ShowsItsLowestLogProbabilities) {
  auto engine = plain_engine();
  GenerateOptions options = endless(25);
  options.n_logprobs = 1;
  const Generation made = generate(*engine, prompt_of(9, 6), options);
  std::vector<float> all;
  for (const TokenLogprob& one : made.logprobs) all.push_back(one.logprob);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(made.least_logprob, all[0]);
  EXPECT_EQ(made.low_logprob, all[2]);
}

TEST(Session, AfterPrefillThereIsAStateToLookAt) {
  auto engine = plain_engine({.n_slots = 2, .prefill_chunk = 8});
  const std::vector<std::vector<int32_t>> prompts = {prompt_of(21, 1), prompt_of(5, 2),
                                                     prompt_of(13, 3)};
  std::vector<GenerateOptions> options(prompts.size(), endless(3));
  std::vector<std::vector<float>> hidden(prompts.size()), logits(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    options[i].after_prefill = [&, i](const PrefillState& state) {
      EXPECT_TRUE(hidden[i].empty()) << "called twice";
      hidden[i].assign(state.hidden.begin(), state.hidden.end());
      logits[i].assign(state.logits.begin(), state.logits.end());
      return i != 1;
    };
  }
  const auto made = engine->generate_batch(prompts, options);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  for (size_t i = 0; i < prompts.size(); ++i) {
    EXPECT_EQ(hidden[i].size(), static_cast<size_t>(engine->config().d_model));
    const std::vector<double> all = test::reference_logits(tiny(), prompts[i]);
    const size_t n_vocab = all.size() / prompts[i].size();
    ASSERT_EQ(logits[i].size(), n_vocab);
    for (size_t k = 0; k < n_vocab; ++k) {
      EXPECT_NEAR(logits[i][k], all[all.size() - n_vocab + k], 1e-3);
    }
  }
  EXPECT_NE(hidden[0], hidden[2]);
  // The one that was not let answer has said nothing.
  EXPECT_EQ((*made)[1].finish, FinishReason::kCancelled);
  EXPECT_TRUE((*made)[1].tokens.empty());
  EXPECT_EQ((*made)[0].tokens.size(), 3u);
  // Alone, and from what the cache holds already, it is the same state.
  auto alone = plain_engine();
  for (int round = 0; round < 2; ++round) {
    GenerateOptions again = endless(1);
    std::vector<float> seen;
    again.after_prefill = [&](const PrefillState& state) {
      seen.assign(state.hidden.begin(), state.hidden.end());
      return true;
    };
    generate(*alone, prompts[0], again);
    ASSERT_EQ(seen.size(), hidden[0].size());
    for (size_t k = 0; k < seen.size(); ++k) EXPECT_NEAR(seen[k], hidden[0][k], 1e-4);
  }
}

}  // namespace
}  // namespace ac
