// The five citation styles, one a file: style_apa.cc, style_mla.cc, ... Each file states the rules
// it follows. Emphasis is written in Markdown: *italics*.
//
// What all share here: a particle belongs to the family name, as its bearer's publications print it
// ("van der Berg, J."); what the source gives as initials stays initials; DOIs as the style prints
// them, and only what the source gives is printed.
#pragma once

#include <string>
#include <string_view>

#include "models/tasks/reference.h"

namespace ac::tasks {

enum class Style { kApa, kMla, kChicago, kIeee, kVancouver };
inline constexpr int kStyles = 5;
std::string_view style_name(Style style);  // "apa", ...

// The entry of a reference list, without a number.
std::string format_reference(const Reference& reference, Style style);

// How the entry is cited in running text, in parentheses or brackets.
struct InText {
  const Reference* reference = nullptr;
  std::string page;  // empty: the work as a whole
  int number = 0;    // in the numbered list (IEEE, Vancouver)
};
std::string cite_in_text(const InText& citation, Style style);

// Whether the reference list is sorted by name, or numbered in order of citation.
bool is_numbered(Style style);

std::string format_apa(const Reference& reference);
std::string format_mla(const Reference& reference);
std::string format_chicago(const Reference& reference);
std::string format_ieee(const Reference& reference);
std::string format_vancouver(const Reference& reference);

std::string cite_apa(const InText& citation);
std::string cite_mla(const InText& citation);
std::string cite_chicago(const InText& citation);
std::string cite_ieee(const InText& citation);
std::string cite_vancouver(const InText& citation);

}  // namespace ac::tasks
