#include "models/train/adamw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "runtime/core/rng.h"

namespace ac {
namespace {

TEST(AdamW, FirstStepsByHand) {
  AdamW adamw({.beta1 = 0.9f, .beta2 = 0.99f, .epsilon = 0.0f, .weight_decay = 0.1f},
              {true, false});
  std::array<float, 2> parameters = {1.0f, 1.0f};
  // Step 1: bias correction makes the ratio g / |g| = 1; decay takes 0.1 * 1 more where it applies.
  adamw.step(parameters, std::array<float, 2>{2.0f, -3.0f}, 0.01f);
  EXPECT_NEAR(parameters[0], 1.0f - 0.01f * (1.0f + 0.1f), 1e-6f);
  EXPECT_NEAR(parameters[1], 1.0f + 0.01f, 1e-6f);
  // Step 2 with gradient 1 after 2: m = 0.9*0.2 + 0.1 = 0.28 of 1 - 0.81; v = 0.99*0.04 + 0.01 of
  // 1 - 0.9801.
  const float before = parameters[0];
  adamw.step(parameters, std::array<float, 2>{1.0f, 0.0f}, 0.01f);
  const float ratio = (0.28f / 0.19f) / std::sqrt(0.0496f / 0.0199f);
  EXPECT_NEAR(parameters[0], before - 0.01f * (ratio + 0.1f * before), 1e-6f);
}

TEST(AdamW, FindsTheBottomOfABowl) {
  AdamW adamw({.weight_decay = 0.0f}, {false, false, false});
  const std::array<float, 3> bottom = {3.0f, -2.0f, 0.5f};
  const std::array<float, 3> steepness = {100.0f, 1.0f, 0.01f};
  std::array<float, 3> x = {0, 0, 0};
  for (int step = 0; step < 4000; ++step) {
    std::array<float, 3> gradient;
    for (size_t i = 0; i < 3; ++i) gradient[i] = steepness[i] * (x[i] - bottom[i]);
    adamw.step(x, gradient, cosine_learning_rate(step, 10, 4000, 0.05f, 0.0f));
  }
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(x[i], bottom[i], 1e-3f);
}

TEST(LearningRate, WarmsUpThenFallsAsACosine) {
  EXPECT_FLOAT_EQ(cosine_learning_rate(0, 10, 110, 1.0f, 0.1f), 0.1f);
  EXPECT_FLOAT_EQ(cosine_learning_rate(9, 10, 110, 1.0f, 0.1f), 1.0f);
  EXPECT_FLOAT_EQ(cosine_learning_rate(10, 10, 110, 1.0f, 0.1f), 1.0f);
  EXPECT_NEAR(cosine_learning_rate(60, 10, 110, 1.0f, 0.1f), 0.55f, 1e-6f);
  EXPECT_FLOAT_EQ(cosine_learning_rate(110, 10, 110, 1.0f, 0.1f), 0.1f);
  EXPECT_FLOAT_EQ(cosine_learning_rate(999, 10, 110, 1.0f, 0.1f), 0.1f);
  for (int step = 10; step < 110; ++step) {
    EXPECT_GE(cosine_learning_rate(step, 10, 110, 1.0f, 0.1f),
              cosine_learning_rate(step + 1, 10, 110, 1.0f, 0.1f));
  }
}

TEST(ClipGradient, ShortensOnlyWhatIsTooLong) {
  std::array<float, 2> gradient = {3.0f, 4.0f};
  EXPECT_DOUBLE_EQ(clip_gradient(gradient, 10.0), 5.0);
  EXPECT_EQ(gradient, (std::array<float, 2>{3.0f, 4.0f}));
  EXPECT_DOUBLE_EQ(clip_gradient(gradient, 1.0), 5.0);
  EXPECT_NEAR(gradient[0], 0.6f, 1e-6f);
  EXPECT_NEAR(gradient[1], 0.8f, 1e-6f);
  std::array<float, 2> nothing = {0.0f, 0.0f};
  EXPECT_DOUBLE_EQ(clip_gradient(nothing, 1.0), 0.0);
  EXPECT_EQ(nothing, (std::array<float, 2>{0.0f, 0.0f}));
}

// On a team: the same bits for any number of threads, near the portable step, and the gradient is
// gone afterwards.
TEST(AdamW, OnATeam) {
  const Result<const cpu::Isa*> isa = cpu::choose_isa();
  ASSERT_TRUE(isa.has_value());
  constexpr size_t n = 100003;
  const std::vector<DecayRange> ranges = {{0, 1000, true}, {1000, 1016, false}, {1016, n, true}};
  std::vector<bool> decays(n, true);
  std::fill(decays.begin() + 1000, decays.begin() + 1016, false);
  Rng rng(8);
  std::vector<float> start(n), gradient(n);
  for (size_t i = 0; i < n; ++i) {
    start[i] = static_cast<float>(rng.normal());
    gradient[i] = static_cast<float>(rng.normal());
  }
  AdamW plain({}, decays);
  std::vector<float> expected = start, halved = gradient;
  for (float& g : halved) g *= 0.5f;
  for (int step = 0; step < 3; ++step) plain.step(expected, halved, 0.01f);
  std::vector<float> first;
  for (const int n_threads : {1, 2, 5}) {
    cpu::ThreadTeam team({.n_threads = n_threads, .pin = false});
    EXPECT_NEAR(gradient_length(**isa, team, gradient), clip_gradient(halved, 1e9) * 2, 1e-3);
    AdamW adamw({}, ranges);
    std::vector<float> parameters = start;
    for (int step = 0; step < 3; ++step) {
      std::vector<float> g = gradient;
      adamw.step(**isa, team, parameters, g, 0.01f, 0.5f);
      ASSERT_EQ(std::count(g.begin(), g.end(), 0.0f), static_cast<ptrdiff_t>(n));
    }
    if (first.empty()) first = parameters;
    EXPECT_EQ(parameters, first);
    for (size_t i = 0; i < n; ++i) ASSERT_NEAR(parameters[i], expected[i], 1e-5f) << i;
  }
}

TEST(AdamW, GoesOnWhereItWas) {
  AdamW whole({}, {true, true});
  std::array<float, 2> a = {1.0f, -2.0f};
  const std::array<float, 2> gradient = {0.3f, 0.1f};
  for (int step = 0; step < 4; ++step) whole.step(a, gradient, 0.01f);
  AdamW resumed({}, {true, true});
  std::copy(whole.mean().begin(), whole.mean().end(), resumed.mean().begin());
  std::copy(whole.square().begin(), whole.square().end(), resumed.square().begin());
  resumed.resume_at(4);
  EXPECT_EQ(resumed.n_steps(), 4);
  std::array<float, 2> b = a;
  whole.step(a, gradient, 0.01f);
  resumed.step(b, gradient, 0.01f);
  EXPECT_EQ(a, b);
}

}  // namespace
}  // namespace ac
