// The promise: what is promised is kept, as often as is said, on labels whose truth is known
// because they were drawn here.
#include "models/predictor/guarantee.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "runtime/core/rng.h"

namespace ac {
namespace {

// Two tiers; the gate knows the truth: the weak one fails with the probability that it says.
struct World {
  double full_success = 0.8;
  float p_weak(double u) const { return static_cast<float>(0.8 * (1 - 0.6 * u * u)); }

  CalibrationTable draw(size_t n, uint64_t seed) const {
    CalibrationTable table{.n_tiers = 2, .predicted = {}, .earned = {}};
    Rng rng(seed);
    for (size_t i = 0; i < n; ++i) {
      const float weak = p_weak(rng.uniform());
      table.predicted.insert(table.predicted.end(), {weak, static_cast<float>(full_success)});
      table.earned.insert(table.earned.end(),
                          {rng.uniform() < static_cast<double>(weak) ? 1.0f : 0.0f,
                           rng.uniform() < full_success ? 1.0f : 0.0f});
    }
    return table;
  }
  // What the policy keeps in the long run: the mean over u of the tier that answers.
  double retained(double allowance) const {
    constexpr int kSteps = 20000;
    double sum = 0;
    for (int i = 0; i < kSteps; ++i) {
      const auto weak = static_cast<double>(p_weak((i + 0.5) / kSteps));
      sum += full_success - weak <= allowance ? weak : full_success;
    }
    return sum / kSteps / full_success;
  }
};

TEST(Guarantee, IsKeptAsOftenAsItIsPromised) {
  const World world;
  constexpr int kTrials = 300;
  int n_missed = 0, n_promised = 0;
  double kept = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    const Guarantee promise =
        guarantee(world.draw(1500, 100 + static_cast<uint64_t>(trial)), 0.95, 0.8);
    if (!promise.allowance) continue;
    ++n_promised;
    n_missed += world.retained(*promise.allowance) < 0.95 ? 1 : 0;
    kept += promise.kept;
  }
  EXPECT_GT(n_promised, kTrials * 9 / 10);
  // A fifth may fail; three deviations of a binomial above it would be a broken test.
  EXPECT_LT(n_missed, kTrials * 0.2 + 3 * 6.93);
  // A promise that keeps nothing would be easy: the best allowance here keeps 60 % of the prompts.
  EXPECT_GT(kept / n_promised, 0.35);
}

TEST(Guarantee, MoreLabelsOrLessConfidenceAllowMore) {
  const World world;
  const CalibrationTable few = world.draw(600, 1), many = world.draw(6000, 1);
  const Guarantee of_few = guarantee(few, 0.95, 0.9), of_many = guarantee(many, 0.95, 0.9);
  ASSERT_TRUE(of_few.allowance && of_many.allowance);
  EXPECT_LT(*of_few.allowance, *of_many.allowance);
  const Guarantee bold = guarantee(few, 0.95, 0.5);
  EXPECT_LE(*of_few.allowance, *bold.allowance);
  EXPECT_LE(*guarantee(few, 0.98, 0.9).allowance, *of_few.allowance);
}

TEST(Guarantee, WhatCannotBePromisedIsNot) {
  const World world;
  EXPECT_FALSE(guarantee(world.draw(20, 1), 0.95, 0.9).allowance);
  EXPECT_FALSE(guarantee(CalibrationTable{}, 0.95, 0.9).allowance);
  // The gate says that the weak tier is as good; it never is.
  CalibrationTable liar{.n_tiers = 2, .predicted = {}, .earned = {}};
  for (int i = 0; i < 2000; ++i) {
    liar.predicted.insert(liar.predicted.end(), {0.9f, 0.9f});
    liar.earned.insert(liar.earned.end(), {0.0f, 1.0f});
  }
  const Guarantee promise = guarantee(liar, 0.95, 0.9);
  EXPECT_TRUE(!promise.allowance || *promise.allowance < 0);
  EXPECT_EQ(promise.kept, 0);
}

TEST(Guarantee, TheAllowanceIsNotSpentOnAWorseVariant) {
  const std::vector<float> predicted = {0.5f, 0.7f, 0.8f, 0.82f};
  EXPECT_EQ(accepted_tier(predicted, 0.4), 2u);
  EXPECT_EQ(accepted_tier(predicted, 0.05), 2u);
  EXPECT_EQ(accepted_tier(predicted, 0.0), 3u);
  // A cheaper one that is nearly as good is asked, and it is the one that has to do.
  const std::vector<float> near = {0.5f, 0.79f, 0.8f, 0.82f};
  EXPECT_EQ(accepted_tier(near, 0.4), 1u);
  EXPECT_EQ(accepted_tier(near, 0.025), 3u);
  // Dearer is not always better.
  EXPECT_EQ(accepted_tier(std::vector<float>{0.9f, 0.5f, 0.95f}, 0.1), 0u);
  const auto settings = tried_settings(true);
  EXPECT_TRUE(std::ranges::is_sorted(settings, {}, &Allowed::allowance));
  EXPECT_TRUE(std::ranges::is_sorted(settings, {}, [](const Allowed& allowed) {
    return allowed.cascade.value_or(-1);
  }));
  EXPECT_TRUE(settings.back().cascade);
  EXPECT_FALSE(tried_settings(false).back().cascade);
  EXPECT_EQ(tried_settings(false).back().allowance, settings.back().allowance);
}

TEST(Guarantee, ACheaperVariantThatIsNearlyAsGoodIsAsked) {
  const auto asked = [](std::vector<double> success) {
    return variant_to_ask(std::span<const double>(success));
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(asked({0.2, 0.6, 0.61}), 1u);
  EXPECT_EQ(asked({0.2, 0.6, 0.63}), 2u);
  EXPECT_EQ(asked({0, 0, 0}), 0u);
  EXPECT_EQ(asked({nan, 0.5, nan}), 1u);
  EXPECT_EQ(asked({nan, nan}), 2u);
  EXPECT_EQ(asked({}), 0u);
}

TEST(UsualTier, IsTheCheapestThatIsNearlyAsGood) {
  CalibrationTable table{.n_tiers = 4, .predicted = std::vector<float>(400), .earned = {}};
  for (size_t row = 0; row < 100; ++row) {
    table.earned.insert(table.earned.end(),
                        {row < 80 ? 1.0f : 0, row < 89 ? 1.0f : 0, row < 90 ? 1.0f : 0, 1});
  }
  const auto usual = [&](const std::vector<size_t>& tiers) { return usual_tier(table, tiers); };
  EXPECT_EQ(usual({0, 1, 2}), 1u);
  EXPECT_EQ(usual({0, 2}), 1u);
  EXPECT_EQ(usual({0}), 0u);
  table.predicted.clear();
  EXPECT_EQ(usual({0, 1}), 0u) << "no labels";
}

}  // namespace
}  // namespace ac
