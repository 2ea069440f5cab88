#include "models/train/routing_metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/core/rng.h"

namespace ac {
namespace {

using Column = std::vector<float>;

TEST(RoutingMetrics, CutByHand) {
  // Best first: keeping the first three costs nothing, the fourth loses one of four successes.
  const Column score = {0.9f, 0.8f, 0.7f, 0.6f, 0.5f};
  const Column weak = {1, 1, 0, 0, 1};
  const Column strong = {1, 1, 0, 1, 1};
  const Outcome outcome{weak, strong};
  const Kept whole = largest_cut(score, outcome, 1.0);
  EXPECT_DOUBLE_EQ(whole.cut, 0.6);
  EXPECT_DOUBLE_EQ(whole.retained, 1.0);
  EXPECT_FLOAT_EQ(static_cast<float>(whole.threshold), 0.7f);
  const Kept most = largest_cut(score, outcome, 0.75);
  EXPECT_DOUBLE_EQ(most.cut, 1.0);
  EXPECT_DOUBLE_EQ(most.retained, 0.75);

  const Kept at = keep_at(score, outcome, 0.65);
  EXPECT_DOUBLE_EQ(at.cut, 0.6);
  EXPECT_DOUBLE_EQ(at.retained, 1.0);
  EXPECT_DOUBLE_EQ(keep_at(score, outcome, 0.0).retained, 0.75);
  EXPECT_DOUBLE_EQ(keep_at(score, outcome, 1.0).cut, 0.0);
}

TEST(RoutingMetrics, CutMayPassThroughALowAndRecover) {
  // Success lost early comes back where only the weak model knows.
  const Column score = {0.9f, 0.8f};
  const Column weak = {0, 1}, strong = {1, 0};
  EXPECT_DOUBLE_EQ(largest_cut(score, {weak, strong}, 1.0).cut, 1.0);
}

TEST(RoutingMetrics, EqualScoresGoTogether) {
  const Column score = {0.5f, 0.5f, 0.5f, 0.5f};
  const Column weak = {1, 1, 0, 0}, strong = {1, 1, 1, 1};
  EXPECT_DOUBLE_EQ(largest_cut(score, {weak, strong}, 0.9).cut, 0.0);
  EXPECT_TRUE(std::isinf(largest_cut(score, {weak, strong}, 0.9).threshold));
  EXPECT_DOUBLE_EQ(largest_cut(score, {weak, strong}, 0.5).cut, 1.0);
  // A constant score is a random router, whatever the order of the rows.
  EXPECT_NEAR(apgr(score, {weak, strong}), 0.5, 1e-12);
}

TEST(RoutingMetrics, RandomAndOracle) {
  const Column weak = {1, 0, 0, 1, 0, 1, 0, 0, 1, 0};    // 40 %
  const Column strong = {1, 1, 1, 1, 0, 1, 1, 1, 1, 0};  // 80 %
  const Outcome outcome{weak, strong};
  EXPECT_NEAR(random_cut(outcome, 0.9), 0.1 * 0.8 / 0.4, 1e-6);
  EXPECT_DOUBLE_EQ(random_cut(outcome, 0.4), 1.0);
  // Six prompts lose nothing; of eight successes 0.9 may lose 0.8: none. 0.85 may lose one.
  EXPECT_DOUBLE_EQ(oracle_cut(outcome, 0.9), 0.6);
  EXPECT_DOUBLE_EQ(oracle_cut(outcome, 0.85), 0.7);
  EXPECT_DOUBLE_EQ(random_cut({strong, weak}, 0.99), 1.0) << "the weak one is better";
}

TEST(RoutingMetrics, ApgrOfKnownRouters) {
  const Column weak = {1, 1, 1, 1, 1, 0, 0, 0, 0, 0};
  const Column strong(10, 1.0f);
  const Column perfect = {0.9f, 0.9f, 0.9f, 0.9f, 0.9f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f};
  Column reversed(perfect.rbegin(), perfect.rend());
  // Perfect: all of the gap after half of the calls, linear before: 1 - 0.5 / 2. Reversed: nothing
  // until half.
  EXPECT_NEAR(apgr(perfect, {weak, strong}), 0.75, 1e-9);
  EXPECT_NEAR(apgr(reversed, {weak, strong}), 0.25, 1e-9);
  EXPECT_TRUE(std::isnan(apgr(perfect, {strong, strong})));
  EXPECT_TRUE(std::isnan(apgr(Column{}, {Column{}, Column{}})));
}

TEST(RoutingMetrics, RandomScoresGiveHalf) {
  Rng rng(3);
  Column score, weak, strong;
  for (int i = 0; i < 20000; ++i) {
    score.push_back(static_cast<float>(rng.uniform()));
    weak.push_back(rng.uniform() < 0.5 ? 1.0f : 0.0f);
    strong.push_back(rng.uniform() < 0.8 ? 1.0f : 0.0f);
  }
  const Outcome outcome{weak, strong};
  // The sd of the mean gap over 20,000 rows is 0.0045; of the APGR about 0.01.
  EXPECT_NEAR(apgr(score, outcome), 0.5, 0.04);
  EXPECT_NEAR(largest_cut(score, outcome, 0.9).cut, random_cut(outcome, 0.9), 0.06);
  EXPECT_NEAR(area_under_roc(score, weak), 0.5, 0.02);
}

TEST(RoutingMetrics, AreaUnderRoc) {
  EXPECT_DOUBLE_EQ(area_under_roc(Column{0.1f, 0.2f, 0.8f, 0.9f}, Column{0, 0, 1, 1}), 1.0);
  EXPECT_DOUBLE_EQ(area_under_roc(Column{0.9f, 0.8f, 0.2f, 0.1f}, Column{0, 0, 1, 1}), 0.0);
  EXPECT_DOUBLE_EQ(area_under_roc(Column{0.1f, 0.4f, 0.35f, 0.8f}, Column{0, 0, 1, 1}), 0.75);
  EXPECT_DOUBLE_EQ(area_under_roc(Column{0.5f, 0.5f}, Column{0, 1}), 0.5);
  EXPECT_TRUE(std::isnan(area_under_roc(Column{0.5f, 0.6f}, Column{1, 1})));
}

TEST(RoutingMetrics, CalibrationAndBrier) {
  const Column predicted = {0.25f, 0.25f, 0.25f, 0.25f, 0.75f, 0.75f};
  const Column label = {0, 0, 0, 1, 1, 0};
  // Bin 2: right on average. Bin 7: 0.75 said, 0.5 found, for two of six.
  EXPECT_NEAR(calibration_error(predicted, label), 0.25 * 2 / 6, 1e-7);
  EXPECT_NEAR(brier_score(predicted, label), (3 * 0.0625 + 0.5625 + 0.0625 + 0.5625) / 6, 1e-7);
  EXPECT_NEAR(calibration_error(Column{1.0f, 0.0f}, Column{1, 0}), 0.0, 1e-12);
}

TEST(RoutingMetrics, BootstrapIsSeededAndHoldsTheFigure) {
  Rng rng(9);
  Column score, weak, strong;
  for (int i = 0; i < 500; ++i) {
    const double ease = rng.uniform();
    score.push_back(static_cast<float>(ease));
    weak.push_back(rng.uniform() < ease ? 1.0f : 0.0f);
    strong.push_back(rng.uniform() < 0.5 + 0.5 * ease ? 1.0f : 0.0f);
  }
  const Outcome outcome{weak, strong};
  const auto once = bootstrap_intervals(score, outcome, 0.9, 200, 4);
  const auto again = bootstrap_intervals(score, outcome, 0.9, 200, 4);
  EXPECT_EQ(once.apgr.low, again.apgr.low);
  EXPECT_EQ(once.cut.high, again.cut.high);
  const double area = apgr(score, outcome);
  EXPECT_LT(once.apgr.low, area);
  EXPECT_GT(once.apgr.high, area);
  EXPECT_LT(once.apgr.high - once.apgr.low, 0.3);
}

}  // namespace
}  // namespace ac
