// Drift: silence on usual ground, an alarm soon after it is left, and its end.
#include "runtime/route/drift.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

constexpr DriftBaseline kUsual = {.mean_gain = 0.2, .gain_deviation = 0.1};

double normal(Rng& rng) {
  return std::sqrt(-2 * std::log(1 - rng.uniform())) * std::cos(2 * M_PI * rng.uniform());
}

TEST(Drift, UsualPromptsRaiseHardlyAnAlarm) {
  Rng rng(1);
  DriftMonitor monitor(kUsual);
  int n_alarmed = 0;
  constexpr int kPrompts = 100'000;
  for (int i = 0; i < kPrompts; ++i) {
    monitor.add(rng.uniform() < 0.05, kUsual.mean_gain + kUsual.gain_deviation * normal(rng));
    n_alarmed += monitor.alarmed() ? 1 : 0;
  }
  EXPECT_LT(n_alarmed, kPrompts / 500);
}

TEST(Drift, NewWordsAreNoticedAndForgotten) {
  Rng rng(2);
  DriftMonitor monitor(kUsual);
  const auto usual_gain = [&] { return kUsual.mean_gain + kUsual.gain_deviation * normal(rng); };
  int n = 0;
  while (!monitor.alarmed() && n < 100) {
    monitor.add(rng.uniform() < 0.7, usual_gain());
    ++n;
  }
  EXPECT_LT(n, 25);
  EXPECT_THAT(monitor.summary(), HasSubstr("unlike those learned from"));
  n = 0;
  while (monitor.alarmed() && n < 1000) {
    monitor.add(rng.uniform() < 0.05, usual_gain());
    ++n;
  }
  EXPECT_LT(n, 300);
  EXPECT_EQ(monitor.summary(), "");
}

TEST(Drift, OtherGainsAreNoticedBothWays) {
  for (const double shift : {2.0, -2.0}) {
    Rng rng(3);
    DriftMonitor monitor(kUsual);
    int n = 0;
    while (!monitor.alarmed() && n < 200) {
      monitor.add(false, kUsual.mean_gain + kUsual.gain_deviation * (shift + normal(rng)));
      ++n;
    }
    EXPECT_LT(n, 20) << shift;
    EXPECT_THAT(monitor.summary(), HasSubstr(shift > 0 ? "above the usual" : "below the usual"));
  }
}

TEST(Drift, OneOddPromptIsNone) {
  DriftMonitor monitor(kUsual);
  monitor.add(true, 1);
  EXPECT_FALSE(monitor.alarmed());
}

TEST(Drift, WithoutADeviationGainsAreNotWatched) {
  DriftMonitor monitor({});
  for (int i = 0; i < 1000; ++i) monitor.add(false, 1);
  EXPECT_FALSE(monitor.alarmed());
}

}  // namespace
}  // namespace ac
