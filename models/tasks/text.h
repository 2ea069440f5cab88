// Small pieces of text work that generators and checkers share.
#pragma once

#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ac::tasks {

std::string_view trim(std::string_view text);
// Without the line ends; "a\n" is one line.
std::vector<std::string_view> split_lines(std::string_view text);
std::vector<std::string_view> split(std::string_view text, char separator);

using Slots = std::initializer_list<std::pair<std::string_view, std::string_view>>;
// "{name}" replaced by the slot's value. What is filled in is not looked at again.
// REQUIRES: every {name} of the pattern is among the slots.
std::string fill(std::string_view pattern, Slots slots);

// "a", "a and b", "a, b and c" for joins {", ", " and ", " and "}: `pair` between two alone, `last`
// before the last of three or more.
struct Joins {
  std::string_view comma = ", ";
  std::string_view pair = " and ";
  std::string_view last = " and ";
};
std::string join(std::span<const std::string> parts, const Joins& joins);
std::string join(std::span<const std::string> parts, std::string_view comma);

// ASCII only; other bytes stay.
char lower(char c);
char upper(char c);
std::string lower(std::string_view text);
std::string capitalised(std::string_view text);
bool is_digit(char c);
bool is_ascii_letter(char c);
bool is_letter(char c);  // ASCII letters and every byte of a multi-byte character

// The first character, all of its bytes.
std::string_view first_character(std::string_view text);
std::string without(std::string_view text, char c);
std::string replaced(std::string_view text, std::string_view from, std::string_view to);

std::string ordinal(int n);  // "2nd"

// "a emergent" becomes "an emergent".
std::string with_articles(std::string_view text);

// Adds "." unless the text ends in . ? or !, also inside a closing quote or emphasis.
std::string with_period(std::string text);

}  // namespace ac::tasks
