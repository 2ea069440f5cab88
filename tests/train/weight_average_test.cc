#include "models/train/weight_average.h"

#include <gtest/gtest.h>

namespace ac::test {
namespace {

using Floats = std::vector<float>;

TEST(WeightAverage, AllCountTheSameUntilThereAreAsMany) {
  WeightAverage average(4);
  for (const float value : {1.0f, 2.0f, 6.0f, 7.0f}) average.add(Floats{value, -value});
  EXPECT_FLOAT_EQ(average.values()[0], 4);
  EXPECT_FLOAT_EQ(average.values()[1], -4);
  EXPECT_EQ(average.n_seen(), 4);
  average.add(Floats{8, -8});  // a quarter of it
  EXPECT_FLOAT_EQ(average.values()[0], 5);
  EXPECT_EQ(average.n_seen(), 4);
}

TEST(WeightAverage, SwappedTwiceIsAsBefore) {
  WeightAverage average(10);
  average.add(Floats{1, 2});
  average.add(Floats{3, 4});
  Floats weights = {3, 4};
  average.swap(weights);
  EXPECT_EQ(weights, (Floats{2, 3}));
  average.swap(weights);
  EXPECT_EQ(weights, (Floats{3, 4}));
  average.add(weights);
  EXPECT_FLOAT_EQ(average.values()[0], 7.0f / 3);
}

TEST(WeightAverage, GoesOnFromAMean) {
  WeightAverage one(8), other(8);
  for (int i = 0; i < 5; ++i) one.add(Floats{static_cast<float>(i)});
  other.go_on_from(one.values(), one.n_seen());
  one.add(Floats{9});
  other.add(Floats{9});
  EXPECT_EQ(one.values()[0], other.values()[0]);
}

}  // namespace
}  // namespace ac::test
