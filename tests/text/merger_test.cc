// Both merge loops against the plain one: look for the best pair, merge it, look again.
#include "models/text/merger.h"

#include <gtest/gtest.h>

#include <map>

#include "runtime/core/rng.h"

namespace ac::text {
namespace {

// Merges of texts over a small alphabet; ranks may repeat, and a merge may have a lower rank than
// the merges that make its parts, as no trained vocabulary has but a file may.
class RandomMerges {
 public:
  RandomMerges(Rng& rng, uint32_t n_ranks) : n_ranks_(n_ranks) {
    std::vector<std::string> known = {"a", "b", "c"};
    for (int i = 0; i < 40; ++i) {
      const std::string both = known[rng.below(known.size())] + known[rng.below(known.size())];
      if (both.size() > 12 || tokens_.count(both) != 0) continue;
      tokens_[both] = {static_cast<uint32_t>(rng.below(n_ranks)),
                       100 + static_cast<int32_t>(tokens_.size())};
      known.push_back(both);
    }
  }

  uint32_t operator()(const char* left, size_t left_bytes, int32_t, size_t right_bytes, int32_t,
                      int32_t& merged) const {
    const auto it = tokens_.find(std::string(left, left_bytes + right_bytes));
    if (it == tokens_.end()) return kNoRank;
    merged = it->second.second;
    return it->second.first;
  }

  uint32_t n_ranks() const { return n_ranks_; }

 private:
  std::map<std::string, std::pair<uint32_t, int32_t>> tokens_;
  uint32_t n_ranks_;
};

std::vector<Symbol> plain(const std::string& text, const RandomMerges& merges) {
  std::vector<Symbol> symbols;
  for (const char c : text) symbols.push_back({1, c});
  for (;;) {
    uint32_t best_rank = kNoRank;
    size_t best = 0;
    int32_t best_token = -1;
    size_t at = 0;
    for (size_t i = 0; i + 1 < symbols.size(); at += symbols[i++].size) {
      int32_t merged = -1;
      const uint32_t rank =
          merges(text.data() + at, symbols[i].size, 0, symbols[i + 1].size, 0, merged);
      if (rank < best_rank) {
        best_rank = rank;
        best = i;
        best_token = merged;
      }
    }
    if (best_rank == kNoRank) return symbols;
    symbols[best] = {symbols[best].size + symbols[best + 1].size, best_token};
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

bool same(const std::vector<Symbol>& a, const std::vector<Symbol>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Symbol& x, const Symbol& y) {
    return x.size == y.size && x.token == y.token;
  });
}

TEST(Merger, BothLoopsGiveWhatThePlainOneGives) {
  Rng rng(3);
  for (int round = 0; round < 4000; ++round) {
    const RandomMerges merges(rng, round % 3 == 0 ? 4 : 1000);
    LongMerger merger(merges.n_ranks());
    for (int again = 0; again < 3; ++again) {  // scratch memory is used again
      std::string text;
      const uint64_t n = 1 + rng.below(again == 2 ? 200 : kShortSymbols);
      for (uint64_t i = 0; i < n; ++i) text.push_back(static_cast<char>('a' + rng.below(3)));
      const std::vector<Symbol> expected = plain(text, merges);

      std::vector<Symbol> symbols;
      for (const char c : text) symbols.push_back({1, c});
      std::vector<Symbol> from_long;
      size_t covered = 0;
      merger.merge(text, symbols, merges, [&](uint32_t begin, uint32_t size, int32_t token) {
        EXPECT_EQ(begin, covered);
        covered += size;
        from_long.push_back({size, token});
      });
      ASSERT_TRUE(same(from_long, expected)) << text;
      if (symbols.size() <= kShortSymbols) {
        symbols.resize(merge_short(text.data(), symbols.data(), symbols.size(), merges));
        ASSERT_TRUE(same(symbols, expected)) << text;
      }
    }
  }
}

}  // namespace
}  // namespace ac::text
