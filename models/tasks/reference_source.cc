// What people paste: a BibTeX entry, an RIS record, a typed line, a copied page head, or labels.
// Everything a style needs is there, and things that no style prints.
#include <algorithm>
#include <array>

#include "models/tasks/reference.h"
#include "models/tasks/text.h"
#include "models/tasks/titles.h"

namespace ac::tasks {
namespace {

constexpr std::array<std::string_view, kSourceFormats> kFormatNames = {"bibtex", "ris", "line",
                                                                       "page", "labels"};

std::string cased(std::string_view title, TitleCase title_case) {
  return title_case == TitleCase::kHeadline ? headline_case(title) : sentence_case(title, true);
}

// Whether a title in headline case says which words keep their capitals: a country looks like any other word
// there; digits and capitals beyond the first speak for themselves ("DNA", "B7").
bool may_be_headline(std::string_view title) {
  size_t open = title.find('{');
  while (open != std::string_view::npos) {
    const size_t close = title.find('}', open);
    const std::string_view word = title.substr(open + 1, close - open - 1);
    const auto is_capital = [](char c) { return c >= 'A' && c <= 'Z'; };
    const bool speaks = std::any_of(word.begin(), word.end(), is_digit) ||
                        std::count_if(word.begin(), word.end(), is_capital) >= 2;
    if (!speaks) return false;
    open = title.find('{', close);
  }
  return true;
}

// A book's title is mostly cased as the chapter's is; in training not always.
std::string cased_book(Draw& draw, const Reference& reference, TitleCase title_case) {
  if (draw.is_respelled() && draw.chance(0.3) && may_be_headline(reference.container)) {
    title_case = title_case == TitleCase::kHeadline ? TitleCase::kSentence : TitleCase::kHeadline;
  }
  return cased(reference.container, title_case);
}

std::string pages(const Reference& reference, std::string_view dash) {
  if (reference.last_page.empty()) return reference.first_page;
  return reference.first_page + std::string(dash) + reference.last_page;
}

// BibTeX puts the suffix in the middle, RIS at the end.
std::string inverted(const Person& person, bool suffix_last) {
  if (person.given.empty()) return person.family;
  if (person.suffix.empty()) return person.family + ", " + person.given;
  return suffix_last ? person.family + ", " + person.given + ", " + person.suffix
                     : person.family + ", " + person.suffix + ", " + person.given;
}

// Families of BibTeX: an organisation needs braces so that "and" in it joins no authors.
std::string bibtex_names(const std::vector<Person>& people, bool invert) {
  std::vector<std::string> names;
  for (const Person& person : people) {
    if (person.organisation) {
      names.push_back("{" + person.family + "}");
    } else {
      // Only "Last, Jr., First" carries a suffix in BibTeX.
      names.push_back(invert || !person.suffix.empty() ? inverted(person, false)
                                                       : natural_name(person));
    }
  }
  return join(names, " and ");
}

std::vector<std::string> natural_names(const std::vector<Person>& people) {
  std::vector<std::string> names;
  for (const Person& person : people) names.push_back(natural_name(person));
  return names;
}

bool has_initials_alone(const Person& person) {
  const std::vector<std::string_view> names = split(person.given, ' ');
  // Without its hyphen "J.-P." could not be told from "J. P.".
  return !person.organisation && person.suffix.empty() &&
         person.given.find('-') == std::string::npos &&
         std::all_of(names.begin(), names.end(),
                     [](std::string_view name) { return name.ends_with('.'); });
}

// "Watson JD" or "Watson, J. D.", as in the reference lists that people copy from.
std::vector<std::string> listed_names(const std::vector<Person>& people, bool with_comma) {
  std::vector<std::string> names;
  for (const Person& person : people) {
    names.push_back(with_comma ? inverted(person, true)
                               : person.family + " " + initials(person.given, {.dots = false}));
  }
  return names;
}

// How names stand in a typed line; in training, initials behind the family name too.
std::vector<std::string> typed_names(Draw& draw, const std::vector<Person>& people) {
  const bool is_listed = draw.is_respelled() &&
                         std::all_of(people.begin(), people.end(), has_initials_alone) &&
                         draw.chance(0.6);
  return is_listed ? listed_names(people, draw.chance(0.3)) : natural_names(people);
}

std::string ascii_key(Draw& draw, const Reference& reference) {
  std::string key;
  for (const char c : lower(reference.authors[0].family)) {
    if (c >= 'a' && c <= 'z' && key.size() < 10) key += c;
  }
  key += reference.year ? std::to_string(*reference.year % 100 + 100).substr(1) : "nd";
  if (draw.chance(0.4)) key += static_cast<char>('a' + draw.range(0, 2));
  return key;
}

struct Entry {
  std::string key;
  std::string value;
};

void add(std::vector<Entry>& entries, std::string_view key, std::string value) {
  if (!value.empty()) entries.push_back({std::string(key), std::move(value)});
}

// Fields that no style prints, "key|value" in the data; none twice.
void add_distractors(Draw& draw, std::vector<Entry>& entries, std::string_view list, int n) {
  for (int i = 0; i < n; ++i) {
    const std::vector<std::string_view> parts = split(draw.word(list), '|');
    AC_CHECK(parts.size() == 2);
    const bool there = std::any_of(entries.begin(), entries.end(),
                                   [&](const Entry& entry) { return entry.key == parts[0]; });
    const std::string number = std::to_string(draw.range(1000, 9999));
    const std::string& topic = draw.word("topic.book");
    if (!there) add(entries, parts[0], fill(parts[1], {{"n", number}, {"topic", topic}}));
  }
}

std::string bibtex(Draw& draw, const Reference& reference, TitleCase title_case,
                   int n_distractors) {
  constexpr std::array<std::string_view, kReferenceTypes> kEntryTypes = {
      "article", "book", "incollection", "inproceedings", "misc", "phdthesis"};
  std::string_view type = kEntryTypes[static_cast<size_t>(reference.type)];
  if (reference.type == ReferenceType::kThesis && !reference.doctoral) type = "mastersthesis";

  std::vector<Entry> entries;
  add(entries, "author", bibtex_names(reference.authors, draw.chance(0.6)));
  add(entries, "title", cased(reference.title, title_case));
  if (reference.year) add(entries, "year", std::to_string(*reference.year));
  switch (reference.type) {
    case ReferenceType::kArticle:
      add(entries, "journal", reference.container);
      add(entries, "shortjournal", reference.container_short);
      add(entries, "volume", reference.volume);
      add(entries, "number", reference.issue);
      break;
    case ReferenceType::kChapter:
      add(entries, "editor", bibtex_names(reference.editors, draw.chance(0.6)));
      [[fallthrough]];
    case ReferenceType::kConference:
      add(entries, "booktitle",
          reference.type == ReferenceType::kChapter ? cased_book(draw, reference, title_case)
                                                    : reference.container);
      [[fallthrough]];
    case ReferenceType::kBook:
      add(entries, "publisher", reference.publisher);
      add(entries, "address", reference.place);
      if (reference.edition > 1) add(entries, "edition", ordinal(reference.edition));
      break;
    case ReferenceType::kPreprint:
      add(entries, "howpublished", reference.container + " preprint");
      break;
    case ReferenceType::kThesis:
      add(entries, "school", reference.publisher);
      add(entries, "address", reference.place);
      break;
  }
  add(entries, "pages", pages(reference, draw.chance(0.8) ? "--" : "-"));
  add(entries, "doi", reference.doi);
  add_distractors(draw, entries, "distractor.bibtex", n_distractors);
  if (draw.chance(0.5)) draw.shuffle(entries);
  const bool quotes = draw.chance(0.15);
  const std::string_view pad = draw.chance(0.7) ? "  " : "";
  const std::string_view equals = draw.chance(0.7) ? " = " : "=";
  std::string text = "@" + std::string(type) + "{" + ascii_key(draw, reference) + ",\n";
  for (const Entry& entry : entries) {
    text += std::string(pad) + entry.key + std::string(equals) + (quotes ? "\"" : "{") +
            entry.value + (quotes ? "\"" : "}") + ",\n";
  }
  return text + "}";
}

std::string ris(Draw& draw, const Reference& reference, TitleCase title_case, int n_distractors) {
  constexpr std::array<std::string_view, kReferenceTypes> kEntryTypes = {"JOUR",   "BOOK", "CHAP",
                                                                         "CPAPER", "UNPB", "THES"};
  std::vector<Entry> entries;
  add(entries, "TI", unbraced(cased(reference.title, title_case)));
  switch (reference.type) {
    case ReferenceType::kArticle:
      add(entries, draw.chance(0.5) ? "JO" : "T2", reference.container);
      add(entries, "J2", reference.container_short);
      break;
    case ReferenceType::kChapter:
      add(entries, "T2", unbraced(cased_book(draw, reference, title_case)));
      break;
    case ReferenceType::kConference:
      add(entries, "T2", reference.container);
      break;
    case ReferenceType::kPreprint:
      add(entries, "M3", "Preprint");
      add(entries, "PB", reference.container);
      break;
    case ReferenceType::kThesis:
      add(entries, "M3", reference.doctoral ? "Doctoral dissertation" : "Master's thesis");
      [[fallthrough]];
    case ReferenceType::kBook:
      break;
  }
  add(entries, "VL", reference.volume);
  add(entries, "IS", reference.issue);
  if (reference.edition > 1) add(entries, "ET", ordinal(reference.edition));
  add(entries, "SP", reference.first_page);
  add(entries, "EP", reference.last_page);
  if (reference.year) {
    add(entries, "PY", std::to_string(*reference.year) + (draw.chance(0.2) ? "///" : ""));
  }
  if (reference.type != ReferenceType::kPreprint) add(entries, "PB", reference.publisher);
  add(entries, "CY", reference.place);
  add(entries, "DO",
      (draw.chance(0.3) && !reference.doi.empty() ? "https://doi.org/" : "") + reference.doi);
  add_distractors(draw, entries, "distractor.ris", n_distractors);
  if (draw.chance(0.4)) draw.shuffle(entries);
  std::vector<Entry> people;
  for (const Person& person : reference.authors) add(people, "AU", inverted(person, true));
  for (const Person& person : reference.editors) add(people, "A2", inverted(person, true));
  const bool people_first = draw.chance(0.7);
  std::string text =
      "TY  - " + std::string(kEntryTypes[static_cast<size_t>(reference.type)]) + "\n";
  if (people_first) {
    for (const Entry& entry : people) text += entry.key + "  - " + entry.value + "\n";
  }
  for (const Entry& entry : entries) text += entry.key + "  - " + entry.value + "\n";
  if (!people_first) {
    for (const Entry& entry : people) text += entry.key + "  - " + entry.value + "\n";
  }
  return text + "ER  -";
}

std::string printed_doi(Draw& draw, const std::string& doi) {
  constexpr std::array<std::string_view, 4> kPrefixes = {"doi:", "doi ", "https://doi.org/",
                                                         "DOI: "};
  return std::string(kPrefixes[draw.below(kPrefixes.size())]) + doi;
}

// What follows the title in a typed line or under a page's head.
std::vector<std::string> place_parts(Draw& draw, const Reference& reference, TitleCase title_case,
                                     bool long_words) {
  std::vector<std::string> parts;
  const auto add_part = [&](std::string text) { parts.push_back(std::move(text)); };
  const std::string_view dash = long_words ? "–" : "-";
  switch (reference.type) {
    case ReferenceType::kArticle:
      add_part(reference.container);
      if (!reference.container_short.empty())
        parts.back() += " (" + reference.container_short + ")";
      if (long_words) {
        add_part("Volume " + reference.volume);
        if (!reference.issue.empty()) add_part("Issue " + reference.issue);
      } else if (draw.is_respelled() && draw.chance(0.3)) {  // as some type it, for training
        add_part((draw.chance(0.5) ? "volume " : "vol. ") + reference.volume);
        if (!reference.issue.empty()) {
          add_part((draw.chance(0.5) ? "issue " : draw.chance(0.5) ? "no. " : "number ") + reference.issue);
        }
      } else {
        parts.back() += (draw.chance(0.5) ? " " : ", vol. ") + reference.volume;
        if (!reference.issue.empty()) parts.back() += "(" + reference.issue + ")";
      }
      break;
    case ReferenceType::kChapter:
      add_part("in: " + unbraced(cased_book(draw, reference, title_case)));
      add_part((reference.editors.size() > 1 ? "eds. " : "ed. ") +
               join(natural_names(reference.editors), {", ", " and ", " and "}));
      break;
    case ReferenceType::kConference:
      add_part("in " + reference.container);
      break;
    case ReferenceType::kPreprint:
      add_part(reference.container + " preprint");
      break;
    case ReferenceType::kThesis:
      add_part(reference.doctoral ? "PhD thesis" : "Master's thesis");
      break;
    case ReferenceType::kBook:
      if (reference.edition > 1) add_part(ordinal(reference.edition) + " edition");
      break;
  }
  if (!reference.publisher.empty()) {
    add_part(reference.publisher);
    if (!reference.place.empty()) add_part(reference.place);
  }
  if (!reference.first_page.empty()) {
    const bool one = reference.last_page.empty();
    add_part((long_words ? (one ? "Page " : "Pages ") : (one ? "p. " : "pp. ")) +
             pages(reference, dash));
  }
  return parts;
}

std::string typed_line(Draw& draw, const Reference& reference, TitleCase title_case) {
  const std::string title = unbraced(cased(reference.title, title_case));
  const std::vector<std::string> authors = typed_names(draw, reference.authors);
  const std::string names =
      join(authors, draw.chance(0.5) ? Joins{", ", " & ", " & "} : Joins{", ", " and ", ", "});
  const std::string year = reference.year ? std::to_string(*reference.year) : "";
  const std::vector<std::string> rest = place_parts(draw, reference, title_case, false);
  std::string text;
  // Without a year between them nothing would say where the names end and the title begins.
  const int shape = draw.range(year.empty() ? 1 : 0, 2);
  if (shape == 0) {
    text = names + " (" + year + ") " + title;
  } else if (shape == 1) {
    text = names + ": " + title;
  } else {
    text = names + ", \"" + title + "\"";
  }
  if (!rest.empty()) text += (title.ends_with('?') && shape != 2 ? " " : ", ") + join(rest, ", ");
  if (shape != 0 && !year.empty()) text += (draw.chance(0.5) ? " (" + year + ")" : ", " + year);
  if (!reference.doi.empty()) text += ", " + printed_doi(draw, reference.doi);
  return text;
}

std::string page_head(Draw& draw, const Reference& reference, TitleCase title_case,
                      int n_distractors) {
  std::string text = unbraced(cased(reference.title, title_case)) + "\n" +
                     join(natural_names(reference.authors), draw.chance(0.6) ? ", " : "; ") + "\n";
  std::vector<std::string> rest = place_parts(draw, reference, title_case, true);
  if (reference.year) rest.push_back(std::to_string(*reference.year));
  text += join(rest, draw.chance(0.5) ? ", " : " | ");
  if (!reference.doi.empty()) text += "\n" + printed_doi(draw, reference.doi);
  for (int i = 0; i < n_distractors; ++i) {
    const std::string junk =
        draw.filled("distractor.page", {{"n", std::to_string(draw.range(10, 999))}});
    if (text.find(junk) == std::string::npos) text += "\n" + junk;
  }
  return text;
}

std::string labelled(Draw& draw, const Reference& reference, TitleCase title_case,
                     int n_distractors) {
  std::vector<Entry> entries;
  add(entries, reference.authors.size() == 1 ? "author" : "authors",
      join(natural_names(reference.authors), "; "));
  add(entries, "title", unbraced(cased(reference.title, title_case)));
  switch (reference.type) {
    case ReferenceType::kArticle:
      add(entries, "journal", reference.container);
      add(entries, "short journal title", reference.container_short);
      break;
    case ReferenceType::kChapter:
      add(entries, "book", unbraced(cased_book(draw, reference, title_case)));
      add(entries, reference.editors.size() == 1 ? "editor" : "editors",
          join(natural_names(reference.editors), "; "));
      break;
    case ReferenceType::kConference:
      add(entries, "conference", reference.container);
      break;
    case ReferenceType::kPreprint:
      add(entries, "preprint server", reference.container);
      break;
    case ReferenceType::kThesis:
      add(entries, "type", reference.doctoral ? "PhD thesis" : "Master's thesis");
      break;
    case ReferenceType::kBook:
      break;
  }
  add(entries, "volume", reference.volume);
  add(entries, "issue", reference.issue);
  if (reference.edition > 1) add(entries, "edition", std::to_string(reference.edition));
  add(entries, "pages", pages(reference, draw.chance(0.5) ? "-" : "–"));
  if (reference.year) add(entries, "year", std::to_string(*reference.year));
  add(entries, reference.type == ReferenceType::kThesis ? "university" : "publisher",
      reference.publisher);
  add(entries, "place", reference.place);
  add(entries, "doi", reference.doi);
  add_distractors(draw, entries, "distractor.label", n_distractors);
  if (draw.chance(0.5)) draw.shuffle(entries);
  const bool one_line =
      draw.chance(0.35) && reference.authors.size() == 1 && reference.editors.size() <= 1;
  std::string text;
  for (const Entry& entry : entries) {
    if (!text.empty()) text += one_line ? "; " : "\n";
    text += entry.key + ": " + entry.value;
  }
  return text;
}

}  // namespace

std::string_view source_format_name(SourceFormat format) {
  return kFormatNames[static_cast<size_t>(format)];
}

bool can_print(const Reference& reference, SourceFormat format, TitleCase title_case) {
  if (title_case == TitleCase::kSentence || format == SourceFormat::kBibtex) return true;
  return may_be_headline(reference.title) && may_be_headline(reference.container);
}

std::string print_source(Draw& draw, const Reference& reference, SourceFormat format,
                         TitleCase title_case, int n_distractors) {
  switch (format) {
    case SourceFormat::kBibtex:
      return bibtex(draw, reference, title_case, n_distractors);
    case SourceFormat::kRis:
      return ris(draw, reference, title_case, n_distractors);
    case SourceFormat::kLine:
      return typed_line(draw, reference, title_case);
    case SourceFormat::kPage:
      return page_head(draw, reference, title_case, n_distractors);
    case SourceFormat::kLabels:
      return labelled(draw, reference, title_case, n_distractors);
  }
  AC_CHECK(false);
}

}  // namespace ac::tasks
