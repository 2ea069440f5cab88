#include "models/train/first_letters.h"

#include "models/text/unicode.h"

namespace ac {
namespace {

bool is_capital(std::string_view character) {
  return character.size() == 1 && character[0] >= 'A' && character[0] <= 'Z';
}

}  // namespace

std::optional<WordParts> word_parts(std::string_view piece) {
  const auto character = [piece](size_t at) {
    return text::char_at(piece.data() + at, piece.data() + piece.size());
  };
  WordParts parts;
  size_t at = 0;
  if (piece.empty()) return std::nullopt;
  if ((character(0).cls & text::kLetter) == 0) {
    at = character(0).size;
    parts.lead = piece.substr(0, at);
  }
  if (at >= piece.size() || (character(at).cls & text::kLetter) == 0) return std::nullopt;
  parts.first = piece.substr(at, character(at).size);
  at += parts.first.size();
  size_t begin = at;
  while (at < piece.size()) {
    const size_t size = character(at).size;
    const std::string_view here = piece.substr(at, size);
    if (is_capital(here)) {
      if (begin < at) parts.tails.push_back(piece.substr(begin, at - begin));
      begin = at + size;
    }
    at += size;
  }
  if (begin < piece.size()) parts.tails.push_back(piece.substr(begin));
  return parts;
}

size_t size_of_beginning(std::string_view text) {
  constexpr std::string_view kMarks = "\n\"(,";
  const bool is = text.size() > 1 && kMarks.find(text[0]) != std::string_view::npos &&
                  text[1] >= 'a' && text[1] <= 'z';
  return is ? 2 : 0;
}

}  // namespace ac
