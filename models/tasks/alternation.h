// Entries of the lexicon that stand for many: "<Please list|List> the rows< below|>." is "Please list
// the rows below." or "List the rows.", and two more. Parts may be empty and may nest.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace ac::tasks {

// Errors: kCorruptFile for a "<" that is not closed. Outside of "<...>" both "|" and ">" are
// themselves.
Status check_alternations(std::string_view entry);
inline bool has_alternations(std::string_view entry) {
  return entry.find('<') != std::string_view::npos;
}

// One of the texts that `entry` stands for. `below(n)` chooses, from left to right; what lies in a
// part that is not taken is not asked for. REQUIRES: check_alternations(entry).
std::string chosen(std::string_view entry, const std::function<size_t(size_t n)>& below);

// Whether `text` is one of them. REQUIRES: check_alternations(entry).
bool may_become(std::string_view entry, std::string_view text);

}  // namespace ac::tasks
