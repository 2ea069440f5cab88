// What may be spent: limits by day and month, set aside and settled, shared by processes.
#include "runtime/route/spending.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "runtime/core/file.h"

namespace ac {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class HandClock final : public Clock {
 public:
  std::chrono::system_clock::time_point wall_now() const override { return now_; }
  // 2026-11-29 12:00:00 UTC
  std::chrono::system_clock::time_point now_{std::chrono::seconds(1795953600)};
};

std::string fresh_path(const std::string& name) {
  const std::string folder = testing::TempDir() + "spending_test";
  std::filesystem::remove_all(folder + "/" + name);
  return folder + "/" + name;
}

TEST(Spending, KeepsToADay) {
  HandClock clock;
  Spending spending("", {.usd_per_day = 1}, clock);
  EXPECT_TRUE(spending.reserve(0.6).value());
  EXPECT_FALSE(spending.reserve(0.6).value()) << "what is set aside counts";
  EXPECT_TRUE(spending.allows(0.4).value());
  ASSERT_TRUE(spending.settle(0.6, 0.1));
  EXPECT_TRUE(spending.reserve(0.9).value());
  EXPECT_FALSE(spending.reserve(0.01).value());
  clock.now_ += 24h;
  EXPECT_TRUE(spending.reserve(1).value());
}

TEST(Spending, KeepsToAMonth) {
  HandClock clock;
  Spending spending("", {.usd_per_month = 1}, clock);
  EXPECT_TRUE(spending.reserve(0.7).value());
  clock.now_ += 24h;
  EXPECT_FALSE(spending.reserve(0.7).value());
  clock.now_ += 24h;  // the first of December
  EXPECT_TRUE(spending.reserve(0.7).value());
}

TEST(Spending, OutlivesItsProcess) {
  HandClock clock;
  const std::string path = fresh_path("kept/spending.json");
  {
    Spending first(path, {.usd_per_day = 1}, clock);
    EXPECT_TRUE(first.reserve(0.8).value());
    // and dies before it settles
  }
  Spending second(path, {.usd_per_day = 1}, clock);
  EXPECT_FALSE(second.reserve(0.3).value());
  EXPECT_TRUE(second.reserve(0.2).value());
}

TEST(Spending, IsNotPassedByARace) {
  HandClock clock;
  const std::string path = fresh_path("race/spending.json");
  std::atomic<int> n_granted = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      Spending own(path, {.usd_per_day = 1}, clock);
      for (int i = 0; i < 10; ++i) {
        const auto granted = own.reserve(0.1);
        ASSERT_TRUE(granted) << granted.error().message;
        n_granted += *granted ? 1 : 0;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_granted, 10);
}

TEST(Spending, NothingIsSpentOnAGuess) {
  HandClock clock;
  const std::string path = fresh_path("broken/spending.json");
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  for (const char* text : {"", "{", "[]", R"({"day":"2026-11-29","day_usd":"much"})"}) {
    ASSERT_TRUE(write_file(path, text));
    Spending spending(path, {.usd_per_day = 1}, clock);
    const auto granted = spending.reserve(0.1);
    ASSERT_FALSE(granted) << text;
    EXPECT_EQ(granted.error().code, ErrorCode::kCorruptFile);
    EXPECT_THAT(granted.error().message, HasSubstr("nothing is spent until"));
    EXPECT_EQ(read_file(path, 1000).value(), text);
  }
}

}  // namespace
}  // namespace ac
