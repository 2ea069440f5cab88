// Remembers what short pieces of text became, so that the common words of a text are merged once.
// One cache a thread, shared by all tokenizers: no locks, and results that do not depend on it.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace ac::text {

class PieceCache {
 public:
  static constexpr size_t kMaxBytes = 24;
  static constexpr size_t kMaxTokens = 8;

  // A piece as whole words, zeros behind its last byte: compared and hashed without a loop.
  struct Key {
    uint64_t words[3] = {0, 0, 0};
    uint32_t owner = 0;  // of the tokenizer; 0 in free entries
    uint16_t size = 0;
    bool operator==(const Key& other) const {
      return ((words[0] ^ other.words[0]) | (words[1] ^ other.words[1]) |
              (words[2] ^ other.words[2])) == 0 &&
             owner == other.owner && size == other.size;
    }
  };

  struct alignas(64) Entry {
    uint64_t words[3];
    uint32_t owner;
    uint16_t size;
    uint16_t n_tokens;
    int32_t tokens[kMaxTokens];
    bool holds(const Key& key) const {
      return Key{{words[0], words[1], words[2]}, owner, size} == key;
    }
  };
  static_assert(sizeof(Entry) == 64);

  // The calling thread's cache.
  static PieceCache& of_this_thread();

  // REQUIRES: piece.size() <= kMaxBytes. `readable_bytes`: how many may be read from its first
  // byte.
  static Key key(uint32_t owner, std::string_view piece, size_t readable_bytes) {
    Key key;
    if (readable_bytes >= kMaxBytes) {
      std::memcpy(key.words, piece.data(), kMaxBytes);
      for (size_t i = 0; i < 3; ++i) key.words[i] &= mask(piece.size(), i);
    } else {
      std::memcpy(key.words, piece.data(), piece.size());
    }
    key.owner = owner;
    key.size = static_cast<uint16_t>(piece.size());
    return key;
  }

  // The entry that holds the piece or would hold it.
  Entry& slot(const Key& key) {
    uint64_t hash = (key.words[0] ^ key.owner) * 0x9e3779b97f4a7c15u;
    hash = (hash ^ (hash >> 32) ^ key.words[1]) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ (hash >> 32) ^ key.words[2]) * 0x94d049bb133111ebu;
    return entries_[hash >> (64 - kEntryBits)];
  }
  // More than kMaxTokens are not kept.
  static void store(Entry& entry, const Key& key, std::span<const int32_t> tokens);

 private:
  static constexpr int kEntryBits = 15;  // 2 MiB; the part in use stays in the second-level cache

  // The bytes of word i that belong to a piece of this size (little-endian).
  static uint64_t mask(size_t size, size_t i) {
    if (size >= 8 * i + 8) return ~uint64_t{0};
    return size <= 8 * i ? 0 : ~uint64_t{0} >> (64 - 8 * (size - 8 * i));
  }

  std::vector<Entry> entries_ = std::vector<Entry>(size_t{1} << kEntryBits);
};

// A number of its own for each tokenizer, never 0.
uint32_t next_cache_owner();

}  // namespace ac::text
