#include "models/text/piece_cache.h"

#include <algorithm>
#include <atomic>
#include <bit>

namespace ac::text {

static_assert(std::endian::native == std::endian::little,
              "PieceCache::mask counts from the low end");

PieceCache& PieceCache::of_this_thread() {
  thread_local PieceCache cache;
  return cache;
}

void PieceCache::store(Entry& entry, const Key& key, std::span<const int32_t> tokens) {
  if (tokens.size() > kMaxTokens) return;
  std::copy(std::begin(key.words), std::end(key.words), entry.words);
  entry.owner = key.owner;
  entry.size = key.size;
  entry.n_tokens = static_cast<uint16_t>(tokens.size());
  std::copy(tokens.begin(), tokens.end(), entry.tokens);
}

uint32_t next_cache_owner() {
  static std::atomic<uint32_t> last{0};
  const uint32_t owner = ++last;
  return owner != 0 ? owner : ++last;
}

}  // namespace ac::text
