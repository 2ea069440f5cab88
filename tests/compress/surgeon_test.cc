#include "models/compress/surgeon.h"

#include <numeric>
#include <set>

#include "tests/compress/algebra.h"

namespace ac {
namespace {

using test::correlated_moments;
using test::random_matrix;

std::vector<int32_t> all_columns(int64_t n) {
  std::vector<int32_t> columns(static_cast<size_t>(n));
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

std::vector<int32_t> kept_after(const RemovalOrder& order, size_t n_steps, int64_t n) {
  std::set<int32_t> gone;
  for (size_t i = 0; i < n_steps; ++i) {
    gone.insert(order.steps[i].columns.begin(), order.steps[i].columns.end());
  }
  std::vector<int32_t> kept;
  for (int32_t j = 0; j < n; ++j) {
    if (!gone.contains(j)) kept.push_back(j);
  }
  return kept;
}

// E ||w x - made x_kept||^2
double residual(const Matrix& w, const Matrix& made, const std::vector<int32_t>& kept,
                const Matrix& h, cpu::ThreadTeam& team) {
  auto e = copy_of(w);
  for (int64_t i = 0; i < w.n_rows(); ++i) {
    for (size_t j = 0; j < kept.size(); ++j) (*e)(i, kept[j]) -= made(i, static_cast<int64_t>(j));
  }
  return *quadratic_loss(*e, h, team);
}

TEST(Surgeon, KeepingAllChangesNothing) {
  cpu::ThreadTeam team({.n_threads = 2});
  const Matrix w = random_matrix(20, 64, 1);
  const Matrix h = correlated_moments(64, 2);
  for (const double damping : {0.0, 0.01, 1.0}) {
    const auto made = least_squares_columns(w, h, all_columns(64), damping, team);
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_LT(test::largest_difference(*made, w), 1e-10) << damping;
  }
}

// Without damping the losses of the steps add up to what least squares leaves.
TEST(Surgeon, LossesAreThoseOfLeastSquares) {
  cpu::ThreadTeam team({.n_threads = 2});
  const Matrix w = random_matrix(20, 96, 1);
  const Matrix h = correlated_moments(96, 2);
  for (const bool free : {true, false}) {
    const auto order = removal_order(w, h, {.unit = 8, .free_units = free, .damping = 0}, team);
    ASSERT_TRUE(order) << order.error().message;
    ASSERT_EQ(order->steps.size(), 12u);
    EXPECT_NEAR(order->energy, *quadratic_loss(w, h, team), 1e-9 * order->energy);
    double sum = 0;
    for (size_t i = 0; i < order->steps.size(); ++i) {
      EXPECT_EQ(order->steps[i].columns.size(), 8u);
      if (!free) {
        EXPECT_EQ(order->steps[i].columns[0] % 8, 0);
      }
      sum += order->steps[i].loss;
      const std::vector<int32_t> kept = kept_after(*order, i + 1, 96);
      if (kept.empty()) {
        EXPECT_NEAR(sum, order->energy, 1e-6 * order->energy);
        continue;
      }
      const auto made = least_squares_columns(w, h, kept, 0, team);
      ASSERT_TRUE(made);
      EXPECT_NEAR(residual(w, *made, kept, h, team), sum, 1e-6 * order->energy) << i;
    }
  }
}

TEST(Surgeon, GreedyBeatsStrengthAndFitBeatsCut) {
  cpu::ThreadTeam team({.n_threads = 2});
  const Matrix w = random_matrix(40, 128, 3);
  const Matrix h = correlated_moments(128, 4);
  const auto greedy = removal_order(w, h, {.unit = 8, .damping = 1e-6}, team);
  const auto plain = removal_by_strength(w, h, {.unit = 8});
  ASSERT_TRUE(greedy && plain);
  const std::vector<int32_t> by_greed = kept_after(*greedy, 8, 128);
  const std::vector<int32_t> by_strength = kept_after(*plain, 8, 128);
  const auto fit_greedy = least_squares_columns(w, h, by_greed, 1e-6, team);
  const auto fit_plain = least_squares_columns(w, h, by_strength, 1e-6, team);
  const auto cut = columns_of(w, by_strength);
  const double greedy_loss = residual(w, *fit_greedy, by_greed, h, team);
  const double plain_loss = residual(w, *fit_plain, by_strength, h, team);
  EXPECT_LT(greedy_loss, plain_loss);
  EXPECT_LT(plain_loss, residual(w, *cut, by_strength, h, team));
}

TEST(Surgeon, UnitsThatDoNotDivide) {
  cpu::ThreadTeam team({.n_threads = 1});
  const Matrix w = random_matrix(10, 45, 5);
  const Matrix h = correlated_moments(45, 6);
  const auto greedy = removal_order(w, h, {.unit = 8, .least_kept = 10}, team);
  const auto plain = removal_by_strength(w, h, {.unit = 8, .least_kept = 10});
  ASSERT_TRUE(greedy && plain);
  for (const RemovalOrder& order : {*greedy, *plain}) {
    ASSERT_EQ(order.steps.size(), 4u);  // 45 -> 40, 32, 24, 16
    EXPECT_EQ(order.steps[0].columns.size(), 5u);
    EXPECT_EQ(kept_after(order, 4, 45).size(), 16u);
  }
}

TEST(Surgeon, TheSameForAnyNumberOfThreads) {
  const Matrix w = random_matrix(100, 96, 1);
  const Matrix h = correlated_moments(96, 2);
  std::vector<double> first;
  for (const int n_threads : {1, 2, 3}) {
    cpu::ThreadTeam team({.n_threads = n_threads});
    const auto order = removal_order(w, h, {.unit = 8}, team);
    std::vector<double> losses;
    for (const Removal& step : order->steps) losses.push_back(step.loss);
    if (first.empty()) first = losses;
    EXPECT_EQ(losses, first);
  }
}

}  // namespace
}  // namespace ac
