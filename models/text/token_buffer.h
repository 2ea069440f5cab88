// Where tokens are collected: a vector that grows in steps, so that a cached piece is copied
// without asking for its length.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "models/text/piece_cache.h"

namespace ac::text {

class TokenBuffer {
 public:
  explicit TokenBuffer(size_t n_text_bytes) : tokens_(n_text_bytes / 4 + kSlack) {}

  void push(int32_t token) {
    make_room();
    tokens_[size_++] = token;
  }
  void push(const PieceCache::Entry& entry) {
    make_room();
    std::memcpy(tokens_.data() + size_, entry.tokens, sizeof(entry.tokens));
    size_ += entry.n_tokens;
  }
  size_t size() const { return size_; }
  std::span<const int32_t> from(size_t first) const {
    return std::span(tokens_).subspan(first, size_ - first);
  }
  std::vector<int32_t> take() && {
    tokens_.resize(size_);
    return std::move(tokens_);
  }

 private:
  static constexpr size_t kSlack = 2 * PieceCache::kMaxTokens;
  void make_room() {
    if (size_ + PieceCache::kMaxTokens > tokens_.size()) tokens_.resize(tokens_.size() * 2);
  }

  std::vector<int32_t> tokens_;  // [0, size_) are in use
  size_t size_ = 0;
};

}  // namespace ac::text
