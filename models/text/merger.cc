#include "models/text/merger.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "runtime/core/check.h"

namespace ac::text {
LongMerger::LongMerger(uint32_t n_ranks) {
  AC_CHECK(n_ranks <= 1u << 24);
  places_of_rank_.assign(n_ranks, 0);
  size_t words = n_ranks;
  for (auto& level : bits_) {
    words = words / 64 + 1;
    level.assign(words, 0);
  }
}

void LongMerger::start(size_t n_bytes, const std::vector<Symbol>& symbols) {
  size_.assign(n_bytes + 1, 0);
  before_.assign(n_bytes + 1, 0);
  token_.assign(n_bytes + 1, -1);
  rank_.assign(n_bytes + 1, kNoRank);
  uint32_t at = 0;
  uint32_t before = 0;
  for (const Symbol& symbol : symbols) {
    size_[at] = symbol.size;
    token_[at] = symbol.token;
    before_[at] = before;
    before = symbol.size;
    at += symbol.size;
  }
  AC_CHECK(at == n_bytes);
}

void LongMerger::mark(uint32_t rank) {
  for (auto& level : bits_) {
    level[rank / 64] |= uint64_t{1} << (rank % 64);
    rank /= 64;
  }
}

void LongMerger::unmark(uint32_t rank) {
  for (auto& level : bits_) {
    level[rank / 64] &= ~(uint64_t{1} << (rank % 64));
    if (level[rank / 64] != 0) break;
    rank /= 64;
  }
}

uint32_t LongMerger::lowest() const {
  uint32_t index = 0;
  for (int level = kLevels - 1; level >= 0; --level) {
    const uint64_t word = bits_[level][index];
    if (word == 0) return kNoRank;
    index = index * 64 + static_cast<uint32_t>(std::countr_zero(word));
  }
  return index;
}

void LongMerger::push(uint32_t rank, uint32_t at) {
  uint32_t index = places_of_rank_[rank];
  if (index == 0) {
    if (unused_places_.empty()) {
      places_.emplace_back();
      index = static_cast<uint32_t>(places_.size());
    } else {
      index = unused_places_.back();
      unused_places_.pop_back();
    }
    places_of_rank_[rank] = index;
    mark(rank);
  }
  Places& places = places_[index - 1];
  if (places.sorted.empty() || places.sorted.back() <= at) {
    places.sorted.push_back(at);
  } else {
    places.late.push_back(at);
    std::push_heap(places.late.begin(), places.late.end(), std::greater<>());
  }
}

uint32_t LongMerger::pop(uint32_t& at) {
  const uint32_t rank = lowest();
  if (rank == kNoRank) return kNoRank;
  Places& places = places_[places_of_rank_[rank] - 1];
  const bool in_front = places.front < places.sorted.size();
  if (in_front && (places.late.empty() || places.sorted[places.front] <= places.late.front())) {
    at = places.sorted[places.front++];
  } else {
    at = places.late.front();
    std::pop_heap(places.late.begin(), places.late.end(), std::greater<>());
    places.late.pop_back();
  }
  if (places.front == places.sorted.size() && places.late.empty()) {
    places.sorted.clear();
    places.front = 0;
    unused_places_.push_back(places_of_rank_[rank]);
    places_of_rank_[rank] = 0;
    unmark(rank);
  }
  return rank;
}

}  // namespace ac::text
