// Two answers, compared as texts.
#pragma once

#include <string_view>

namespace ac {

// The same lines; blank ones and the space around lines do not count.
bool same_lines(std::string_view a, std::string_view b);

// How many words two texts share: the harmonic mean of the shares of each that the other has, words
// being runs without white space, as often as they occur. 1 for two empty texts.
double word_overlap(std::string_view a, std::string_view b);

}  // namespace ac
