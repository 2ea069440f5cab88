// A byte-level BPE vocabulary in which a word is cut at the same places wherever it stands: after a
// space or a quotation mark, with a capital or without. What differs is its first token alone, so a
// model that copies words (or changes their case) has one token to translate and the others to
// repeat.
//
// Plain BPE does not do that: " isolation" may be " is", "ol", "ation" and " Isolation" " I", "sol",
// "ation". Here merges are learned from words without the space in front and without a capital.
// "is" + "ol" is followed in rank by the same merge with a capital, "Is" + "ol", and merges of a
// space with what follows it come after all others. It is a list of merges like any other: every
// byte-level BPE tokenizer reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "models/train/bpe_trainer.h"

namespace ac {

// A piece of the pre-tokenizer: a space in front, a capital with small letters after it, the rest.
struct PieceForm {
  bool space = false;
  bool capital = false;
  std::string plain;  // without both
};
PieceForm piece_form(std::string_view piece);

// Adds to merges learned from plain forms those that make the same tokens with a capital, with a space
// and with both in front of them, most frequent first, up to `n_merges` in all.
// `firsts`: how often a word of each form begins with a token of `plain`.
struct FirstToken {
  std::string token;  // plain
  bool space = false;
  bool capital = false;
  int64_t count = 0;
};
std::vector<BpeMerge> aligned_merges(const std::vector<BpeMerge>& plain,
                                     std::vector<FirstToken> firsts, size_t n_merges,
                                     int64_t least_count);

}  // namespace ac
