// The lines of an ini file, over inih: syntax only, no idea which keys exist.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace ac {

struct IniEntry {
  std::string section;  // "" before the first [section]
  std::string key;
  std::string value;  // without surrounding blanks and without a trailing " ; comment"
  int line = 0;       // from 1
};

inline constexpr size_t kIniLineBytes = 4096;

// `origin` names the text in errors. A byte-order mark is skipped.
// Errors: kInvalidArgument with "origin:line:" for a line that is neither a comment, a [section]
// nor key = value, a line above kIniLineBytes, or a control character. Not thread-safe: inih's
// limits are global.
Result<std::vector<IniEntry>> parse_ini(std::string_view text, std::string_view origin);

}  // namespace ac
