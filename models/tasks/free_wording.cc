#include "models/tasks/free_wording.h"

#include <algorithm>
#include <array>
#include <vector>

#include "models/tasks/text.h"
#include "models/tasks/titles.h"

namespace ac::tasks {
namespace {

constexpr std::array<std::string_view, 8> kSources = {
    "title.adjective", "title.setting", "title.method", "topic.book",
    "quantity.of",     "quantity.what", "discipline",   "place.country"};
constexpr std::array<std::string_view, 16> kBetween = {"of",   "of",      "and",    "in",
                                                      "in",   "the",     "of the", "for",
                                                      "by",   "with",    "on",     "to",
                                                      "from", "between", "a",      "under"};
constexpr std::array<std::string_view, 19> kBetweenOfVenues = {
    "of",  "of", "of", "and", "and", "in",  "for", "of the", "on",  "of",
    "and", "of", "de", "der", "für", "et",  "di",  "y",      "de la"};
// What venues are called, whatever they are about.
constexpr std::array<std::string_view, 12> kVenueWords = {
    "Journal", "Review", "Annals", "Letters",     "Bulletin", "Proceedings",
    "Society", "Acta",   "Notes",  "Transactions", "Reports",  "Quarterly"};

template <class List>
std::string_view one_of(const List& list, Draw& draw) {
  return list[draw.below(std::size(list))];
}

// A word in small letters.
std::string content_word(Draw& draw) {
  if (draw.chance(0.1)) return lower(draw.term());
  const std::string entry = draw.word(one_of(kSources, draw));
  std::vector<std::string_view> words;
  for (const std::string_view word : split(entry, ' ')) {
    if (std::all_of(word.begin(), word.end(), is_letter)) words.push_back(word);
  }
  if (words.empty()) return lower(draw.term());
  return lower(words[draw.below(words.size())]);
}

std::string capitals(Draw& draw) {
  std::string text;
  for (int i = draw.range(2, 5); i > 0; --i) text += static_cast<char>('A' + draw.range(0, 25));
  return text;
}

std::string title_word(Draw& draw) {
  const double kind = draw.uniform();
  if (kind < 0.08) return "{" + headline_case(content_word(draw)) + "}";
  if (kind < 0.13) return "{" + capitals(draw) + "}";
  if (kind < 0.17) return "{" + draw.code() + "}";
  if (kind < 0.20) return std::to_string(draw.range(2, 2030));
  const std::string first = content_word(draw);
  return kind < 0.27 ? first + "-" + content_word(draw) : first;
}

std::string phrase(Draw& draw, int n_words) {
  std::string text = draw.chance(0.2) ? "the " : draw.chance(0.1) ? "a " : "";
  for (int i = 0; i < n_words; ++i) {
    if (i > 0) {
      if (draw.chance(0.07)) text += ',';
      text += ' ';
      if (draw.chance(0.35)) text += std::string(one_of(kBetween, draw)) + " ";
    }
    text += title_word(draw);
  }
  return text;
}

std::string venue_word(Draw& draw) {
  return draw.chance(0.3) ? std::string(one_of(kVenueWords, draw))
                          : headline_case(content_word(draw));
}

// "Physics" to "Phys.", short words as they are.
std::string abbreviated(const std::string& word, Draw& draw) {
  constexpr size_t kWhole = 5;
  const size_t kept = 3 + draw.below(3);
  const bool plain = std::all_of(word.begin(), word.end(), [](char c) {
    return is_letter(c) && static_cast<unsigned char>(c) < 0x80;
  });
  if (word.size() <= kWhole || kept >= word.size() || !plain) return word;
  return word.substr(0, kept) + ".";
}

}  // namespace

std::string free_title(Draw& draw) {
  const int n_words = draw.chance(0.15) ? draw.range(1, 2) : draw.range(2, 9);
  std::string text = phrase(draw, n_words);
  if (draw.chance(0.2)) text += ": " + phrase(draw, draw.range(1, 5));
  if (draw.chance(0.05)) text += '?';
  return text;
}

FreeVenue free_venue(Draw& draw) {
  FreeVenue venue;
  const int n_words = draw.chance(0.3) ? 1 : draw.range(2, 6);
  for (int i = 0; i < n_words; ++i) {
    if (i > 0) {
      const bool between = draw.chance(0.4);
      const std::string small = between ? std::string(one_of(kBetweenOfVenues, draw)) + " " : "";
      venue.name += " " + small;
      venue.abbreviation += ' ';
    }
    const std::string word = venue_word(draw);
    venue.name += word;
    venue.abbreviation += n_words == 1 ? word : abbreviated(word, draw);
  }
  return venue;
}

std::string free_organisation(Draw& draw) {
  constexpr std::array<std::string_view, 24> kBodies = {
      "Organization", "Organisation", "Institute",   "Agency",     "Council",   "Association",
      "Society",      "Committee",    "Ministry",    "Consortium", "Group",     "Center",
      "Centre",       "Commission",   "Foundation",  "University", "Department", "Office",
      "Bureau",       "Network",      "Union",       "Academy",    "Federation", "Programme"};
  std::vector<std::string> words;
  for (int i = draw.range(1, 3); i > 0; --i) words.push_back(headline_case(content_word(draw)));
  const std::string body(one_of(kBodies, draw));
  const std::string about = join(words, " ");
  if (draw.chance(0.5)) return about + " " + body;
  constexpr std::array<std::string_view, 4> kJoins = {" of ", " for ", " on ", " for the "};
  return body + std::string(one_of(kJoins, draw)) + about;
}

std::string free_publisher(Draw& draw) {
  constexpr std::array<std::string_view, 9> kPatterns = {
      "{a}",           "{a} {b}",           "{a} Press",  "{a} {b} Press",   "{a} & {b}",
      "{a} Publishing", "University of {a} Press", "{a} and Company", "The {a} Press"};
  const std::string a = headline_case(content_word(draw));
  const std::string b = headline_case(content_word(draw));
  return fill(one_of(kPatterns, draw), {{"a", a}, {"b", b}});
}

}  // namespace ac::tasks
