// Vancouver: ICMJE Recommendations' samples and NLM, Citing Medicine, 2nd edition.
//
//  * Authors: family name, a space, at most two initials without dots or hyphens; up to six all
//  named,
//    from seven the first six, et al. Suffix last without a comma: King ML Jr; III is 3rd, II is
//    2nd.
//  * Titles in sentence case, no capital after a colon, no italics, no quotation marks.
//  * Journal abbreviated without dots where the source gives the abbreviation;
//  date;volume(issue):pages
//    with a hyphen and only the digits that change: 2002;347(4):284-7. Then doi:
//  * Book: 2nd ed. Place: Publisher; year. Chapter: In: Editor A, Editor B, editors. Book. Place:
//    Publisher; year. p. 12-34. [place unknown] and [date unknown] where the source has none.
//  * Thesis: Title [dissertation]. Place: University; year. Preprint: Title. Server [Preprint].
//  Year.
//  * In text: the number in parentheses, (4); a page after it: (4 p45).
#include "models/tasks/style.h"
#include "models/tasks/style_parts.h"

namespace ac::tasks {
namespace {

std::string suffix_of(const Person& person) {
  if (person.suffix == "II") return "2nd";
  if (person.suffix == "III") return "3rd";
  if (person.suffix == "IV") return "4th";
  return without(person.suffix, '.');
}

std::string author_name(const Person& person) {
  std::string text = person.family;
  if (!person.given.empty()) {
    text += " " + initials(person.given, {.dots = false, .max = 2});
  }
  if (!person.suffix.empty()) text += " " + suffix_of(person);
  return text;
}

std::string name_list(const std::vector<Person>& people) {
  constexpr size_t kAll = 6;
  std::vector<std::string> names = names_of(people, author_name);
  if (names.size() <= kAll) return join(names, ", ");
  names.resize(kAll);
  return join(names, ", ") + ", et al";
}

std::string sentence(std::string_view title) { return unbraced(sentence_case(title, false)); }

// "Place: Publisher; year."
std::string imprint(const Reference& reference, std::string_view year) {
  return (reference.place.empty() ? "[place unknown]" : reference.place) + ": " +
         reference.publisher + "; " + std::string(year) + ".";
}

}  // namespace

std::string format_vancouver(const Reference& reference) {
  const std::string year = reference.year ? std::to_string(*reference.year) : "[date unknown]";
  const std::string title = sentence(reference.title);
  const std::string pages = page_range(reference, PageRange::kShortest, "-");
  std::string text = with_period(name_list(reference.authors)) + " ";
  switch (reference.type) {
    case ReferenceType::kArticle:
      text += with_period(title) + " ";
      text +=
          with_period(reference.container_short.empty() ? reference.container
                                                        : without(reference.container_short, '.'));
      text += " " + year + ";" + reference.volume;
      if (!reference.issue.empty()) text += "(" + reference.issue + ")";
      if (!pages.empty()) text += ":" + pages;
      text += ".";
      break;
    case ReferenceType::kBook:
      text += with_period(title) + " ";
      if (reference.edition > 1) text += ordinal(reference.edition) + " ed. ";
      text += imprint(reference, year);
      break;
    case ReferenceType::kChapter:
      text += with_period(title) + " In: " + name_list(reference.editors) +
              (reference.editors.size() > 1 ? ", editors. " : ", editor. ") +
              with_period(sentence(reference.container)) + " " + imprint(reference, year);
      if (!pages.empty()) text += " p. " + pages + ".";
      break;
    case ReferenceType::kConference:
      text += with_period(title) + " In: " + with_period(reference.container) + " " +
              imprint(reference, year);
      if (!pages.empty()) text += " p. " + pages + ".";
      break;
    case ReferenceType::kPreprint:
      text += with_period(title) + " " + reference.container + " [Preprint]. " + year + ".";
      break;
    case ReferenceType::kThesis:
      text += title + (reference.doctoral ? " [dissertation]. " : " [master’s thesis]. ") +
              imprint(reference, year);
      break;
  }
  if (!reference.doi.empty()) text += " doi: " + reference.doi + ".";
  return text;
}

std::string cite_vancouver(const InText& citation) {
  std::string text = "(" + std::to_string(citation.number);
  if (!citation.page.empty()) text += " p" + citation.page;
  return text + ")";
}

}  // namespace ac::tasks
