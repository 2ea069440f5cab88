// The merge loop of BPE: of all neighbouring symbols that may merge, merge the pair with the lowest
// rank, the leftmost of equals, until none is left. Two ways to the same result:
//   merge_short  rescans a handful of symbols held in registers and first-level cache;
//   LongMerger   keeps, for each rank, the places where it occurs. Places arrive nearly sorted, so
//                a rank is an array read from its front (and a heap for the few that arrive late),
//                and the lowest rank in use is found in a bit tree: memory is walked in order, and
//                time is linear for all practical texts and O(n log n) at worst.
//
// A symbol is named by the offset of its first byte. `Pairs` says how two neighbours merge:
//   uint32_t operator()(const char* left, size_t left_bytes, int32_t left_token,
//                       size_t right_bytes, int32_t right_token, int32_t& merged) const
// returns a rank below Pairs::n_ranks() or kNoRank; neighbours are adjacent in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ac::text {

inline constexpr uint32_t kNoRank = 0xffffffffu;
inline constexpr size_t kShortSymbols = 40;

struct Symbol {
  uint32_t size = 0;   // bytes
  int32_t token = -1;  // -1: bytes that are no token
};

// Merges in place; returns how many symbols are left. REQUIRES: n <= kShortSymbols.
template <class Pairs>
size_t merge_short(const char* text, Symbol* symbols, size_t n, const Pairs& pairs) {
  uint32_t ranks[kShortSymbols];  // of symbols i and i + 1
  int32_t merged[kShortSymbols];
  const auto rate = [&](size_t i, const char* at) {
    const Symbol& a = symbols[i];
    const Symbol& b = symbols[i + 1];
    ranks[i] = pairs(at, a.size, a.token, b.size, b.token, merged[i]);
  };
  const char* at = text;
  for (size_t i = 0; i + 1 < n; at += symbols[i++].size) rate(i, at);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (ranks[i] < ranks[best]) best = i;
    }
    if (ranks[best] == kNoRank) break;
    symbols[best].size += symbols[best + 1].size;
    symbols[best].token = merged[best];
    --n;
    for (size_t i = best + 1; i < n; ++i) symbols[i] = symbols[i + 1];
    for (size_t i = best; i + 1 < n; ++i) {
      ranks[i] = ranks[i + 1];
      merged[i] = merged[i + 1];
    }
    at = text;
    for (size_t i = 0; i + 1 < best; ++i) at += symbols[i].size;
    if (best > 0) {
      rate(best - 1, at);
      at += symbols[best - 1].size;
    }
    if (best + 1 < n) rate(best, at);
  }
  return n;
}

// Scratch memory for long pieces; may be used again for another piece of the same vocabulary.
class LongMerger {
 public:
  explicit LongMerger(uint32_t n_ranks);

  // `symbols` cover `text`; calls emit(begin, size, token) for each symbol left. REQUIRES:
  // text.size() < 2^32.
  template <class Pairs, class Emit>
  void merge(std::string_view text, const std::vector<Symbol>& symbols, const Pairs& pairs,
             Emit emit) {
    start(text.size(), symbols);
    const auto rate = [&](uint32_t at) {
      const uint32_t right = at + size_[at];
      int32_t merged;
      rank_[at] =
          pairs(text.data() + at, size_[at], token_[at], size_[right], token_[right], merged);
      if (rank_[at] != kNoRank) push(rank_[at], at);
    };
    const auto n_bytes = static_cast<uint32_t>(text.size());
    for (uint32_t at = 0; at + size_[at] < n_bytes; at += size_[at]) rate(at);
    uint32_t at;
    for (uint32_t rank; (rank = pop(at)) != kNoRank;) {
      if (rank_[at] != rank) continue;  // one of the two has merged otherwise since
      const uint32_t right = at + size_[at];
      int32_t merged = -1;
      pairs(text.data() + at, size_[at], token_[at], size_[right], token_[right], merged);
      rank_[right] = kNoRank;
      size_[at] += size_[right];
      token_[at] = merged;
      rank_[at] = kNoRank;
      const uint32_t next = at + size_[at];
      if (next < n_bytes) before_[next] = size_[at];
      if (at > 0) rate(at - before_[at]);
      if (next < n_bytes) rate(at);
    }
    for (at = 0; at < n_bytes; at += size_[at]) emit(at, size_[at], token_[at]);
  }

 private:
  // The places of one rank: `sorted` from `front` on, and a heap, smallest first, of latecomers.
  struct Places {
    std::vector<uint32_t> sorted;
    size_t front = 0;
    std::vector<uint32_t> late;
  };

  void start(size_t n_bytes, const std::vector<Symbol>& symbols);
  void push(uint32_t rank, uint32_t at);
  // The lowest rank in use and its leftmost place, taken out; kNoRank when nothing is left.
  uint32_t pop(uint32_t& at);
  void mark(uint32_t rank);
  void unmark(uint32_t rank);
  uint32_t lowest() const;

  // By offset of a symbol's first byte.
  std::vector<uint32_t> size_;
  std::vector<uint32_t> before_;  // size of the symbol in front
  std::vector<int32_t> token_;
  std::vector<uint32_t> rank_;  // of the pair that starts here

  std::vector<uint32_t> places_of_rank_;  // index + 1
  std::vector<Places> places_;
  std::vector<uint32_t> unused_places_;  // index + 1
  static constexpr int kLevels = 4;      // 64^4 ranks
  std::vector<uint64_t>
      bits_[kLevels];  // level 0: a bit a rank; level i: a bit a word of level i - 1
};

}  // namespace ac::text
