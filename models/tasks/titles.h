// Title case. Titles come in lower case with braces around what keeps its capitals (reference.h).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ac::tasks {

// First word, and after a colon where `after_colon`, with a capital; the rest as it is.
std::string sentence_case(std::string_view title, bool after_colon);
// All but articles, prepositions, and, but, or, nor, as; first and last word always; both parts of
// a hyphenated word. MLA 9 section 2.90 and Chicago 17 section 8.159 agree on the words drawn here.
std::string headline_case(std::string_view title);
bool is_small_word(std::string_view word);
std::span<const std::string_view> small_words();

std::string unbraced(std::string_view title);

}  // namespace ac::tasks
