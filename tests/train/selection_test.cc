#include "models/train/selection.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "runtime/core/rng.h"
#include "tests/support/random_model.h"

namespace ac::test {
namespace {

// A small random model, and packs of random documents whose last third counts.
class SelectionTest : public ::testing::Test {
 protected:
  SelectionTest() {
    auto parameters = Parameters::create(random_model({}));
    AC_CHECK(parameters.has_value());
    parameters_ = std::move(*parameters);
    auto trainer = LmTrainer::create(*parameters_, {.n_threads = 2});
    AC_CHECK(trainer.has_value());
    trainer_ = std::move(*trainer);
  }

  Sequence random_sequence(float prompt_weight = 0) {
    Sequence sequence;
    const auto n = static_cast<size_t>(6 + rng_.below(30));
    for (size_t i = 0; i < n; ++i) {
      sequence.tokens.push_back(static_cast<int32_t>(rng_.below(100)));
      sequence.weights.push_back(3 * i < 2 * n ? prompt_weight : 1.0f);
    }
    return sequence;
  }

  std::vector<Pack> random_packs() {
    std::vector<Pack> packs(3);
    for (Pack& pack : packs) {
      for (int i = 0; i < 7; ++i) pack.add(random_sequence());
    }
    return packs;
  }

  double loss_of(const Pack& pack) {
    const Result<double> loss = trainer_->loss({&pack, 1});
    AC_CHECK(loss.has_value());
    return *loss * pack.total_weight();
  }

  Rng rng_{7};
  std::unique_ptr<Parameters> parameters_;
  std::unique_ptr<LmTrainer> trainer_;
};

std::vector<Pack> one_by_one(const std::vector<Pack>& packs) {
  std::vector<Pack> single;
  for (const Pack& pack : packs) {
    for (size_t begin = 0; begin < pack.tokens.size();) {
      size_t end = begin;
      while (end < pack.tokens.size() && pack.slots[end] == pack.slots[begin]) ++end;
      single.emplace_back().add(pack, begin, end);
      begin = end;
    }
  }
  return single;
}

TEST_F(SelectionTest, LossesOfSequencesAreThoseOfEachAlone) {
  for (const Pack& pack : random_packs()) {
    const auto losses = trainer_->sequence_losses(pack);
    ASSERT_TRUE(losses.has_value());
    const std::vector<Pack> single = one_by_one({pack});
    ASSERT_EQ(losses->size(), single.size());
    for (size_t i = 0; i < single.size(); ++i) EXPECT_NEAR((*losses)[i], loss_of(single[i]), 1e-4);
  }
}

TEST_F(SelectionTest, TheHardestAreTakenWhole) {
  const std::vector<Pack> packs = random_packs();
  std::vector<Pack> single = one_by_one(packs);
  std::ranges::sort(single, std::ranges::greater(), [this](const Pack& each) {
    return loss_of(each) / static_cast<double>(each.tokens.size());
  });
  std::multiset<std::vector<int32_t>> expected;
  size_t n_tokens = 0;
  for (size_t i = 0; n_tokens < 100; ++i) {
    n_tokens += single[i].tokens.size();
    expected.insert(single[i].targets);
  }
  const auto selected = select_hardest(*trainer_, packs, 100, 64);
  ASSERT_TRUE(selected.has_value());
  std::multiset<std::vector<int32_t>> found;
  for (const Pack& pack : *selected) {
    EXPECT_LE(pack.tokens.size(), 64u);
    EXPECT_EQ(pack.positions.size(), pack.tokens.size());
    EXPECT_EQ(pack.weights.size(), pack.tokens.size());
    for (const Pack& each : one_by_one({pack})) {
      found.insert(each.targets);
      EXPECT_EQ(each.positions.back() + 1, static_cast<int32_t>(each.tokens.size()));
      EXPECT_GT(each.total_weight(), 0);
    }
  }
  EXPECT_EQ(found, expected);
  // All of them where there are not as many.
  const auto all = select_hardest(*trainer_, packs, 100000, 64);
  ASSERT_TRUE(all.has_value());
  EXPECT_EQ(one_by_one(*all).size(), single.size());
}

// Rows that do not count are left out past the last attention; the gradient is the same as if they were computed
// and counted next to nothing.
TEST_F(SelectionTest, RowsThatDoNotCountChangeNothing) {
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

TEST_F(SelectionTest, APackWithoutAnythingThatCountsHasNoLoss) {
  Pack pack;
  Sequence sequence = random_sequence();
  std::ranges::fill(sequence.weights, 0.0f);
  pack.add(sequence);
  const auto losses = trainer_->sequence_losses(pack);
  ASSERT_TRUE(losses.has_value());
  EXPECT_EQ(*losses, std::vector<double>{0.0});
}

}  // namespace
}  // namespace ac::test
