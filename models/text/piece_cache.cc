#include "models/text/piece_cache.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace ac::text {

static_assert(sizeof(PieceCache::Entry) == 64);

PieceCache& PieceCache::of_this_thread() {
  thread_local PieceCache cache;
  return cache;
}

size_t PieceCache::index(uint32_t owner, std::string_view piece) {
  return XXH3_64bits_withSeed(piece.data(), piece.size(), owner) % kEntries;
}

bool PieceCache::holds(const Entry& entry, uint32_t owner, std::string_view piece) {
  return entry.owner == owner && entry.size == piece.size() &&
         std::memcmp(entry.text, piece.data(), piece.size()) == 0;
}

void PieceCache::store(Entry& entry, uint32_t owner, std::string_view piece,
                       std::span<const int32_t> tokens) {
  if (tokens.size() > kMaxTokens) return;
  entry.owner = owner;
  entry.size = static_cast<uint8_t>(piece.size());
  entry.n_tokens = static_cast<uint8_t>(tokens.size());
  std::copy(piece.begin(), piece.end(), entry.text);
  std::copy(tokens.begin(), tokens.end(), entry.tokens);
}

uint32_t next_cache_owner() {
  static std::atomic<uint32_t> last{0};
  const uint32_t owner = ++last;
  return owner != 0 ? owner : ++last;
}

}  // namespace ac::text
