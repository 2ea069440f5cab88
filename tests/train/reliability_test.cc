#include "models/train/reliability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

TEST(Reliability, BinsAreMeansOfTheirRows) {
  const std::vector<float> predicted = {0.05f, 0.07f, 0.5f, 0.55f, 1.0f};
  const std::vector<float> earned = {0, 1, 1, 0.5f, 1};
  const auto bins = reliability_bins(predicted, earned);
  ASSERT_EQ(bins.size(), 3u);
  EXPECT_NEAR(bins[0].predicted, 0.06, 1e-6);
  EXPECT_NEAR(bins[0].earned, 0.5, 1e-6);
  EXPECT_EQ(bins[0].n, 2u);
  EXPECT_NEAR(bins[1].earned, 0.75, 1e-6);
  EXPECT_EQ(bins[2].n, 1u);
  for (const ReliabilityBin& bin : bins) {
    EXPECT_LE(bin.interval.low, bin.earned);
    EXPECT_GE(bin.interval.high, bin.earned);
  }
}

TEST(Reliability, AGateThatKnowsLiesOnTheDiagonal) {
  Rng rng(5);
  CalibrationTable table{.n_tiers = 2, .predicted = {}, .earned = {}};
  for (int i = 0; i < 20000; ++i) {
    const auto p = static_cast<float>(rng.uniform());
    table.predicted.insert(table.predicted.end(), {p, 0.9f});
    const bool right = rng.uniform() < static_cast<double>(p);
    table.earned.insert(table.earned.end(), {right ? 1.0f : 0.0f, rng.uniform() < 0.5 ? 1.0f : 0.0f});
  }
  const std::vector<std::string> names = {"small", "full <x>"};
  const auto tiers = reliability_of(table, names);
  ASSERT_EQ(tiers.size(), 2u);
  EXPECT_LT(tiers[0].calibration_error, 0.02);
  EXPECT_NEAR(tiers[1].calibration_error, 0.4, 0.02);
  for (const ReliabilityBin& bin : tiers[0].bins) EXPECT_NEAR(bin.predicted, bin.earned, 0.05);
  const std::string svg = reliability_svg(tiers, "p.gguf");
  EXPECT_THAT(svg, HasSubstr("small, ECE 0.0"));
  EXPECT_THAT(svg, HasSubstr("full &lt;x&gt;, ECE 0.4"));
}

TEST(Reliability, NothingIsNoBins) {
  EXPECT_TRUE(reliability_bins({}, {}).empty());
  EXPECT_THAT(reliability_svg({}, "empty"), HasSubstr("</svg>"));
}

}  // namespace
}  // namespace ac
