#include "models/tasks/text.h"

#include "runtime/core/check.h"

namespace ac::tasks {

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  size_t begin = 0;
  while (true) {
    const size_t end = text.find(separator, begin);
    if (end == std::string_view::npos) break;
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines = split(text, '\n');
  if (lines.back().empty()) lines.pop_back();
  return lines;
}

std::string fill(std::string_view pattern, Slots slots) {
  std::string text;
  size_t at = 0;
  while (at < pattern.size()) {
    const size_t open = pattern.find('{', at);
    text += pattern.substr(at, open - at);
    if (open == std::string_view::npos) break;
    const size_t close = pattern.find('}', open);
    AC_CHECK(close != std::string_view::npos);
    const std::string_view name = pattern.substr(open + 1, close - open - 1);
    bool found = false;
    for (const auto& [slot, value] : slots) {
      if (slot != name) continue;
      text += value;
      found = true;
      break;
    }
    AC_CHECK(found);
    at = close + 1;
  }
  return text;
}

std::string join(std::span<const std::string> parts, const Joins& joins) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) {
      const bool is_last = i + 1 == parts.size();
      text += !is_last ? joins.comma : parts.size() == 2 ? joins.pair : joins.last;
    }
    text += parts[i];
  }
  return text;
}

std::string join(std::span<const std::string> parts, std::string_view comma) {
  return join(parts, Joins{comma, comma, comma});
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = lower(c);
  return result;
}

std::string capitalised(std::string_view text) {
  std::string result(text);
  if (!result.empty()) result[0] = upper(result[0]);
  return result;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_ascii_letter(char c) { return is_letter(c) && static_cast<unsigned char>(c) < 0x80; }
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
}

std::string_view first_character(std::string_view text) {
  size_t end = text.empty() ? 0 : 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
  return text.substr(0, end);
}

std::string without(std::string_view text, char c) {
  std::string result;
  for (const char each : text) {
    if (each != c) result += each;
  }
  return result;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result;
  size_t at = 0;
  while (true) {
    const size_t found = text.find(from, at);
    result += text.substr(at, found - at);
    if (found == std::string_view::npos) return result;
    result += to;
    at = found + from.size();
  }
}

std::string with_period(std::string text) {
  std::string_view bare = text;
  while (bare.ends_with('*')) bare.remove_suffix(1);
  if (bare.ends_with("”")) bare.remove_suffix(std::string_view("”").size());
  while (bare.ends_with('*')) bare.remove_suffix(1);
  const bool ended = bare.ends_with('.') || bare.ends_with('?') || bare.ends_with('!');
  if (!ended) text += '.';
  return text;
}

std::string with_articles(std::string_view text) {
  std::string result;
  const std::vector<std::string_view> words = split(text, ' ');
  for (size_t i = 0; i < words.size(); ++i) {
    if (i > 0) result += ' ';
    result += words[i];
    const bool vowel = i + 1 < words.size() && words[i + 1].find_first_of("aeio") == 0;
    if ((words[i] == "a" || words[i] == "A") && vowel) result += 'n';
  }
  return result;
}

std::string ordinal(int n) {
  const int tens = n % 100;
  const std::string_view end = tens >= 11 && tens <= 13 ? "th"
                               : n % 10 == 1            ? "st"
                               : n % 10 == 2            ? "nd"
                               : n % 10 == 3            ? "rd"
                                                        : "th";
  return std::to_string(n) + std::string(end);
}

}  // namespace ac::tasks
