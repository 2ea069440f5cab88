#include "runtime/core/ini_table.h"

#include <charconv>
#include <cstdlib>

#include "runtime/core/check.h"
#include "runtime/core/ini.h"

namespace ac {
namespace {

template <class T>
T parsed(std::string_view text) {
  T value{};
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  AC_CHECK(error == std::errc() && at == text.data() + text.size());
  return value;
}

}  // namespace

Result<IniTable> IniTable::parse(std::span<const SettingRow> rows, std::string_view text,
                                 const std::string& path) {
  AC_TRY(const std::vector<IniEntry> entries, parse_ini(text, path));
  const char* home = std::getenv("HOME");
  IniTable table;
  table.rows_ = rows;
  std::map<std::string, int> seen;  // name -> line
  for (const IniEntry& entry : entries) {
    const std::string where = fmt::format("{}:{}", path, entry.line);
    const std::string name =
        entry.section.empty() ? entry.key : fmt::format("{}.{}", entry.section, entry.key);
    const auto [earlier, is_new] = seen.emplace(name, entry.line);
    if (!is_new) {
      return fail(ErrorCode::kInvalidArgument, "{}: {} is there already, in line {}", where, name,
                  earlier->second);
    }
    if (name == "version") {
      if (entry.value == "1") continue;
      return fail(ErrorCode::kInvalidArgument, "{}: version is '{}', expected 1", where,
                  entry.value.substr(0, 100));
    }
    const SettingRow* found = nullptr;
    for (const SettingRow& row : rows) {
      if (row.section == entry.section && row.key == entry.key) found = &row;
    }
    if (found == nullptr) return unknown_setting(rows, entry.section, entry.key, where);
    AC_TRY_STATUS(check_setting(*found, entry.value, where));
    table.values_[name] =
        found->type == SettingType::kPath
            ? resolve_setting_path(entry.value, path, home != nullptr ? home : "")
            : entry.value;
  }
  if (!seen.contains("version")) {
    return fail(ErrorCode::kInvalidArgument,
                "{}:1: 'version = 1' is missing, expected before the first section", path);
  }
  for (const SettingRow& row : rows) {
    const std::string name = setting_name(row);
    if (table.values_.contains(name)) continue;
    const bool may_be_empty = row.type == SettingType::kText || row.type == SettingType::kPath;
    if (row.default_value.empty() && !may_be_empty) {
      return fail(ErrorCode::kInvalidArgument, "{}: {} is missing in [{}], expected {}", path,
                  row.key, row.section, setting_range(row));
    }
    table.values_[name] = std::string(row.default_value);
  }
  return table;
}

const std::string& IniTable::text(std::string_view name) const {
  const auto it = values_.find(name);
  AC_CHECK(it != values_.end());
  return it->second;
}

int64_t IniTable::integer(std::string_view name) const { return parsed<int64_t>(text(name)); }
double IniTable::number(std::string_view name) const { return parsed<double>(text(name)); }

bool IniTable::yes(std::string_view name) const {
  const std::string& value = text(name);
  return value == "yes" || value == "true" || value == "on" || value == "1";
}

std::string IniTable::canonical() const {
  std::string out = "version = 1\n";
  std::string_view section;
  for (const SettingRow& row : rows_) {
    if (row.section != section) out += fmt::format("[{}]\n", row.section);
    section = row.section;
    out += fmt::format("{} = {}\n", row.key, text(setting_name(row)));
  }
  return out;
}

}  // namespace ac
