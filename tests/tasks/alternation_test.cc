// Entries that stand for many.
#include "models/tasks/alternation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "runtime/core/rng.h"

namespace ac::tasks {
namespace {

using ::testing::UnorderedElementsAre;

std::set<std::string> all_of(std::string_view entry) {
  Rng rng(1);
  std::set<std::string> texts;
  for (int i = 0; i < 500; ++i) {
    texts.insert(chosen(entry, [&](size_t n) { return static_cast<size_t>(rng.below(n)); }));
  }
  return texts;
}

TEST(Alternation, StandsForEveryChoice) {
  EXPECT_THAT(all_of("<Please list|List> the {x}< below|>."),
              UnorderedElementsAre("Please list the {x} below.", "Please list the {x}.",
                                   "List the {x} below.", "List the {x}."));
  EXPECT_THAT(all_of("a<b<c|d>|e|>"), UnorderedElementsAre("abc", "abd", "ae", "a"));
  EXPECT_THAT(all_of("plain a|b -> c"), UnorderedElementsAre("plain a|b -> c"));
}

TEST(Alternation, KnowsItsOwn) {
  constexpr std::string_view kEntry = "<Please |>give<| me< all| both>> the {x}<.|!>";
  for (const std::string& text : all_of(kEntry)) EXPECT_TRUE(may_become(kEntry, text)) << text;
  for (const char* text : {"", "give", "give me the {x}.", "Please give me all the {x}",
                           "Please give me all the {x}.!", "give  the {x}."}) {
    EXPECT_FALSE(may_become(kEntry, text)) << text;
  }
}

TEST(Alternation, OnlyWhatIsClosedIsRead) {
  EXPECT_TRUE(check_alternations("a <b|c> d > e | f"));
  EXPECT_FALSE(check_alternations("a <b|c"));
  EXPECT_FALSE(check_alternations("a <b|<c> d"));
  EXPECT_TRUE(check_alternations("<>"));
  EXPECT_THAT(all_of("x<>y"), UnorderedElementsAre("xy"));
}

}  // namespace
}  // namespace ac::tasks
