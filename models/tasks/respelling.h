// Made-up words in the place of those of the lexicon, for training: a model that has seen a few
// thousand words again and again learns them by heart; one that sees words which never come back
// learns to copy.
//
// A letter becomes one that often follows the letters before it in words of the training split, or,
// in a third of the words, any letter of its kind, now and then none or two; drawn from the seed and
// the letters before it. So a word has one spelling in an instance, whatever its case, and what
// begins alike goes on to begin alike: "Physiol." stays the beginning of "Physiology".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ac::tasks {

class Respelling {
 public:
  // `share` of all words are respelled.
  Respelling(uint64_t seed, double share) : seed_(seed), share_(share) {}

  // An entry of the list of `key`; ranges and headers in it stay, units are most often others: those
  // of the training split are few, too, and would be learned by heart. Words of fewer than four
  // letters, small words of titles, digits and signs stay. No word becomes one of the lexicon.
  // REQUIRES: is_content(key).
  std::string entry(std::string_view key, std::string_view text) const;
  std::string word(std::string_view text, bool is_name) const;
  // Whether the wording of the phrases of `key` decides nothing: what is asked for follows from their
  // slots and from what is pasted.
  static bool is_free(std::string_view key);
  // Such a phrase with some of its words made up too, slots ("{n}") as they are, so that a model does
  // not lean on phrases that it knows by heart. REQUIRES: is_free(key).
  std::string phrase(std::string_view key, std::string_view text) const;

 private:
  std::string spelled(std::string_view text, bool is_name, uint64_t salt) const;
  std::string words(std::string_view text, bool is_name) const;
  std::string longer(std::string_view text) const;
  std::string unit(std::string_view text) const;

  uint64_t seed_;
  double share_;
};

}  // namespace ac::tasks
