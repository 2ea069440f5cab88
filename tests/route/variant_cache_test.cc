// Which engines stay loaded: within a budget, where memory is short, and levels of one file.
#include "tests/route/router_fixture.h"

namespace ac {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST_F(RouterTest, TheCacheKeepsTheLastUsedWithinItsBudget) {
  // Sizes are 100, 200 and 400.
  make(kAll, {.memory_budget_bytes = 550});
  const auto load = [&](const char* id) {
    ASSERT_TRUE(router_->with_engine(id, [](Engine&) -> Status { return {}; }).has_value());
  };
  load("q4");
  load("f16");
  load("q4");
  EXPECT_THAT(world_.loads, ElementsAre("q4", "f16"));
  load("q8");  // f16 is the one not used for longest
  EXPECT_EQ(world_.n_alive_engines, 2);
  load("q4");
  EXPECT_THAT(world_.loads, ElementsAre("q4", "f16", "q8"));
  load("f16");  // with 400 of 550 only q4 can stay
  EXPECT_EQ(world_.n_alive_engines, 2);
  load("q4");
  EXPECT_THAT(world_.loads, ElementsAre("q4", "f16", "q8", "f16"));
  make(kAll, {.memory_budget_bytes = 50});  // too small for any: one at a time, and yet it runs
  load("q4");
  load("q8");
  EXPECT_EQ(world_.n_alive_engines, 1);
}

TEST_F(RouterTest, TheCacheLetsGoWhereMemoryIsShort) {
  make();
  EXPECT_EQ(ask(kEasy)->receipt.model, "q4");
  world_.load_errors["f16"] = Error{ErrorCode::kOutOfMemory, "no room"};
  world_.failing_loads["f16"] = 1;
  EXPECT_EQ(ask(kHard, "local")->receipt.model, "f16");
  EXPECT_THAT(world_.loads, ElementsAre("q4", "f16", "f16"));
  EXPECT_EQ(world_.n_alive_engines, 1);
}

// Levels of one file are one engine, which keeps its cache when the level changes.
TEST(VariantCache, LevelsShareAnEngine) {
  World world;
  world.nested = true;
  VariantCache cache(std::make_unique<FakeVariants>(&world), 350);
  const auto low = cache.get("q4");
  ASSERT_TRUE(low);
  EXPECT_THAT(world.levels, IsEmpty());  // it is loaded at its level
  const auto high = cache.get("q8");
  ASSERT_TRUE(high);
  EXPECT_EQ(*high, *low);
  ASSERT_TRUE(cache.get("q4"));
  EXPECT_THAT(world.levels, ElementsAre(100, 0));
  EXPECT_THAT(world.loads, ElementsAre("q4"));
  EXPECT_THAT(cache.loaded(), ElementsAre("q4"));
  // It counts with the most that it was asked for: 200 of 350, so that 400 take its place.
  ASSERT_TRUE(cache.get("f16"));
  EXPECT_THAT(cache.loaded(), ElementsAre("f16"));
  EXPECT_EQ(world.n_alive_engines, 1);
  ASSERT_TRUE(cache.get("q8"));
  EXPECT_THAT(world.loads, ElementsAre("q4", "f16", "q8"));
}

}  // namespace
}  // namespace ac
