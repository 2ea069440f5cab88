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
// nothing behind it.
//
// That leaves words in small letters in front of which the pre-tokenizer leaves nothing: those that begin a
// line, and those behind two marks (a name in JSON is one). Nothing kept "argon" there from being "ar", "gon",
// so that copying it was translating it. These beginnings are tokens that a text is cut at before anything
// else (user-defined in a GGUF file, which llama.cpp cuts at too).
#pragma once

#include <cstddef>
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

// Bytes of the beginning of a word that `text` starts with: a line feed, a quotation mark, a bracket or a
// comma, and a small letter of ASCII. 0 where it starts with something else.
size_t size_of_beginning(std::string_view text);

}  // namespace ac
