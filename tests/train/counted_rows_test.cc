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

  // Documents whose other rows do not count, and the same ones whose other rows count next to nothing.
  std::pair<Pack, Pack> random_packs() {
    Pack without, with;
    for (int i = 0; i < 5; ++i) {
      const Sequence sequence = random_sequence();
      without.add(sequence);
      with.add(sequence);
    }
    for (float& weight : with.weights) weight = std::max(weight, 1e-20f);
    return {without, with};
  }

  void expect_the_same(const std::pair<Pack, Pack>& packs, const Distillation& distillation = {}) {
    const auto gradients = [&](const Pack& pack) {
      std::ranges::fill(parameters_->gradients(), 0.0f);
      const auto report = trainer_->add_gradients({&pack, 1}, distillation);
      AC_CHECK(report.has_value());
      const std::span<const float> values = parameters_->gradients();
      return std::pair(report->loss, std::vector<float>(values.begin(), values.end()));
    };
    const auto [loss, expected] = gradients(packs.second);
    const auto [loss_without, actual] = gradients(packs.first);
    EXPECT_GT(loss, 0);
    EXPECT_NEAR(loss_without, loss, 1e-5 * loss);
    double difference = 0, length = 0;
    for (size_t i = 0; i < expected.size(); ++i) {
      difference += std::pow(static_cast<double>(actual[i]) - static_cast<double>(expected[i]), 2);
      length += std::pow(static_cast<double>(expected[i]), 2);
    }
    EXPECT_GT(length, 0);
    EXPECT_LT(std::sqrt(difference / length), 1e-5);
  }

  Rng rng_{7};
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<LmTrainer> trainer_;
};

// Rows that do not count are left out past the last attention; the gradient is the same as if they were computed
// and counted next to nothing.
TEST_F(CountedRowsTest, RowsThatDoNotCountChangeNothing) { expect_the_same(random_packs()); }

// With a teacher too, who is another model and is asked for the rows that count alone.
TEST_F(CountedRowsTest, ATeacherIsAskedForWhatCounts) {
  const Checkpoint other = random_model({.seed = 3});
  auto teacher = Teacher::create(other, {.n_threads = 2});
  ASSERT_TRUE(teacher) << teacher.error().message;
  const auto packs = random_packs();
  std::vector<size_t> n_asked;
  for (const float share : {0.7f, 1.0f}) {
    n_asked.clear();
    expect_the_same(packs, {.teacher =
                                [&](const Pack& pack, std::span<const int32_t> rows) {
                                  n_asked.push_back(rows.size());
                                  return (*teacher)->rows(pack, rows);
                                },
                            .share = share});
    const size_t n_tokens = packs.first.tokens.size();
    ASSERT_EQ(n_asked.size(), 2u);
    EXPECT_EQ(n_asked[0], n_tokens);
    EXPECT_LT(n_asked[1], n_tokens / 2);
  }
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
