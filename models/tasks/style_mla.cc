// MLA Handbook, 9th edition (2021), chapters 5 and 6.
//
//  * Authors: first one family name first, given names as the source has them; two joined by "and",
//    from three on the first, et al. (5.6 to 5.8). Suffix after the given name: King, Martin
//    Luther, Jr.
//  * Titles as headlines; whole works in italics, parts in quotation marks, period inside them.
//  * Containers: *Journal*, vol. 1, no. 2, 2020, pp. 225–50, DOI as a link. A missing date is left
//  out.
//    Page ranges shortened to two digits above 99 (5.87).
//  * Book: *Title*. 2nd ed., Publisher, year. University Press becomes UP, other University U
//  (5.64).
//    Chapter: *Book*, edited by A B and C D, Publisher, year, pp. 1–20. Three editors: A B et al.
//  * Thesis: *Title*. Year. University, PhD dissertation.
//  * In text: (Okafor 45), (Okafor and Lind 45), (Okafor et al. 45); no year (6.2 to 6.5).
#include "models/tasks/style.h"
#include "models/tasks/style_parts.h"

namespace ac::tasks {
namespace {

std::string headline(std::string_view title) { return unbraced(headline_case(title)); }

std::string author_list(const std::vector<Person>& authors) {
  std::string text = family_first(authors[0]);
  if (authors.size() == 2) text += ", and " + natural_name(authors[1]);
  if (authors.size() > 2) text += ", et al.";
  return with_period(text);
}

std::string publisher_name(std::string_view name) {
  return replaced(replaced(name, "University Press", "UP"), "University", "U");
}

std::string edited_by(const std::vector<Person>& editors) {
  std::string text = "edited by " + natural_name(editors[0]);
  if (editors.size() == 2) text += " and " + natural_name(editors[1]);
  if (editors.size() > 2) text += " et al.";
  return text;
}

}  // namespace

std::string format_mla(const Reference& reference) {
  std::string text = author_list(reference.authors) + " ";
  std::string title = headline(reference.title);
  const std::string year = reference.year ? std::to_string(*reference.year) : "";
  const std::string range = page_range(reference, PageRange::kTwoDigits, "–");
  const std::string pages =
      range.empty() ? "" : (reference.last_page.empty() ? "p. " : "pp. ") + range;

  std::vector<std::string> container;  // its parts, between commas
  const auto add = [&](std::string part) {
    if (!part.empty()) container.push_back(std::move(part));
  };
  switch (reference.type) {
    case ReferenceType::kArticle:
      text += quoted_with(title, '.') + " ";
      add(italics(reference.container));
      add("vol. " + reference.volume);
      if (!reference.issue.empty()) add("no. " + reference.issue);
      add(year);
      add(pages);
      break;
    case ReferenceType::kBook:
      text += with_period(italics(title)) + " ";
      if (reference.edition > 1) add(ordinal(reference.edition) + " ed.");
      add(publisher_name(reference.publisher));
      add(year);
      break;
    case ReferenceType::kChapter:
      text += quoted_with(title, '.') + " ";
      add(italics(headline(reference.container)));
      add(edited_by(reference.editors));
      add(publisher_name(reference.publisher));
      add(year);
      add(pages);
      break;
    case ReferenceType::kConference:
      text += quoted_with(title, '.') + " ";
      add(italics(reference.container));
      add(publisher_name(reference.publisher));
      add(year);
      add(pages);
      break;
    case ReferenceType::kPreprint:
      text += quoted_with(title, '.') + " ";
      add(italics(reference.container));
      add(year);
      break;
    case ReferenceType::kThesis:
      text += with_period(italics(title)) + " ";
      if (!year.empty()) text += year + ". ";
      add(publisher_name(reference.publisher));
      add(reference.doctoral ? "PhD dissertation" : "Master’s thesis");
      break;
  }
  if (!reference.doi.empty()) add("https://doi.org/" + reference.doi);
  return text + with_period(join(container, ", "));
}

std::string cite_mla(const InText& citation) {
  const std::vector<Person>& authors = citation.reference->authors;
  std::string text = "(" + authors[0].family;
  if (authors.size() == 2) text += " and " + authors[1].family;
  if (authors.size() > 2) text += " et al.";
  if (!citation.page.empty()) text += " " + citation.page;
  return text + ")";
}

}  // namespace ac::tasks
