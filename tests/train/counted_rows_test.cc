#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "models/train/lm_trainer.h"
#include "runtime/core/rng.h"
#include "tests/support/random_model.h"

namespace ac::test {
namespace {

// A small random model, and random documents whose last third counts.
class CountedRowsTest : public ::testing::Test {
 protected:
  CountedRowsTest() {
    auto parameters = Parameters::create(random_model({}));
    AC_CHECK(parameters.has_value());
    parameters_ = std::move(*parameters);
    auto trainer = LmTrainer::create(*parameters_, {.n_threads = 2});
    AC_CHECK(trainer.has_value());
    trainer_ = std::move(*trainer);
  }

  Sequence random_sequence() {
    Sequence sequence;
    const auto n = static_cast<size_t>(6 + rng_.below(30));
    for (size_t i = 0; i < n; ++i) {
      sequence.tokens.push_back(static_cast<int32_t>(rng_.below(100)));
      sequence.weights.push_back(3 * i < 2 * n ? 0.0f : 1.0f);
    }
    return sequence;
  }

  Rng rng_{7};
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<LmTrainer> trainer_;
};

// Rows that do not count are left out past the last attention; the gradient is the same as if they were computed
// and counted next to nothing.
TEST_F(CountedRowsTest, RowsThatDoNotCountChangeNothing) {
  Pack without, with;
  for (int i = 0; i < 5; ++i) {
    const Sequence sequence = random_sequence();
    without.add(sequence);
    with.add(sequence);
  }
  for (float& weight : with.weights) weight = std::max(weight, 1e-20f);
  const auto gradients = [this](const Pack& pack) {
    std::ranges::fill(parameters_->gradients(), 0.0f);
    const auto report = trainer_->add_gradients({&pack, 1});
    AC_CHECK(report.has_value());
    const std::span<const float> values = parameters_->gradients();
    return std::pair(report->loss, std::vector<float>(values.begin(), values.end()));
  };
  const auto [loss, expected] = gradients(with);
  const auto [loss_without, actual] = gradients(without);
  EXPECT_NEAR(loss_without, loss, 1e-5 * loss);
  double difference = 0, length = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(static_cast<double>(actual[i]) - static_cast<double>(expected[i]), 2);
    length += std::pow(static_cast<double>(expected[i]), 2);
  }
  EXPECT_GT(length, 0);
  EXPECT_LT(std::sqrt(difference / length), 1e-5);
}

TEST_F(CountedRowsTest, APackWithoutAnythingThatCountsHasNoLoss) {
  Pack pack;
  Sequence sequence = random_sequence();
  std::ranges::fill(sequence.weights, 0.0f);
  pack.add(sequence);
  const Result<double> loss = trainer_->loss({&pack, 1});
  ASSERT_TRUE(loss.has_value());
  EXPECT_EQ(*loss, 0.0);
}

}  // namespace
}  // namespace ac::test
