// APA, Publication Manual, 7th edition (2020), chapters 8 to 10.
//
//  * Authors: family name, initials with spaces, hyphens kept (J.-P.); a comma before the
//  ampersand,
//    also between two; up to 20 all named, from 21 the first 19, three spaced dots, the last (9.8).
//    Suffixes after the initials: "King, M. L., Jr." Organisations in full.
//  * Date in parentheses, (n.d.) where there is none (9.17). Titles in sentence case, capital after
//  a
//    colon (6.17); works that stand alone in italics.
//  * Journal and volume in italics, issue in parentheses without a space, whole page numbers with
//  an
//    en dash, DOI as a link without a period (9.34 to 9.36, 10.1).
//  * Book: (2nd ed.), publisher without its place (9.29). Chapter: In E. E. Editor & F. Editor
//  (Eds.),
//    *Book* (pp. 1–20). Publisher. Proceedings as a chapter without editors (10.5).
//  * Thesis: [Doctoral dissertation, University]. Preprint: server as the source (10.8).
//  * In text: (A & B, 2020, p. 4); three and more: (A et al., 2020) (8.17).
#include "models/tasks/style.h"
#include "models/tasks/style_parts.h"

namespace ac::tasks {
namespace {

std::string author_name(const Person& person) {
  std::string text = person.family;
  if (!person.given.empty()) text += ", " + initials(person.given, {});
  if (!person.suffix.empty()) text += ", " + person.suffix;
  return text;
}

std::string author_list(const std::vector<Person>& authors) {
  constexpr size_t kAll = 20;
  constexpr size_t kFirst = 19;
  std::vector<std::string> names = names_of(authors, author_name);
  if (names.size() <= kAll) return join(names, {", ", ", & ", ", & "});
  const std::string last = names.back();
  names.resize(kFirst);
  return join(names, ", ") + ", . . . " + last;
}

std::string sentence(std::string_view title) { return unbraced(sentence_case(title, true)); }

// " (pp. 1–20)", or "".
std::string pages_of_part(const Reference& reference) {
  const std::string pages = page_range(reference, PageRange::kFull, "–");
  if (pages.empty()) return "";
  return (reference.last_page.empty() ? " (p. " : " (pp. ") + pages + ")";
}

}  // namespace

std::string format_apa(const Reference& reference) {
  std::string text = with_period(author_list(reference.authors));
  text += " (" + (reference.year ? std::to_string(*reference.year) : "n.d.") + "). ";
  const std::string title = sentence(reference.title);
  switch (reference.type) {
    case ReferenceType::kArticle: {
      text += with_period(title) + " " + italics(reference.container) + ", " +
              italics(reference.volume);
      if (!reference.issue.empty()) text += "(" + reference.issue + ")";
      const std::string pages = page_range(reference, PageRange::kFull, "–");
      if (!pages.empty()) text += ", " + pages;
      text += ".";
      break;
    }
    case ReferenceType::kBook:
      text += reference.edition > 1 ? italics(title) + " (" + ordinal(reference.edition) + " ed.)."
                                    : with_period(italics(title));
      text += " " + with_period(reference.publisher);
      break;
    case ReferenceType::kChapter:
      text += with_period(title) + " In " +
              join(names_of(reference.editors, initials_first), {", ", " & ", ", & "}) +
              (reference.editors.size() > 1 ? " (Eds.), " : " (Ed.), ");
      text += with_period(italics(sentence(reference.container)) + pages_of_part(reference)) + " " +
              with_period(reference.publisher);
      break;
    case ReferenceType::kConference:
      text += with_period(title) + " In " +
              with_period(italics(reference.container) + pages_of_part(reference)) + " " +
              with_period(reference.publisher);
      break;
    case ReferenceType::kPreprint:
      text += with_period(italics(title)) + " " + with_period(reference.container);
      break;
    case ReferenceType::kThesis:
      text += italics(title) +
              (reference.doctoral ? " [Doctoral dissertation, " : " [Master’s thesis, ") +
              reference.publisher + "].";
      break;
  }
  if (!reference.doi.empty()) text += " https://doi.org/" + reference.doi;
  return text;
}

std::string cite_apa(const InText& citation) {
  const Reference& reference = *citation.reference;
  std::string text = "(" + reference.authors[0].family;
  if (reference.authors.size() == 2) text += " & " + reference.authors[1].family;
  if (reference.authors.size() > 2) text += " et al.";
  text += ", " + (reference.year ? std::to_string(*reference.year) : "n.d.");
  if (!citation.page.empty()) text += ", p. " + citation.page;
  return text + ")";
}

}  // namespace ac::tasks
