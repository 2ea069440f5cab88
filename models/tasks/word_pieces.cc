#include "models/tasks/word_pieces.h"

#include <algorithm>
#include <set>

#include "models/tasks/lexicon.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

constexpr size_t kShortestWord = 3, kLongestWord = 8;
constexpr size_t kShortestPiece = 2, kLongestPiece = 6;

void add_words(std::string_view entry, std::set<std::string>& words) {
  std::string word;
  bool is_slot = false;
  for (const char c : std::string(entry) + " ") {
    if (c == '{') is_slot = true;
    if (c == '}') is_slot = false;
    if (is_ascii_letter(c) && !is_slot) {
      word += lower(c);
    } else {
      if (word.size() >= kShortestWord) words.insert(word);
      word.clear();
    }
  }
}

const std::set<std::string>& training_words() {
  static const std::set<std::string> all = [] {
    std::set<std::string> words;
    for (const auto& [key, section] : lexicon().sections()) {
      for (const std::string& entry : section.all) add_words(entry, words);
      for (const std::string& entry : section.by_split[static_cast<size_t>(Split::kTrain)]) {
        add_words(entry, words);
      }
    }
    return words;
  }();
  return all;
}

std::vector<std::string> list_of(const std::set<std::string>& pieces) {
  return {pieces.begin(), pieces.end()};
}

}  // namespace

bool is_training_word(std::string_view letters) {
  return training_words().contains(std::string(letters));
}

const WordPieces& WordPieces::of_training_split() {
  static const WordPieces made = [] {
    std::set<std::string> first, next;
    for (const std::string& word : training_words()) {
      if (word.size() <= kLongestWord) {
        first.insert(word);
        next.insert(word);
      }
      for (size_t n = kShortestPiece; n <= std::min(kLongestPiece, word.size()); ++n) {
        first.insert(word.substr(0, n));
        next.insert(word.substr(word.size() - n));
      }
    }
    WordPieces pieces;
    pieces.first_ = list_of(first);
    pieces.next_ = list_of(next);
    return pieces;
  }();
  return made;
}

WordPieces::WordPieces(std::span<const std::string> tokens) {
  std::set<std::string> first, next;
  for (const std::string& token : tokens) {
    const bool has_space = token.starts_with(' ');
    const std::string letters = lower(std::string_view(token).substr(has_space ? 1 : 0));
    const size_t shortest = has_space ? 1 : kShortestPiece;
    if (letters.size() < shortest || !std::all_of(letters.begin(), letters.end(), is_ascii_letter)) {
      continue;
    }
    (has_space ? first : next).insert(letters);
  }
  first_ = first.empty() ? of_training_split().first_ : list_of(first);
  next_ = next.empty() ? of_training_split().next_ : list_of(next);
}

}  // namespace ac::tasks
