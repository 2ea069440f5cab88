// Pieces that made-up words are put together from. A model learns to write a token only where it has
// to: what never occurs in an answer it never writes, however often it is asked for later. So made-up
// words are made of the tokens of the vocabulary that a model is trained with; where there is none yet, of
// parts of the words that the training split may use, from which a vocabulary is learned.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/rng.h"

namespace ac::tasks {

class WordPieces {
 public:
  static const WordPieces& of_training_split();
  // Of tokens as bytes; those that are letters of ASCII, at least two unless a space is in front.
  // Where there are none of a kind, those of the training split.
  explicit WordPieces(std::span<const std::string> tokens);

  // In small letters. What a word begins with, and what goes on.
  std::string_view first(Rng& rng) const { return any(first_, rng); }
  std::string_view next(Rng& rng) const { return any(next_, rng); }

 private:
  WordPieces() = default;
  static std::string_view any(const std::vector<std::string>& pieces, Rng& rng) {
    return pieces[static_cast<size_t>(rng.below(pieces.size()))];
  }

  std::vector<std::string> first_, next_;
};

// Whether they are one of the words of the training split, phrases and lists alike. In small letters.
bool is_training_word(std::string_view letters);

}  // namespace ac::tasks
