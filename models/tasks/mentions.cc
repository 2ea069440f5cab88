#include "models/tasks/mentions.h"

#include <algorithm>
#include <map>

#include "models/tasks/lexicon.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

bool is_word(char c) { return is_letter(c) || is_digit(c); }

bool stands_alone(std::string_view text, size_t begin, size_t end) {
  const bool open = begin == 0 || !is_word(text[begin]) || !is_word(text[begin - 1]);
  const bool closed = end == text.size() || !is_word(text[end - 1]) || !is_word(text[end]);
  return open && closed;
}

bool same_letters(std::string_view text, size_t at, std::string_view pattern) {
  if (pattern.size() > text.size() - at) return false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (lower(text[at + i]) != lower(pattern[i])) return false;
  }
  return true;
}

using WordLists = std::map<std::string, std::vector<Pattern>, std::less<>>;

// The lists for all splits as patterns, and all directions as one.
const WordLists& word_lists() {
  static const WordLists lists = [] {
    WordLists made;
    const auto add = [&](std::string_view to, std::string_view from, int id) {
      for (const std::string& word : lexicon().list(from, Split::kTrain)) {
        made[std::string(to)].push_back({word, id});
      }
    };
    add("direction", "direction.rise", kRises);
    add("direction", "direction.fall", kFalls);
    add("direction", "direction.none", kNoChange);
    for (const auto& [key, section] : lexicon().sections()) {
      if (!section.all.empty()) add(key, key, 0);
    }
    return made;
  }();
  return lists;
}

bool overlaps(const Mention& mention, std::span<const Mention> others) {
  return std::any_of(others.begin(), others.end(), [&](const Mention& other) {
    return mention.begin < other.end && other.begin < mention.end;
  });
}

bool is_negated(std::string_view text, size_t at) {
  const std::string_view before = trim(text.substr(0, at));
  for (const std::string_view word : {"not", "n't", "n’t", "never", "no", "neither"}) {
    if (!before.ends_with(word)) continue;
    const size_t begin = before.size() - word.size();
    if (word[0] == 'n' && word.size() > 1 && word[1] != 'o' && word[1] != 'e') return true;
    if (begin == 0 || !is_word(before[begin - 1])) return true;
  }
  return false;
}

// A period that ends a sentence, not an abbreviation.
bool ends_sentence(std::string_view text, size_t at) {
  if (text[at] != '.' && text[at] != '?' && text[at] != '!') return false;
  if (at + 1 < text.size() && text[at + 1] != ' ') return false;
  for (const std::string_view shortened : {"al", "vs", "e.g", "i.e", "no", "approx"}) {
    if (text.substr(0, at).ends_with(shortened) &&
        (at == shortened.size() || !is_word(text[at - shortened.size() - 1]))) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<Mention> find_mentions(std::string_view text, std::span<const Pattern> patterns) {
  std::vector<Mention> found;
  size_t at = 0;
  while (at < text.size()) {
    // Inside a word nothing begins.
    if (at > 0 && is_word(text[at]) && is_word(text[at - 1])) {
      ++at;
      continue;
    }
    const Pattern* best = nullptr;
    for (const Pattern& pattern : patterns) {
      if (pattern.text.empty() || !same_letters(text, at, pattern.text)) continue;
      if (!stands_alone(text, at, at + pattern.text.size())) continue;
      if (best == nullptr || pattern.text.size() > best->text.size()) best = &pattern;
    }
    if (best == nullptr) {
      ++at;
      continue;
    }
    found.push_back({at, at + best->text.size(), best->id});
    at += best->text.size();
  }
  return found;
}

std::vector<Mention> find_directions(std::string_view text, std::span<const Mention> names) {
  std::vector<Mention> found = find_mentions(text, word_lists().find("direction")->second);
  std::erase_if(found, [&](const Mention& mention) { return overlaps(mention, names); });
  for (Mention& mention : found) {
    if (mention.id != kNoChange && is_negated(text, mention.begin)) mention.id = kNoChange;
  }
  return found;
}

bool has_any(std::string_view text, std::string_view word_list, std::span<const Mention> names) {
  const auto list = word_lists().find(word_list);
  AC_CHECK(list != word_lists().end());
  const std::vector<Mention> found = find_mentions(text, list->second);
  return std::any_of(found.begin(), found.end(),
                     [&](const Mention& mention) { return !overlaps(mention, names); });
}

std::vector<Number> find_numbers(std::string_view text, std::span<const Mention> mentions) {
  std::vector<Number> numbers;
  size_t at = 0;
  while (at < text.size()) {
    const auto inside = std::find_if(mentions.begin(), mentions.end(), [&](const Mention& mention) {
      return at >= mention.begin && at < mention.end;
    });
    if (inside != mentions.end()) {
      at = inside->end;
      continue;
    }
    if (!is_digit(text[at])) {
      ++at;
      continue;
    }
    size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at + 1 < text.size() && text[at] == '.' && is_digit(text[at + 1])) {
      ++at;
      while (at < text.size() && is_digit(text[at])) ++at;
    }
    // A minus belongs to the number where no letter or digit stands before it.
    if (begin > 0 && text[begin - 1] == '-' && (begin == 1 || !is_word(text[begin - 2]))) --begin;
    numbers.push_back({begin, at, text.substr(begin, at - begin)});
  }
  return numbers;
}

bool same_number(std::string_view a, std::string_view b) {
  const auto normal = [](std::string_view text) {
    std::string number(text);
    if (number.find('.') != std::string::npos) {
      while (number.ends_with('0')) number.pop_back();
      if (number.ends_with('.')) number.pop_back();
    }
    const bool negative = number.starts_with('-');
    if (negative) number.erase(0, 1);
    size_t zeros = 0;
    while (zeros + 1 < number.size() && number[zeros] == '0' && number[zeros + 1] != '.') ++zeros;
    number.erase(0, zeros);
    return (negative && number != "0" ? "-" : "") + number;
  };
  return normal(a) == normal(b);
}

std::vector<std::string_view> clauses(std::string_view text) {
  std::vector<std::string_view> parts;
  for (const std::string_view line : split_lines(text)) {
    size_t begin = 0;
    for (size_t at = 0; at <= line.size(); ++at) {
      const bool ends = at == line.size() || line[at] == ';' || ends_sentence(line, at);
      if (!ends) continue;
      const std::string_view part = trim(line.substr(begin, at - begin));
      if (!part.empty()) parts.push_back(part);
      begin = at + 1;
    }
  }
  return parts;
}

std::string without_markup(std::string_view text) {
  std::string result;
  for (const std::string_view line : split_lines(text)) {
    std::string_view rest = trim(line);
    while (rest.starts_with("- ") || rest.starts_with("* ") || rest.starts_with("# ") ||
           rest.starts_with("• ")) {
      rest = trim(rest.substr(rest.find(' ')));
    }
    result += without(rest, '*');
    result += '\n';
  }
  return result;
}

}  // namespace ac::tasks
