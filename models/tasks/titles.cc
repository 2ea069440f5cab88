#include "models/tasks/titles.h"

#include <algorithm>
#include <array>
#include <vector>

#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

constexpr std::array<std::string_view, 30> kSmallWords = {
    "a",     "an",     "the",    "and",     "but",     "or",    "nor",   "for",
    "of",    "in",     "on",     "at",      "to",      "by",    "with",  "from",
    "as",    "under",  "across", "during",  "over",    "into",  "after", "without",
    "among", "within", "beyond", "through", "between", "versus"};

// Capital on the first letter, braces looked through.
std::string raised(std::string_view word) {
  const size_t at = word.starts_with('{') ? 1 : 0;
  std::string text(word);
  if (at < text.size()) text[at] = upper(text[at]);
  return text;
}

std::string headline_word(std::string_view word, bool always) {
  if (word.starts_with('{')) return std::string(word);
  // The first part of a compound is always raised.
  const bool compound = word.find('-') != std::string_view::npos;
  std::string text;
  for (const std::string_view part : split(word, '-')) {
    if (!text.empty()) text += '-';
    const bool small = is_small_word(part) && !(text.empty() && (always || compound));
    text += small ? std::string(part) : raised(part);
  }
  return text;
}

}  // namespace

std::span<const std::string_view> small_words() { return kSmallWords; }

bool is_small_word(std::string_view word) {
  return std::find(kSmallWords.begin(), kSmallWords.end(), word) != kSmallWords.end();
}

std::string sentence_case(std::string_view title, bool after_colon) {
  std::string text;
  bool begins = true;
  for (const std::string_view word : split(title, ' ')) {
    if (!text.empty()) text += ' ';
    text += begins && !word.starts_with('{') ? raised(word) : std::string(word);
    begins = after_colon && word.ends_with(':');
  }
  return text;
}

std::string headline_case(std::string_view title) {
  const std::vector<std::string_view> words = split(title, ' ');
  std::string text;
  bool begins = true;
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += ' ';
    const bool ends = i + 1 == words.size() || words[i].ends_with(':');
    text += headline_word(words[i], begins || ends);
    begins = words[i].ends_with(':');
  }
  return text;
}

std::string unbraced(std::string_view title) { return without(without(title, '{'), '}'); }

}  // namespace ac::tasks
