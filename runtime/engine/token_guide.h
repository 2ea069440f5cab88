// Which tokens a grammar allows next.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "models/text/grammar.h"
#include "models/text/tokenizer.h"

namespace ac {

// The tokens of a vocabulary in the order of their bytes, so that what begins alike is looked at once.
class TokenIndex {
 public:
  explicit TokenIndex(const Tokenizer& tokenizer);

 private:
  friend class TokenGuide;
  struct Entry {
    int32_t token = 0;
    uint32_t shared = 0;  // bytes that it begins with as the entry before it does
  };
  const Tokenizer& tokenizer_;
  std::vector<Entry> entries_;
  std::vector<int32_t> ends_;  // tokens that end an answer
};

// Follows one answer through a grammar. What is allowed is worked out once for each state of it.
class TokenGuide {
 public:
  // Both have to outlive it.
  TokenGuide(std::shared_ptr<const Grammar> grammar, const TokenIndex& index);

  // The same logits, -infinity for what is not allowed. [n_vocab], valid until the next call.
  std::span<const float> masked(std::span<const float> logits);
  // REQUIRES: `token` was allowed, and ends no answer.
  void accept(int32_t token);
  // Nothing may follow.
  bool is_whole();

 private:
  struct Allowed {
    std::vector<bool> tokens;  // [n_vocab]
    bool any = false;          // one that does not end the answer
  };
  const Allowed& allowed();

  std::shared_ptr<const Grammar> grammar_;
  GrammarMachine machine_;
  const TokenIndex& index_;
  int32_t state_;
  std::unordered_map<int32_t, Allowed> known_;  // by state
  std::vector<float> logits_;
};

}  // namespace ac
