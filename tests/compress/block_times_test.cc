// The table of times and what is shared out by it.
#include "models/compress/block_times.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "models/compress/prune.h"
#include "tests/compress/stories.h"

namespace ac {
namespace {

RemovalOrder order_of(std::initializer_list<double> losses) {
  RemovalOrder order;
  int32_t next = 0;
  for (const double loss : losses) {
    order.steps.push_back({.columns = {next, next + 1}, .loss = loss});
    next += 2;
  }
  return order;
}

TEST(ShareByTime, TakesWhatCostsLeastForEachMillisecond) {
  const RemovalOrder cheap = order_of({0.1, 0.2, 0.9}), dear = order_of({0.3, 0.4, 0.5});
  const std::vector<TimedOrder> orders = {{&cheap, {6, 4, 2, 0}}, {&dear, {9, 6, 3, 0}}};
  EXPECT_EQ(share_by_time(orders, 15), (std::vector<size_t>{0, 0}));
  EXPECT_EQ(share_by_time(orders, 13), (std::vector<size_t>{1, 0}));
  EXPECT_EQ(share_by_time(orders, 8), (std::vector<size_t>{2, 1}));
  EXPECT_EQ(share_by_time(orders, 0), (std::vector<size_t>{3, 3}));
}

TEST(ShareByTime, CrossesAPlateau) {
  // The first step saves nothing by itself.
  const RemovalOrder flat = order_of({0.1, 0.1}), steep = order_of({5.0});
  const std::vector<TimedOrder> orders = {{&flat, {4, 4, 1}}, {&steep, {4, 1}}};
  EXPECT_EQ(share_by_time(orders, 6), (std::vector<size_t>{2, 0}));
}

TEST(ShareByTime, EndsWhereNothingIsLeftToTake) {
  const RemovalOrder order = order_of({0.1});
  EXPECT_EQ(share_by_time({{&order, {4, 3}}}, 1), (std::vector<size_t>{1}));
}

TEST(TimedOrder, FollowsTheTable) {
  const RemovalOrder order = order_of({0.1, 0.1, 0.1});
  const TimedOrder timed = timed_order(order, {0, 1, 5}, 8, 4);
  ASSERT_EQ(timed.ms.size(), 4u);
  EXPECT_DOUBLE_EQ(timed.ms[0], 5);
  EXPECT_DOUBLE_EQ(timed.ms[1], 3);
  EXPECT_DOUBLE_EQ(timed.ms[2], 1);
  EXPECT_DOUBLE_EQ(timed.ms[3], 0.5);
}

class TimedStories : public test::StoriesTest {};

TEST_F(TimedStories, TheTableHasEverySizeAndNeverFalls) {
  const auto config = read_model_config(*bench().base());
  ASSERT_TRUE(config);
  const auto times = measure_block_times(*bench().base(), *config, 32, 1);
  ASSERT_TRUE(times) << times.error().message;
  EXPECT_EQ(times->ff_ms.size(), 7u);  // 172 channels
  EXPECT_EQ(times->kv_ms.size(), 5u);
  for (const auto& row : {times->ff_ms, times->kv_ms}) {
    EXPECT_EQ(row.front(), 0);
    EXPECT_GT(row.back(), 0);
    EXPECT_TRUE(std::is_sorted(row.begin(), row.end()));
  }
}

TEST_F(TimedStories, PruningByTimeLetsChannelsAndGroupsCompete) {
  auto made = prune(bench().stage(bench().base()), {.time_keep = 0.6, .unit = 4});
  ASSERT_TRUE(made) << made.error().message;
  const auto before = model_cost(*bench().base()), after = model_cost(made->checkpoint);
  ASSERT_TRUE(before && after);
  EXPECT_LT(after->macs_per_token, before->macs_per_token);
  EXPECT_FALSE(prune(bench().stage(bench().base()), {.ff_keep = 0.5, .time_keep = 0.6}));
}

}  // namespace
}  // namespace ac
