// IEEE Reference Guide (2022).
//
//  * Authors: initials first, hyphens kept; up to six all named, from seven the first, et al.
//  Suffix
//    without a comma: M. L. King Jr.
//  * Article titles in sentence case (capital after a colon) in quotation marks, comma inside;
//    *journal* abbreviated where the source gives the abbreviation, vol., no., pp., year, doi:
//    last.
//  * Books: *Title as a Headline*, 2nd ed. Place: Publisher, year. Chapters: “Title,” in *Book*,
//    A. Editor and B. Editor, Eds. Place: Publisher, year, pp. Proceedings: "Proceedings of the"
//    becomes Proc.; in *Proc. ...*, place, year, pp.
//  * Thesis: “Title,” Ph.D. dissertation (M.S. thesis), university, place, year.
//  * n.d. where there is no date. Fields end with commas, the entry with a period.
//  * In text: the number in brackets, [4]; a page after it: [4, p. 45].
#include "models/tasks/style.h"
#include "models/tasks/style_parts.h"

namespace ac::tasks {
namespace {

std::string name_list(const std::vector<Person>& people) {
  constexpr size_t kAll = 6;
  const std::vector<std::string> names = names_of(people, initials_first);
  if (names.size() > kAll) return names[0] + " et al.";
  return join(names, {", ", " and ", ", and "});
}

std::string sentence(std::string_view title) { return unbraced(sentence_case(title, true)); }
std::string headline(std::string_view title) { return unbraced(headline_case(title)); }

std::string place_and_publisher(const Reference& reference) {
  return (reference.place.empty() ? "" : reference.place + ": ") + reference.publisher;
}

}  // namespace

std::string format_ieee(const Reference& reference) {
  const std::string year = reference.year ? std::to_string(*reference.year) : "n.d.";
  const std::string range = page_range(reference, PageRange::kFull, "–");
  const std::string pages =
      range.empty() ? "" : (reference.last_page.empty() ? "p. " : "pp. ") + range;
  const std::string part = quoted_with(sentence(reference.title), ',') + " ";
  std::string text = name_list(reference.authors) + ", ";
  std::vector<std::string> fields;  // between commas
  const auto add = [&](std::string field) {
    if (!field.empty()) fields.push_back(std::move(field));
  };
  switch (reference.type) {
    case ReferenceType::kArticle:
      text += part;
      add(italics(reference.container_short.empty() ? reference.container
                                                    : reference.container_short));
      add("vol. " + reference.volume);
      if (!reference.issue.empty()) add("no. " + reference.issue);
      add(pages);
      add(year);
      break;
    case ReferenceType::kBook:
      text += reference.edition > 1
                  ? italics(headline(reference.title)) + ", " + ordinal(reference.edition) + " ed. "
                  : with_period(italics(headline(reference.title))) + " ";
      add(place_and_publisher(reference));
      add(year);
      break;
    case ReferenceType::kChapter:
      text += part + "in " + italics(headline(reference.container)) + ", " +
              name_list(reference.editors) + (reference.editors.size() > 1 ? ", Eds. " : ", Ed. ");
      add(place_and_publisher(reference));
      add(year);
      add(pages);
      break;
    case ReferenceType::kConference:
      text += part + "in ";
      add(italics(replaced(reference.container, "Proceedings of the", "Proc.")));
      add(reference.place);
      add(year);
      add(pages);
      break;
    case ReferenceType::kPreprint:
      text += part;
      add(italics(reference.container));
      add(year);
      break;
    case ReferenceType::kThesis:
      text += part;
      add(reference.doctoral ? "Ph.D. dissertation" : "M.S. thesis");
      add(reference.publisher);
      add(reference.place);
      add(year);
      break;
  }
  if (!reference.doi.empty()) add("doi: " + reference.doi);
  return text + with_period(join(fields, ", "));
}

std::string cite_ieee(const InText& citation) {
  std::string text = "[" + std::to_string(citation.number);
  if (!citation.page.empty()) text += ", p. " + citation.page;
  return text + "]";
}

}  // namespace ac::tasks
