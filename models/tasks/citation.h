// Citation formatting: a source to an entry of a reference list, entries to a reference list, an
// entry to its citation in running text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/tasks/made.h"
#include "models/tasks/style.h"

namespace ac::tasks {

enum class CitationSkill { kFormat, kBibliography, kInText };

struct CitationTruth {
  CitationSkill skill = CitationSkill::kFormat;
  Style style = Style::kApa;
  bool markdown = false;              // the prompt asks for *italics*
  std::vector<std::string> lines;     // expected, with emphasis
  std::vector<Reference> references;  // behind the lines
};

Made<CitationTruth> make_citation(Draw& draw);

// The makers that workflows use. `material`: entries as they stand in the prompt, one for each
// reference, so that a workflow may put an earlier answer there.
struct StyleChoice {
  Style style = Style::kApa;
  bool markdown = false;
};
StyleChoice draw_style(Draw& draw);
Made<CitationTruth> make_format(Draw& draw, const Reference& reference, const StyleChoice& choice,
                                double level);
// References whose list has an order that first letters decide.
std::vector<Reference> draw_reference_list(Draw& draw, size_t n, double level);
Made<CitationTruth> make_bibliography(Draw& draw, const std::vector<Reference>& references,
                                      const std::vector<std::string>& material,
                                      const StyleChoice& choice);
// `references` in list order, `material` the list as it stands in the prompt.
Made<CitationTruth> make_in_text(Draw& draw, const std::vector<Reference>& references, size_t which,
                                 const std::string& material, const StyleChoice& choice);

// Whitespace around lines is free, and emphasis where the style has italics: asterisks,
// underscores, or none unless the prompt asked for it. Every other character counts. A list may have its
// order in front ("Order: Bauer; Zeller"), which has to be right then.
Verdict check_citation(const CitationTruth& truth, std::string_view answer);

}  // namespace ac::tasks
