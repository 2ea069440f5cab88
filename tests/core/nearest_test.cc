#include "runtime/core/nearest.h"

#include <gtest/gtest.h>

namespace ac {
namespace {

constexpr std::string_view kNames[] = {"temperature", "top_k", "top_p", "seed", "zoo"};

TEST(Nearest, FindsTypingMistakes) {
  EXPECT_EQ(nearest_name("temprature", kNames), "temperature");
  EXPECT_EQ(nearest_name("temperatrue", kNames), "temperature");
  EXPECT_EQ(nearest_name("sede", kNames), "seed");
  EXPECT_EQ(nearest_name("zo", kNames), "zoo");
  EXPECT_EQ(nearest_name("topk", kNames), "top_k");
  EXPECT_EQ(nearest_name("seed", kNames), "seed");
}

TEST(Nearest, StaysSilentWhenNothingIsNear) {
  EXPECT_EQ(nearest_name("backend", kNames), std::nullopt);
  EXPECT_EQ(nearest_name("", kNames), std::nullopt);
  EXPECT_EQ(nearest_name("xy", kNames), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(100000, 'a'), kNames), std::nullopt);
  EXPECT_EQ(nearest_name("seed", {}), std::nullopt);
  EXPECT_EQ(did_you_mean("backend", kNames), "");
  EXPECT_EQ(did_you_mean("sead", kNames), ", did you mean 'seed'?");
}

}  // namespace
}  // namespace ac
