// Stop strings: wherever the pieces are cut, what comes out is the text before the first stop
// string.
#include "runtime/engine/answer.h"

#include <gtest/gtest.h>

#include "runtime/core/rng.h"

namespace ac {
namespace {

std::string filtered(const std::vector<std::string>& stops,
                     const std::vector<std::string>& pieces) {
  StopFilter filter(stops);
  std::string out;
  for (const std::string& piece : pieces) out += filter.push(piece);
  return filter.stopped() ? out : out + filter.finish();
}

TEST(StopFilter, HoldsBackABeginning) {
  const std::vector<std::string> stops = {"END"};
  StopFilter filter(stops);
  EXPECT_EQ(filter.push("abcE"), "abc");
  EXPECT_EQ(filter.push("N"), "");
  EXPECT_EQ(filter.push("x"), "ENx");
  EXPECT_EQ(filter.push("EEN"), "E");
  EXPECT_FALSE(filter.stopped());
  EXPECT_EQ(filter.push("D and more"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.push("more"), "");
}

TEST(StopFilter, ShowsWhatWasHeldAtTheEnd) {
  EXPECT_EQ(filtered({"END"}, {"abcEN"}), "abcEN");
  EXPECT_EQ(filtered({}, {"a", "b"}), "ab");
}

TEST(StopFilter, TheFirstThatIsCompleteWins) {
  EXPECT_EQ(filtered({"world", "lo"}, {"hello world"}), "hel");
  for (const auto& pieces : std::vector<std::vector<std::string>>{{"xabc"}, {"xab", "c"}}) {
    EXPECT_EQ(filtered({"abc", "b"}, pieces), "xa");
    EXPECT_EQ(filtered({"bc", "abc"}, pieces), "x");
  }
}

// Every text over a small alphabet, every way to cut it into two and random ways into more, against
// a plain search.
TEST(StopFilter, AgreesWithAPlainSearchHoweverItIsCut) {
  const std::vector<std::vector<std::string>> sets = {{"a"},      {"ab"},        {"aab"},
                                                      {"abab"},   {"ab", "bba"}, {"aaa", "b"},
                                                      {"aabaab"}, {"aba", "b"},  {"ba", "aba"}};
  Rng rng(5);
  for (const auto& stops : sets) {
    for (int i = 0; i < 3000; ++i) {
      std::string text;
      const size_t n = rng.below(14);
      for (size_t j = 0; j < n; ++j) text += "ab"[rng.below(2)];
      // The shortest beginning that ends with a stop string, without the longest that it ends with.
      std::string expected = text;
      for (size_t end = 1; end <= text.size() && expected == text; ++end) {
        for (const std::string& stop : stops) {
          const std::string head = text.substr(0, end);
          if (!head.ends_with(stop)) continue;
          const std::string before = head.substr(0, end - stop.size());
          if (before.size() < expected.size()) expected = before;
        }
      }
      std::vector<std::string> pieces;
      for (size_t at = 0; at < text.size();) {
        const size_t take = std::min(text.size() - at, 1 + rng.below(4));
        pieces.push_back(text.substr(at, take));
        at += take;
      }
      EXPECT_EQ(filtered(stops, pieces), expected) << text;
    }
  }
}

}  // namespace
}  // namespace ac
