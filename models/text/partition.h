// Cuts a text at the special tokens in it: marks count only inside the ranges that a template
// wrote, added words of the vocabulary everywhere. Leftmost first, the longest of those that start
// together.
#pragma once

#include <string_view>
#include <vector>

#include "models/text/tokenizer.h"
#include "models/text/vocabulary.h"

namespace ac::text {

struct Fragment {
  std::string_view text;  // to be merged; empty when `special` is set
  int32_t special = -1;
};

// Fragments in order; none is empty. `literal` may be in disorder or reach beyond the text: what
// does not ascend is not literal.
std::vector<Fragment> partition(const Vocabulary& vocabulary, std::string_view text,
                                std::span<const ByteRange> literal);

}  // namespace ac::text
