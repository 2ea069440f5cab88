// The sampler: edges of every option, and distributions with known seeds.
#include "runtime/engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

namespace ac {
namespace {

using testing::HasSubstr;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

int32_t greedy(std::vector<float> logits) { return Sampler({}).sample(logits, {}); }

// How often each token comes in n draws.
std::map<int32_t, int> draw(const SamplerOptions& options, const std::vector<float>& logits, int n,
                            std::vector<int32_t> history = {}) {
  Sampler sampler(options);
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.sample(logits, history)];
  return counts;
}

std::vector<float> logs(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

TEST(Sampler, TakesTheBestToken) {
  EXPECT_EQ(greedy({1, 3, 2}), 1);
  EXPECT_EQ(greedy({-5}), 0);
  for (int32_t at = 0; at < 37; ++at) {
    std::vector<float> logits(37, -2.0f);
    logits[static_cast<size_t>(at)] = -1.0f;
    EXPECT_EQ(greedy(logits), at);
  }
}

TEST(Sampler, TiesGoToTheLowestId) {
  EXPECT_EQ(greedy({1, 3, 3, 3}), 1);
  EXPECT_EQ(greedy(std::vector<float>(1000, 0.5f)), 0);
  std::vector<float> logits(100, 0.0f);
  logits[17] = logits[50] = logits[99] = 2.0f;
  EXPECT_EQ(greedy(logits), 17);
}

TEST(Sampler, WhatIsNoNumberNeverWins) {
  EXPECT_EQ(greedy({kNan, 1, kNan, 2, kNan}), 3);
  EXPECT_EQ(greedy({-kInfinity, -kInfinity, -3}), 2);
  EXPECT_EQ(greedy({1, kInfinity, 2}), 1);
  EXPECT_EQ(greedy({kNan, kNan}), 0);
  EXPECT_EQ(greedy({-kInfinity, -kInfinity}), 0);
  const auto counts = draw({.temperature = 1, .seed = 3}, {kNan, 0, -kInfinity, 0}, 400);
  EXPECT_EQ(counts.count(0) + counts.count(2), 0u);
  EXPECT_EQ(counts.size(), 2u);
}

// n draws of probability p: mean n p, variance n p (1 - p); five deviations.
void expect_frequency(const std::map<int32_t, int>& counts, int32_t token, double p, int n) {
  const auto it = counts.find(token);
  const double count = it == counts.end() ? 0 : it->second;
  EXPECT_NEAR(count, n * p, 5 * std::sqrt(n * p * (1 - p)) + 1e-9) << "token " << token;
}

TEST(Sampler, DrawsByProbability) {
  const std::vector<double> p = {0.5, 0.3, 0.15, 0.05};
  const int n = 20000;
  const auto counts = draw({.temperature = 1, .seed = 1}, logs(p), n);
  for (int32_t i = 0; i < 4; ++i) expect_frequency(counts, i, p[static_cast<size_t>(i)], n);
}

TEST(Sampler, TemperatureSharpensAndFlattens) {
  const int n = 20000;
  // p^(1/T), normalised.
  const auto sharp = draw({.temperature = 0.5f, .seed = 2}, logs({0.6, 0.4}), n);
  expect_frequency(sharp, 0, 0.36 / (0.36 + 0.16), n);
  const auto flat = draw({.temperature = 2, .seed = 2}, logs({0.64, 0.36}), n);
  expect_frequency(flat, 0, 0.8 / 1.4, n);
  const auto frozen = draw({.temperature = 1e-6f, .seed = 2}, logs({0.3, 0.4, 0.3}), 100);
  EXPECT_EQ(frozen.at(1), 100);
}

TEST(Sampler, SameSeedSameTokens) {
  const std::vector<float> logits = logs({0.2, 0.3, 0.1, 0.4});
  for (const SamplerOptions& options :
       {SamplerOptions{.temperature = 1, .seed = 9},
        SamplerOptions{.temperature = 1, .top_k = 3, .seed = 9},
        SamplerOptions{.temperature = 1, .top_p = 0.8f, .seed = 9}}) {
    Sampler a(options);
    Sampler b(options);
    for (int i = 0; i < 200; ++i) EXPECT_EQ(a.sample(logits, {}), b.sample(logits, {}));
  }
  EXPECT_NE(draw({.temperature = 1, .seed = 9}, logits, 50),
            draw({.temperature = 1, .seed = 10}, logits, 50));
}

TEST(Sampler, TopK) {
  const std::vector<float> logits = logs({0.1, 0.4, 0.3, 0.2});
  const int n = 20000;
  const auto two = draw({.temperature = 1, .top_k = 2, .seed = 4}, logits, n);
  EXPECT_EQ(two.size(), 2u);
  expect_frequency(two, 1, 4.0 / 7, n);
  EXPECT_EQ(draw({.temperature = 1, .top_k = 1, .seed = 4}, logits, 50).size(), 1u);
  EXPECT_EQ(draw({.temperature = 1, .top_k = 4, .seed = 4}, logits, 4000).size(), 4u);
  EXPECT_EQ(draw({.temperature = 1, .top_k = 1000, .seed = 4}, logits, 4000).size(), 4u);
  // Of equals at the edge, the lowest ids stay.
  const auto ties = draw({.temperature = 1, .top_k = 2, .seed = 4}, {0, 0, 0, 0, 0}, 500);
  EXPECT_EQ(ties.size(), 2u);
  EXPECT_EQ(ties.count(0) + ties.count(1), 2u);
}

TEST(Sampler, TopP) {
  const std::vector<float> logits = logs({0.1, 0.4, 0.3, 0.2});
  const int n = 20000;
  // 0.4 and 0.3 reach 0.65; the smallest set that does is kept.
  const auto two = draw({.temperature = 1, .top_p = 0.65f, .seed = 5}, logits, n);
  EXPECT_EQ(two.size(), 2u);
  expect_frequency(two, 1, 4.0 / 7, n);
  EXPECT_EQ(draw({.temperature = 1, .top_p = 0.0f, .seed = 5}, logits, 50).size(), 1u);
  EXPECT_EQ(draw({.temperature = 1, .top_p = 0.39f, .seed = 5}, logits, 50).size(), 1u);
  EXPECT_EQ(draw({.temperature = 1, .top_p = 0.91f, .seed = 5}, logits, 4000).size(), 4u);
  EXPECT_EQ(draw({.temperature = 1, .top_p = 1.0f, .seed = 5}, logits, 4000).size(), 4u);
  // A long tail that is cut without being sorted: 90 % on ten tokens, the rest on 100,000.
  std::vector<double> p(100010, 0.1 / 100000);
  for (size_t i = 5000; i < 5010; ++i) p[i] = 0.09;
  const auto head = draw({.temperature = 1, .top_p = 0.85f, .seed = 5}, logs(p), 300);
  for (const auto& [token, count] : head) EXPECT_TRUE(token >= 5000 && token < 5010) << token;
  EXPECT_EQ(head.size(), 10u);
}

TEST(Sampler, MinP) {
  const std::vector<float> logits = logs({0.1, 0.4, 0.3, 0.2});
  EXPECT_EQ(draw({.temperature = 1, .min_p = 0.6f, .seed = 6}, logits, 400).size(), 2u);
  EXPECT_EQ(draw({.temperature = 1, .min_p = 0.4f, .seed = 6}, logits, 400).size(), 3u);
  EXPECT_EQ(draw({.temperature = 1, .min_p = 1.0f, .seed = 6}, logits, 50).size(), 1u);
  EXPECT_EQ(draw({.temperature = 1, .min_p = 0.0f, .seed = 6}, logits, 4000).size(), 4u);
}

TEST(Sampler, BiasMovesAndBans) {
  EXPECT_EQ(draw({.logit_bias = {{0, 5.0f}}}, {1, 3}, 1).count(0), 1u);
  EXPECT_EQ(draw({.logit_bias = {{1, -kInfinity}}}, {1, 3}, 1).count(0), 1u);
  EXPECT_EQ(draw({.logit_bias = {{7, 100.0f}, {-1, 100.0f}}}, {1, 3}, 1).count(1), 1u);
  EXPECT_EQ(
      draw({.temperature = 1, .seed = 7, .logit_bias = {{1, -kInfinity}}}, {0, 0, 0}, 300).count(1),
      0u);
}

TEST(Sampler, PenalisesWhatOccurred) {
  // Positive logits are divided, negative ones multiplied.
  EXPECT_EQ(draw({.repeat_penalty = 2}, {1.5f, 2}, 1, {1}).count(0), 1u);
  EXPECT_EQ(draw({.repeat_penalty = 2}, {-1.5f, -1}, 1, {1}).count(0), 1u);
  EXPECT_EQ(draw({.repeat_penalty = 2}, {0.9f, 2}, 1, {1, 1, 1}).count(1), 1u);  // once, not thrice
  // Presence once, frequency for each.
  EXPECT_EQ(draw({.presence_penalty = 1}, {1.5f, 2}, 1, {1, 1}).count(0), 1u);
  EXPECT_EQ(draw({.presence_penalty = 1}, {0.9f, 2}, 1, {1, 1}).count(1), 1u);
  EXPECT_EQ(draw({.frequency_penalty = 1}, {0.9f, 2}, 1, {1}).count(1), 1u);
  EXPECT_EQ(draw({.frequency_penalty = 1}, {0.9f, 2}, 1, {1, 1}).count(0), 1u);
  // Only the last tokens count, and ids outside the vocabulary do not.
  EXPECT_EQ(draw({.presence_penalty = 5, .penalty_window = 2}, {1, 2}, 1, {1, 0, 0}).count(1), 1u);
  EXPECT_EQ(draw({.presence_penalty = 5, .penalty_window = 0}, {1, 2}, 1, {1}).count(1), 1u);
  EXPECT_EQ(draw({.presence_penalty = 5}, {1, 2}, 1, {-7, 99}).count(1), 1u);
}

TEST(Sampler, LeavesTheLogitsAlone) {
  const std::vector<float> logits = {1, 2, 3};
  const std::vector<float> before = logits;
  const int32_t history[] = {2};
  Sampler({.temperature = 1, .repeat_penalty = 3, .logit_bias = {{0, 4.0f}}})
      .sample(logits, history);
  EXPECT_EQ(logits, before);
}

TEST(Sampler, ChecksItsOptions) {
  EXPECT_TRUE(check_sampler_options({}).has_value());
  EXPECT_TRUE(check_sampler_options({.temperature = 1.5f,
                                     .top_k = 40,
                                     .top_p = 0.9f,
                                     .min_p = 0.05f,
                                     .repeat_penalty = 1.1f,
                                     .logit_bias = {{3, -kInfinity}}})
                  .has_value());
  const std::vector<std::pair<SamplerOptions, std::string>> bad = {
      {{.temperature = -1}, "temperature"},
      {{.temperature = kNan}, "temperature"},
      {{.temperature = 1e9f}, "temperature"},
      {{.top_k = -1}, "top_k"},
      {{.top_p = 1.5f}, "top_p"},
      {{.top_p = -0.1f}, "top_p"},
      {{.min_p = 2}, "min_p"},
      {{.repeat_penalty = 0}, "repeat_penalty"},
      {{.presence_penalty = kInfinity}, "presence_penalty"},
      {{.frequency_penalty = kNan}, "frequency_penalty"},
      {{.penalty_window = -1}, "penalty_window"},
      {{.logit_bias = {{-1, 1.0f}}}, "logit_bias"},
      {{.logit_bias = {{1, kNan}}}, "logit_bias"},
      {{.logit_bias = {{1, kInfinity}}}, "logit_bias"},
  };
  for (const auto& [options, name] : bad) {
    const auto status = check_sampler_options(options);
    ASSERT_FALSE(status.has_value()) << name;
    EXPECT_EQ(status.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(status.error().message, HasSubstr(name));
  }
}

// Against a plain double-precision softmax, over the range of logits that models give.
TEST(LogProbability, AgreesWithADoubleLoop) {
  Rng rng(12);
  for (const size_t n : {1u, 2u, 7u, 8u, 9u, 4097u, 50000u}) {
    std::vector<float> logits(n);
    for (float& logit : logits) logit = static_cast<float>(8 * rng.normal() - 3);
    double sum = 0;
    double top = -1e30;
    for (float logit : logits) top = std::max(top, static_cast<double>(logit));
    for (float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
    for (const size_t i : {size_t{0}, n / 2, n - 1}) {
      const double expected = static_cast<double>(logits[i]) - top - std::log(sum);
      // fast_exp is off by 2e-7 relative, the rounded result by half a unit of its own.
      EXPECT_NEAR(static_cast<double>(log_probability(logits, static_cast<int32_t>(i))), expected,
                  5e-7 + 1e-7 * std::abs(expected))
          << n;
    }
  }
  EXPECT_EQ(log_probability(std::vector<float>{1, 2}, 2), -kInfinity);
  EXPECT_EQ(log_probability(std::vector<float>{1, 2}, -1), -kInfinity);
  EXPECT_EQ(log_probability(std::vector<float>{-kInfinity}, 0), -kInfinity);
  EXPECT_NEAR(log_probability(std::vector<float>{300, -300}, 0), 0, 1e-7);
}

TEST(LogProbability, NamesTheBest) {
  const auto best = top_log_probabilities(logs({0.1, 0.4, 0.1, 0.4}), 3);
  ASSERT_EQ(best.size(), 3u);
  EXPECT_EQ(best[0].first, 1);
  EXPECT_EQ(best[1].first, 3);
  EXPECT_EQ(best[2].first, 0);
  EXPECT_NEAR(best[0].second, std::log(0.4), 1e-6);
  EXPECT_EQ(top_log_probabilities(logs({0.5, 0.5}), 9).size(), 2u);
  EXPECT_TRUE(top_log_probabilities(logs({0.5, 0.5}), 0).empty());
}

}  // namespace
}  // namespace ac
