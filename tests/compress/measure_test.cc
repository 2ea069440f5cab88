#include "models/compress/measure.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cpu/backend_cpu.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

// log softmax of one row, in double.
std::vector<double> log_probabilities(std::span<const float> logits) {
  double sum = 0;
  for (const float x : logits) sum += std::exp(double{x});
  std::vector<double> log_p;
  for (const float x : logits) log_p.push_back(double{x} - std::log(sum));
  return log_p;
}

TEST(Measure, EqualsPlainLoops) {
  const Checkpoint base = test::random_model({.family = "llama", .seed = 1});
  const Checkpoint other = test::random_model({.family = "llama", .seed = 2});
  const auto n_vocab = static_cast<size_t>(read_model_config(base)->n_vocab);
  TokenWindows windows;
  windows.add(test::random_tokens(90, static_cast<int32_t>(n_vocab), 3));
  windows.add(test::random_tokens(17, static_cast<int32_t>(n_vocab), 4));
  double kl = 0, loss = 0, base_loss = 0, n = 0, same = 0;
  for (size_t w = 0; w < windows.n_windows(); ++w) {
    const auto tokens = windows.window(w);
    auto left = cpu::create_cpu_backend();
    auto right = cpu::create_cpu_backend();
    const auto p_all = test::run_logits(base, **left, tokens);
    const auto q_all = test::run_logits(other, **right, tokens);
    ASSERT_TRUE(p_all && q_all);
    for (size_t t = 0; t + 1 < tokens.size(); ++t) {
      const auto p = log_probabilities(std::span(*p_all).subspan(t * n_vocab, n_vocab));
      const auto q = log_probabilities(std::span(*q_all).subspan(t * n_vocab, n_vocab));
      size_t top_p = 0, top_q = 0;
      for (size_t v = 0; v < n_vocab; ++v) {
        kl += std::exp(p[v]) * (p[v] - q[v]);
        if (p[v] > p[top_p]) top_p = v;
        if (q[v] > q[top_q]) top_q = v;
      }
      same += top_p == top_q ? 1 : 0;
      base_loss -= p[static_cast<size_t>(tokens[t + 1])];
      loss -= q[static_cast<size_t>(tokens[t + 1])];
      ++n;
    }
  }
  size_t reached = 0;
  const auto quality =
      measure_quality(base, other, windows,
                      {.n_threads = 2, .progress = [&](size_t done, size_t) { reached = done; }});
  ASSERT_TRUE(quality) << quality.error().message;
  EXPECT_EQ(reached, windows.tokens.size());
  EXPECT_EQ(quality->n_tokens, static_cast<uint64_t>(n));
  // The same single-precision logits, read in steps of another size.
  EXPECT_NEAR(quality->kl_mean, kl / n, 1e-4 * kl / n);
  EXPECT_NEAR(quality->perplexity, std::exp(loss / n), 1e-4 * quality->perplexity);
  EXPECT_NEAR(quality->base_perplexity, std::exp(base_loss / n), 1e-4 * quality->base_perplexity);
  EXPECT_NEAR(quality->same_top1, same / n, 1e-9);
  EXPECT_LE(quality->kl_median, quality->kl_99);
  const auto itself = measure_quality(base, base, windows);
  ASSERT_TRUE(itself);
  EXPECT_LT(itself->kl_99, 1e-12);
  EXPECT_EQ(itself->same_top1, 1);
}

TEST(Measure, Refusals) {
  const Checkpoint base = test::random_model({.family = "llama"});
  const Checkpoint words = test::random_model({.family = "llama", .tokenizer = true});
  TokenWindows windows;
  windows.add(test::random_tokens(20, 50, 3));
  EXPECT_FALSE(measure_quality(base, words, windows));  // other vocabularies
  EXPECT_FALSE(measure_quality(base, base, {}));
  const auto ms = measure_ms_per_token(base, 1);
  ASSERT_TRUE(ms) << ms.error().message;
  EXPECT_GT(*ms, 0);
}

}  // namespace
}  // namespace ac
