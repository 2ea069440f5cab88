// The Chicago Manual of Style, 17th edition (2017), author-date system, chapter 15.
//
//  * Authors: first one family name first, others as they are spoken, "and" before the last; up to
//  ten
//    all named, from eleven the first seven, et al. (15.9). Year after the names, n.d. without one.
//  * Titles as headlines; whole works in italics, parts in quotation marks, period inside them.
//  * Journal: *Journal* 12 (3): 321–28. Page ranges shortened by 9.61. DOI as a link with a period.
//  * Book: 2nd ed. Place: Publisher. Chapter: In *Book*, edited by A B and C D, 12–34. Place:
//  Publisher.
//  * Thesis: “Title.” PhD diss., University. Preprint: “Title.” Preprint, server.
//  * In text: (Okafor 2020, 45); two and three named, from four the first, et al. (15.29).
#include "models/tasks/style.h"
#include "models/tasks/style_parts.h"

namespace ac::tasks {
namespace {

constexpr Joins kAnd = {", ", " and ", ", and "};

std::string headline(std::string_view title) { return unbraced(headline_case(title)); }

std::string author_list(const std::vector<Person>& authors) {
  constexpr size_t kAll = 10;
  constexpr size_t kFirst = 7;
  std::vector<std::string> names = names_of(authors, natural_name);
  names[0] = family_first(authors[0]);
  if (names.size() > kAll) {
    names.resize(kFirst);
    return join(names, ", ") + ", et al.";
  }
  return with_period(join(names, {", ", ", and ", ", and "}));
}

std::string place_and_publisher(const Reference& reference) {
  return (reference.place.empty() ? "" : reference.place + ": ") + with_period(reference.publisher);
}

}  // namespace

std::string format_chicago(const Reference& reference) {
  std::string text = author_list(reference.authors) + " ";
  text += with_period(reference.year ? std::to_string(*reference.year) : "n.d.") + " ";
  const std::string title = headline(reference.title);
  const std::string pages = page_range(reference, PageRange::kChicago, "–");
  switch (reference.type) {
    case ReferenceType::kArticle:
      text += quoted_with(title, '.') + " " + italics(reference.container) + " " + reference.volume;
      if (!reference.issue.empty()) text += " (" + reference.issue + ")";
      if (!pages.empty()) text += ": " + pages;
      text += ".";
      break;
    case ReferenceType::kBook:
      text += with_period(italics(title)) + " ";
      if (reference.edition > 1) text += ordinal(reference.edition) + " ed. ";
      text += place_and_publisher(reference);
      break;
    case ReferenceType::kChapter:
      text += quoted_with(title, '.') + " In " + italics(headline(reference.container)) +
              ", edited by " + join(names_of(reference.editors, natural_name), kAnd);
      text = with_period(text + (pages.empty() ? "" : ", " + pages)) + " " +
             place_and_publisher(reference);
      break;
    case ReferenceType::kConference:
      text += quoted_with(title, '.') + " In " + italics(reference.container);
      text = with_period(text + (pages.empty() ? "" : ", " + pages)) + " " +
             place_and_publisher(reference);
      break;
    case ReferenceType::kPreprint:
      text += quoted_with(title, '.') + " Preprint, " + with_period(reference.container);
      break;
    case ReferenceType::kThesis:
      text += quoted_with(title, '.') +
              (reference.doctoral ? " PhD diss., " : " Master’s thesis, ") +
              with_period(reference.publisher);
      break;
  }
  if (!reference.doi.empty()) text += " https://doi.org/" + reference.doi + ".";
  return text;
}

std::string cite_chicago(const InText& citation) {
  constexpr size_t kAll = 3;
  const Reference& reference = *citation.reference;
  std::vector<std::string> families;
  for (const Person& person : reference.authors) families.push_back(person.family);
  std::string text =
      "(" + (families.size() > kAll ? families[0] + " et al." : join(families, kAnd));
  text += " " + (reference.year ? std::to_string(*reference.year) : "n.d.");
  if (!citation.page.empty()) text += ", " + citation.page;
  return text + ")";
}

}  // namespace ac::tasks
