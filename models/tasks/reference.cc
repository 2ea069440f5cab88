#include "models/tasks/reference.h"

#include <algorithm>
#include <array>

#include "models/tasks/free_wording.h"
#include "models/tasks/text.h"
#include "models/tasks/titles.h"

namespace ac::tasks {
namespace {

constexpr double kFreeShare = 0.4;  // of respelled titles, venues and publishers, those of no pattern

// Not asked where words are listed: those tasks stay as they are.
bool is_free(Draw& draw) { return draw.is_respelled() && draw.chance(kFreeShare); }

constexpr std::array<std::string_view, kReferenceTypes> kTypeNames = {
    "article", "book", "chapter", "conference", "preprint", "thesis"};

// Codes keep their capitals: "KL-42 density" becomes "{KL-42} density".
std::string protected_codes(std::string_view quantity) {
  std::string text;
  for (const std::string_view word : split(quantity, ' ')) {
    if (!text.empty()) text += ' ';
    const bool is_code = std::any_of(word.begin(), word.end(), is_digit);
    text += is_code ? "{" + std::string(word) + "}" : std::string(word);
  }
  return text;
}

std::string draw_title(Draw& draw) {
  if (is_free(draw)) return free_title(draw);
  const std::vector<std::string> quantities = draw.quantities(2);
  const std::string lead =
      draw.filled("title.pattern", {{"a", protected_codes(quantities[0])},
                                    {"b", protected_codes(quantities[1])},
                                    {"setting", draw.word("title.setting")},
                                    {"method", draw.word("title.method")},
                                    {"adjective", draw.word("title.adjective")},
                                    {"term", draw.term()},
                                    {"country", "{" + draw.word("place.country") + "}"},
                                    {"acronym", "{" + draw.word("acronym") + "}"}});
  return with_articles(lead);
}

std::string draw_book_title(Draw& draw) {
  if (is_free(draw)) return free_title(draw);
  return with_articles(
      draw.filled("title.book", {{"topic", draw.word("topic.book")},
                                 {"setting", draw.word("title.setting")},
                                 {"adjective", draw.word("title.adjective")},
                                 {"country", "{" + draw.word("place.country") + "}"}}));
}

// Sets name and abbreviation of a journal. Topics come as "Plant Physiology|Plant Physiol.".
void draw_journal(Draw& draw, Reference& reference) {
  if (is_free(draw)) {
    FreeVenue venue = free_venue(draw);
    reference.container = std::move(venue.name);
    reference.container_short = std::move(venue.abbreviation);
    return;
  }
  const std::vector<std::string_view> topic = split(draw.word("journal.topic"), '|');
  const std::vector<std::string_view> shape = split(draw.word("journal.shape"), '|');
  AC_CHECK(topic.size() == 2 && shape.size() == 2);
  const std::string& city = draw.word("place.city");
  reference.container = fill(shape[0], {{"topic", topic[0]}, {"city", city}});
  reference.container_short = fill(shape[1], {{"topic", topic[1]}, {"city", city}});
}

std::string draw_publisher(Draw& draw) {
  if (is_free(draw)) return free_publisher(draw);
  const std::string first = draw_family(draw);
  std::string second = draw_family(draw);
  while (second == first) second = draw_family(draw);
  return draw.filled("publisher.pattern",
                     {{"city", draw.word("place.city")}, {"name", first}, {"other", second}});
}

void draw_pages(Draw& draw, Reference& reference) {
  const int first = draw.chance(0.2) ? draw.range(1, 99) : draw.range(100, 1980);
  reference.first_page = std::to_string(first);
  if (draw.chance(0.03)) return;
  reference.last_page = std::to_string(first + draw.range(2, draw.chance(0.8) ? 24 : 160));
}

// What publishers put behind the slash, as they like: "nature14539", "1914185", "j.cell.2011.02.013".
std::string free_doi_suffix(Draw& draw) {
  constexpr std::string_view kBetween = ".-_";
  std::string text;
  const int n_parts = draw.range(1, 4);
  for (int i = 0; i < n_parts; ++i) {
    if (i > 0 && draw.chance(0.85)) text += kBetween[draw.below(kBetween.size())];
    if (draw.chance(0.4)) {
      const bool capitals = draw.chance(0.25);
      for (int n = draw.range(1, 10); n > 0; --n) {
        const char letter = static_cast<char>('a' + draw.range(0, 25));
        text += capitals && n % 3 == 0 ? upper(letter) : letter;
      }
    } else {
      for (int n = draw.range(1, 8); n > 0; --n) text += static_cast<char>('0' + draw.range(0, 9));
    }
  }
  return text;
}

std::string draw_doi(Draw& draw) {
  if (is_free(draw)) {
    const std::string registrant = std::to_string(draw.range(1000, draw.chance(0.8) ? 9999 : 99999));
    return "10." + registrant + "/" + free_doi_suffix(draw);
  }
  std::string doi = "10." + std::to_string(draw.range(1000, 9999)) + "/";
  const int shape = draw.range(0, 2);
  // One number a statement: the parts of a sum are drawn in no certain order.
  const auto append = [&](char sign, int low, int high) {
    doi += sign + std::to_string(draw.range(low, high));
  };
  if (shape == 0) {
    doi += lower(draw.term());
    append('.', 100, 99999);
  } else if (shape == 1) {
    for (int i = draw.range(2, 4); i > 0; --i) doi += static_cast<char>('a' + draw.range(0, 25));
    append('.', 2001, 2024);
    append('.', 10, 9999);
  } else {
    append('s', 10000, 99999);
    append('-', 10, 999);
    append('-', 1000, 9999);
  }
  return doi;
}

// Mostly a few; the tail that the et-al rules are about grows with the level.
size_t draw_n_authors(Draw& draw, const ReferenceOptions& options) {
  const double u = draw.uniform();
  int n = 1;
  if (u < 0.9 - 0.25 * options.level) {
    n = draw.range(1, 4);
  } else if (u < 0.985 - 0.035 * options.level) {
    n = draw.range(3, 8);
  } else {
    n = draw.range(7, 25);
  }
  return static_cast<size_t>(std::min(n, options.max_authors));
}

ReferenceType draw_type(Draw& draw, bool short_record) {
  const double u = draw.uniform();
  if (u < (short_record ? 0.6 : 0.5)) return ReferenceType::kArticle;
  if (u < 0.66 || short_record) return ReferenceType::kBook;
  if (u < 0.77) return ReferenceType::kChapter;
  if (u < 0.86) return ReferenceType::kConference;
  if (u < 0.93) return ReferenceType::kPreprint;
  return ReferenceType::kThesis;
}

void draw_place_and_publisher(Draw& draw, Reference& reference, double level) {
  reference.publisher = draw_publisher(draw);
  if (!draw.chance(0.15 * level)) reference.place = draw.word("place.city");
  // Two styles are cities, too.
  if (draw.is_respelled() && draw.chance(0.04)) {
    const std::string city = draw.chance(0.7) ? "Chicago" : "Vancouver";
    if (draw.chance(0.5)) reference.publisher = (draw.chance(0.5) ? "University of " + city : city) + " Press";
    if (draw.chance(0.7)) reference.place = city;
  }
}

// Numbers as periodicals have them: years as volumes, issues counted from the first one on.
void widen_numbers(Draw& draw, Reference& reference) {
  if (!draw.is_respelled()) return;
  if (draw.chance(0.1)) reference.volume = std::to_string(draw.range(100, 2030));
  if (!reference.issue.empty() && draw.chance(0.25)) {
    reference.issue = std::to_string(draw.range(25, draw.chance(0.4) ? 400 : 9999));
  }
  if (!reference.last_page.empty() && draw.chance(0.15)) {
    const int first = draw.range(1000, 29999);
    reference.first_page = std::to_string(first);
    reference.last_page = std::to_string(first + draw.range(1, 30));
  }
}

}  // namespace

std::string_view reference_type_name(ReferenceType type) {
  return kTypeNames[static_cast<size_t>(type)];
}

Reference draw_reference(Draw& draw, const ReferenceOptions& options) {
  const double level = options.level;
  Reference reference;
  reference.type = options.type ? *options.type : draw_type(draw, options.short_record);
  const bool is_thesis = reference.type == ReferenceType::kThesis;

  PeopleOptions people{.particle = 0.04 + 0.16 * level,
                       .suffix = 0.01 + 0.08 * level,
                       .one_name = 0.02 * level,
                       .initials = draw.chance(draw.is_respelled() ? 0.25 : 0.15)};
  size_t n_authors = is_thesis ? 1 : draw_n_authors(draw, options);
  if (options.short_record) n_authors = std::min<size_t>(n_authors, 3);
  const bool may_be_organisation =
      reference.type == ReferenceType::kArticle || reference.type == ReferenceType::kBook;
  if (may_be_organisation && n_authors == 1 && draw.chance(0.02 + 0.2 * level)) {
    reference.authors = {draw_organisation(draw)};
    if (is_free(draw)) reference.authors[0].family = free_organisation(draw);
  } else {
    reference.authors = draw_people(draw, n_authors, people);
  }
  if (!draw.chance(0.1 * level)) reference.year = draw.range(1961, 2025);
  reference.title =
      reference.type == ReferenceType::kBook ? draw_book_title(draw) : draw_title(draw);
  const bool has_doi = !options.short_record && draw.chance(0.65);
  switch (reference.type) {
    case ReferenceType::kArticle:
      draw_journal(draw, reference);
      if (draw.chance(0.5)) reference.container_short.clear();
      reference.volume = std::to_string(draw.range(1, draw.chance(0.7) ? 99 : 420));
      if (draw.chance(0.75)) reference.issue = std::to_string(draw.range(1, 24));
      if (!draw.chance(0.15 * level)) draw_pages(draw, reference);
      widen_numbers(draw, reference);
      if (has_doi) reference.doi = draw_doi(draw);
      break;
    case ReferenceType::kBook:
      draw_place_and_publisher(draw, reference, level);
      if (draw.chance(0.3)) reference.edition = draw.range(2, 12);
      break;
    case ReferenceType::kChapter: {
      reference.container = draw_book_title(draw);
      PeopleOptions of_editors = people;
      of_editors.one_name = 0;
      of_editors.suffix = 0;
      do {
        reference.editors = draw_people(draw, static_cast<size_t>(draw.range(1, 3)), of_editors);
      } while (reference.editors[0].family == reference.authors[0].family);
      draw_place_and_publisher(draw, reference, level);
      if (!draw.chance(0.1 * level)) draw_pages(draw, reference);
      break;
    }
    case ReferenceType::kConference: {
      if (is_free(draw)) {
        reference.container = free_venue(draw).name;
      } else {
        const std::vector<std::string_view> topic = split(draw.word("journal.topic"), '|');
        reference.container = draw.filled("conference.pattern", {{"topic", topic[0]}});
      }
      draw_place_and_publisher(draw, reference, level);
      if (!draw.chance(0.1 * level)) draw_pages(draw, reference);
      if (has_doi) reference.doi = draw_doi(draw);
      break;
    }
    case ReferenceType::kPreprint:
      reference.container = draw.word("preprint.server");
      if (reference.year) reference.year = draw.range(2013, 2025);
      reference.doi = draw_doi(draw);
      break;
    case ReferenceType::kThesis:
      reference.publisher = draw.filled("university.pattern", {{"city", draw.word("place.city")}});
      reference.place = draw.word("place.city");
      reference.doctoral = draw.chance(0.7);
      break;
  }
  return reference;
}

}  // namespace ac::tasks
