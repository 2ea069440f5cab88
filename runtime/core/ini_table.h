// The values of an ini file that has a table of its own, such as a recipe: the same rows, checks and
// messages as the settings, without flags, environment or other places.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "runtime/core/settings.h"

namespace ac {

class IniTable {
 public:
  // `rows` outlive the table; `path` names the text in errors, and relative paths in it are relative
  // to its folder. Errors: kInvalidArgument naming file and line, the value and what was expected; a
  // file without 'version = 1'; a row whose default value is empty and that is of another type than
  // text or path must be there.
  static Result<IniTable> parse(std::span<const SettingRow> rows, std::string_view text,
                                const std::string& path);

  // REQUIRES: `name` ("model.layers") is in the table with that type.
  const std::string& text(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  bool yes(std::string_view name) const;

  // Every value, defaults included, as an ini file with the rows in their order.
  std::string canonical() const;

 private:
  std::span<const SettingRow> rows_;
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace ac
