// Remembers what short pieces of text became, so that the common words of a text are merged once.
// One cache a thread, shared by all tokenizers: no locks, and results that do not depend on it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace ac::text {

class PieceCache {
 public:
  static constexpr size_t kMaxBytes = 26;
  static constexpr size_t kMaxTokens = 8;

  struct alignas(64) Entry {
    uint32_t owner;  // of the tokenizer; 0: free
    uint8_t size;
    uint8_t n_tokens;
    char text[kMaxBytes];
    int32_t tokens[kMaxTokens];
  };

  // The calling thread's cache.
  static PieceCache& of_this_thread();

  // The entry that holds `piece` or would hold it. REQUIRES: piece.size() <= kMaxBytes.
  Entry& slot(uint32_t owner, std::string_view piece) { return entries_[index(owner, piece)]; }
  static bool holds(const Entry& entry, uint32_t owner, std::string_view piece);
  static void store(Entry& entry, uint32_t owner, std::string_view piece,
                    std::span<const int32_t> tokens);

 private:
  static constexpr size_t kEntries = 16384;  // 1 MiB: stays in the second-level cache
  static size_t index(uint32_t owner, std::string_view piece);
  std::vector<Entry> entries_ = std::vector<Entry>(kEntries);
};

// A number of its own for each tokenizer, never 0.
uint32_t next_cache_owner();

}  // namespace ac::text
