// Made-up words in the place of those of the lexicon, for training: a model that has seen a few
// thousand words again and again learns them by heart; one that sees words which never come back
// learns to copy.
//
// Nearly half of them are put together from pieces (word_pieces.h). In the others a letter becomes one
// that often follows the letters before it in words of the training split, or any letter of its kind, now
// and then none or two, drawn from the seed and the letters before it. A word has one spelling in an
// instance, whatever its case. Words that have short forms beside them are all made letter by letter:
// then what begins alike goes on to begin alike, and "Physiol." stays the beginning of "Physiology".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "models/tasks/word_pieces.h"

namespace ac::tasks {

class Respelling {
 public:
  // `share` of all words are respelled. `pieces` have to stay.
  Respelling(uint64_t seed, double share, const WordPieces& pieces = WordPieces::of_training_split())
      : seed_(seed), share_(share), pieces_(&pieces) {}

  // An entry of the list of `key`; ranges and headers in it stay, units are most often others: those
  // of the training split are few, too, and would be learned by heart. Some family names get an apostrophe
  // ("O'", "D'"), some variables keep their last word alone. Words of fewer than four
  // letters, small words of titles, digits and signs stay. No word becomes one of the lexicon.
  // REQUIRES: is_content(key).
  std::string entry(std::string_view key, std::string_view text) const;
  // `keeps_beginnings`: it has short forms.
  std::string word(std::string_view text, bool is_name, bool keeps_beginnings = false) const;
  // Whether the wording of the phrases of `key` decides nothing: what is asked for follows from their
  // slots and from what is pasted.
  static bool is_free(std::string_view key);
  // Such a phrase with some of its words made up too, slots ("{n}") as they are, so that a model does
  // not lean on phrases that it knows by heart. REQUIRES: is_free(key).
  std::string phrase(std::string_view key, std::string_view text) const;

 private:
  std::string spelled(std::string_view text, bool is_name, uint64_t salt,
                      bool keeps_beginnings = false) const;
  std::string words(std::string_view text, bool is_name, bool keeps_beginnings) const;
  std::string longer(std::string_view text) const;
  std::string unit(std::string_view text) const;

  uint64_t seed_;
  double share_;
  const WordPieces* pieces_;
};

}  // namespace ac::tasks
