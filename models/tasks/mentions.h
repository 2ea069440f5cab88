// Finding names, words and numbers in an answer: what the tolerant checkers are made of.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ac::tasks {

struct Pattern {
  std::string text;
  int id = 0;
};
struct Mention {
  size_t begin = 0;
  size_t end = 0;
  int id = 0;
};
// Whole words, ASCII case ignored, the longest pattern at each place, left to right, no overlaps.
std::vector<Mention> find_mentions(std::string_view text, std::span<const Pattern> patterns);

// Which way something goes, in the words of the data (direction.*).
enum Direction : int { kFalls = -1, kNoChange = 0, kRises = 1 };
// "rises", "no effect", "not increase" (which is kNoChange).
// Not inside `names`, which may hold such words ("lower lake", "well bottom").
std::vector<Mention> find_directions(std::string_view text, std::span<const Mention> names);
// Whether a word of the data's list (one for all splits) stands outside `names`.
bool has_any(std::string_view text, std::string_view word_list, std::span<const Mention> names);

struct Number {
  size_t begin = 0;
  size_t end = 0;
  std::string_view text;  // digits, perhaps with a fraction and a minus
};
// Numbers outside the mentions (names may hold digits).
std::vector<Number> find_numbers(std::string_view text, std::span<const Mention> mentions);
// Equal as decimal numbers: "5" and "5.0".
bool same_number(std::string_view a, std::string_view b);

// Lines, sentences and parts between semicolons. "et al. (2019)" stays together.
std::vector<std::string_view> clauses(std::string_view text);

// Markdown emphasis and list bullets, which carry no facts.
std::string without_markup(std::string_view text);

}  // namespace ac::tasks
