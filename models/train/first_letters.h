// A byte-level BPE vocabulary in which the first letter of a word is always a token of its own, together with
// the one character (a space, a quotation mark, a bracket) that the pre-tokenizer leaves in front of it:
// " isolation" is " i", "so", "lation", "Isolation" is "I", "so", "lation".
//
// For models that copy words. Plain BPE cuts " isolation" and " Isolation" at other places, so that to copy is
// to translate. Where the first token is the first letter, writing a word with or without a capital or a space
// changes one token of a few dozen, an initial is that token again, and no word begins like "in" does. It
// costs a token more for most words, and saves the many tokens that differ only in what is in front of them.
//
// It is a list of merges like any other: characters beyond ASCII first, then each character in front of a word
// with the letter that follows, then what plain BPE learns from the rest of words. A capital is merged with
// nothing behind it. Of what is left, a word in small letters that begins a line may be cut otherwise.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace ac {

struct WordParts {
  std::string_view lead;   // what is in front of the word: nothing, or one character
  std::string_view first;  // letter
  // What follows it, without capitals, each of which is a token of its own.
  std::vector<std::string_view> tails;
};
// Of a piece of the pre-tokenizer; nothing where it is not a word.
std::optional<WordParts> word_parts(std::string_view piece);

}  // namespace ac
