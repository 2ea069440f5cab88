// A bibliographic record, how one is drawn, and how sources (BibTeX, RIS, free text) print it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/tasks/people.h"

namespace ac::tasks {

enum class ReferenceType { kArticle, kBook, kChapter, kConference, kPreprint, kThesis };
inline constexpr int kReferenceTypes = 6;
std::string_view reference_type_name(ReferenceType type);

// Titles are kept in lower case with what keeps its capitals in braces, as BibTeX has it:
// "effects of {DNA} damage in {Norway}: a survey".
struct Reference {
  ReferenceType type = ReferenceType::kArticle;
  std::vector<Person> authors;
  std::vector<Person> editors;  // of a chapter
  std::optional<int> year;
  std::string title;
  std::string container;  // journal, book of a chapter (as a title), proceedings, preprint server
  std::string container_short;  // of a journal, where the source gives it: "J. Cell Biol."
  std::string volume, issue;
  std::string first_page, last_page;  // last empty: one page; both empty: not known
  int edition = 1;
  std::string publisher;  // of a thesis, the university
  std::string place;
  std::string doi;  // "10.1234/abc"
  bool doctoral = true;
};

struct ReferenceOptions {
  std::optional<ReferenceType> type;
  double level = 0.5;  // of difficulty, in [0, 1]
  int max_authors = 25;
  bool short_record = false;  // few authors, no DOI: what several of fit into one prompt
};
Reference draw_reference(Draw& draw, const ReferenceOptions& options);

enum class TitleCase { kSentence, kHeadline };
enum class SourceFormat { kBibtex, kRis, kLine, kPage, kLabels };
inline constexpr int kSourceFormats = 5;
std::string_view source_format_name(SourceFormat format);

// Whether the source can print the title so that its proper nouns survive: a headline tells them
// from other words only where braces protect them.
bool can_print(const Reference& reference, SourceFormat format, TitleCase title_case);
// What a person would paste. Distractors: keywords, ISSN, language, ...
std::string print_source(Draw& draw, const Reference& reference, SourceFormat format,
                         TitleCase title_case, int n_distractors);

}  // namespace ac::tasks
