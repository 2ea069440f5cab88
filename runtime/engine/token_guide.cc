#include "runtime/engine/token_guide.h"

#include <algorithm>
#include <limits>

#include "runtime/core/check.h"

namespace ac {

TokenIndex::TokenIndex(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  std::vector<int32_t> tokens;
  for (int32_t token = 0; token < tokenizer.n_vocab(); ++token) {
    if (tokenizer.ends_generation(token)) {
      ends_.push_back(token);
    } else if (!tokenizer.token_bytes(token).empty()) {
      tokens.push_back(token);
    }
  }
  std::sort(tokens.begin(), tokens.end(), [&](int32_t a, int32_t b) {
    return tokenizer.token_bytes(a) < tokenizer.token_bytes(b);
  });
  std::string_view before;
  for (const int32_t token : tokens) {
    const std::string_view bytes = tokenizer.token_bytes(token);
    const auto differs = std::mismatch(bytes.begin(), bytes.end(), before.begin(), before.end());
    entries_.push_back({token, static_cast<uint32_t>(differs.first - bytes.begin())});
    before = bytes;
  }
}

TokenGuide::TokenGuide(std::shared_ptr<const Grammar> grammar, const TokenIndex& index)
    : grammar_(std::move(grammar)), machine_(*grammar_), index_(index), state_(machine_.start()) {}

const TokenGuide::Allowed& TokenGuide::allowed() {
  const auto [at, is_new] = known_.try_emplace(state_);
  Allowed& allowed = at->second;
  if (!is_new) return allowed;
  const Tokenizer& tokenizer = index_.tokenizer_;
  allowed.tokens.assign(static_cast<size_t>(tokenizer.n_vocab()), false);
  if (state_ == GrammarMachine::kDead) return allowed;
  // The states after 0, 1, 2, ... bytes of the entry that was looked at last; the walk along it ended
  // where they end.
  std::vector<int32_t> path = {state_};
  for (const TokenIndex::Entry& entry : index_.entries_) {
    const std::string_view bytes = tokenizer.token_bytes(entry.token);
    // What it shares with the one before led nowhere already.
    if (entry.shared >= path.size()) continue;
    path.resize(entry.shared + 1);
    while (path.size() <= bytes.size()) {
      const int32_t next = machine_.next(path.back(), static_cast<uint8_t>(bytes[path.size() - 1]));
      if (next == GrammarMachine::kDead) break;
      path.push_back(next);
    }
    if (path.size() != bytes.size() + 1) continue;
    allowed.tokens[static_cast<size_t>(entry.token)] = true;
    allowed.any = true;
  }
  if (machine_.may_end(state_)) {
    for (const int32_t token : index_.ends_) allowed.tokens[static_cast<size_t>(token)] = true;
  }
  return allowed;
}

std::span<const float> TokenGuide::masked(std::span<const float> logits) {
  const std::vector<bool>& may = allowed().tokens;
  logits_.assign(logits.begin(), logits.end());
  for (size_t i = 0; i < logits_.size(); ++i) {
    if (i >= may.size() || !may[i]) logits_[i] = -std::numeric_limits<float>::infinity();
  }
  return logits_;
}

void TokenGuide::accept(int32_t token) {
  for (const char byte : index_.tokenizer_.token_bytes(token)) {
    AC_CHECK(state_ != GrammarMachine::kDead);
    state_ = machine_.next(state_, static_cast<uint8_t>(byte));
  }
}

bool TokenGuide::is_whole() { return !allowed().any; }

}  // namespace ac
