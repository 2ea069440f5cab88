#include "models/text/partition.h"

#include <algorithm>

namespace ac::text {
namespace {

// Ascending, disjoint, inside the text; ranges that touch are one.
std::vector<ByteRange> joined(std::span<const ByteRange> ranges, size_t n_bytes) {
  std::vector<ByteRange> out;
  for (const ByteRange& range : ranges) {
    const size_t end = std::min(range.end, n_bytes);
    if (range.begin >= end || (!out.empty() && range.begin < out.back().end)) continue;
    if (!out.empty() && range.begin == out.back().end) {
      out.back().end = end;
    } else {
      out.push_back({range.begin, end});
    }
  }
  return out;
}

}  // namespace

std::vector<Fragment> partition(const Vocabulary& vocabulary, std::string_view text,
                                std::span<const ByteRange> literal) {
  std::vector<Fragment> fragments;
  const SpecialTrie& words = vocabulary.words();
  const SpecialTrie& marks = vocabulary.marks();
  const std::vector<ByteRange> ranges = joined(literal, text.size());
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  size_t run = 0;  // where the text that is not yet in a fragment begins
  auto range = ranges.begin();
  for (size_t at = 0; at < text.size();) {
    while (range != ranges.end() && range->end <= at) ++range;
    const bool marked = range != ranges.end() && range->begin <= at;
    if (!marked && words.empty()) {
      if (range == ranges.end()) break;
      at = range->begin;
      continue;
    }
    SpecialTrie::Match match;
    if (marked && marks.may_start_with(text[at])) {
      match = marks.longest(begin + at, begin + range->end);
    }
    if (words.may_start_with(text[at])) {
      const SpecialTrie::Match word = words.longest(begin + at, end);
      if (word.size > match.size) match = word;
    }
    if (match.id < 0) {
      ++at;
      continue;
    }
    if (run < at) fragments.push_back({text.substr(run, at - run)});
    fragments.push_back({{}, match.id});
    at += match.size;
    run = at;
  }
  if (run < text.size()) fragments.push_back({text.substr(run)});
  return fragments;
}

}  // namespace ac::text
