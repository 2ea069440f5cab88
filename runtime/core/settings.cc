#include "runtime/core/settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "runtime/core/file.h"
#include "runtime/core/ini.h"
#include "runtime/core/nearest.h"

extern char** environ;

namespace ac {
namespace {

constexpr uint64_t kIniFileBytes = 1u << 20;
constexpr std::string_view kPrefix = "AGENTCOMPRESS_";

template <class T>
std::optional<T> parse_whole(std::string_view text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end || text.empty()) return std::nullopt;
  return value;
}

std::optional<bool> parse_yes_no(std::string_view text) {
  for (const std::string_view yes : {"yes", "true", "on", "1"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"no", "false", "off", "0"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

bool is_choice(std::string_view choices, std::string_view text) {
  while (true) {
    const size_t bar = choices.find('|');
    if (text == choices.substr(0, bar)) return true;
    if (bar == std::string_view::npos) return false;
    choices.remove_prefix(bar + 1);
  }
}

std::optional<std::string_view> variable(std::span<const std::string> environment,
                                         std::string_view name) {
  for (const std::string& entry : environment) {
    if (entry.size() > name.size() && entry[name.size()] == '=' && entry.starts_with(name)) {
      return std::string_view(entry).substr(name.size() + 1);
    }
  }
  return std::nullopt;
}

// A hint at the variable that was meant: `rest` follows the prefix, which all have in common and
// which would make all look alike. A key without its section is the likeliest slip.
std::string near_variable(std::string_view rest, std::span<const std::string> names) {
  std::vector<std::string_view> rests;
  for (const std::string& name : names) {
    rests.push_back(std::string_view(name).substr(kPrefix.size()));
    const std::string_view key = rests.back().substr(rests.back().find('_') + 1);
    if (key == rest) return fmt::format(", did you mean '{}'?", name);
  }
  const auto near = nearest_name(rest, rests);
  return near ? fmt::format(", did you mean '{}{}'?", kPrefix, *near) : "";
}

std::string_view home_folder(std::span<const std::string> environment) {
  return variable(environment, "HOME").value_or("");
}

std::string user_file(std::span<const std::string> environment) {
  const auto xdg = variable(environment, "XDG_CONFIG_HOME");
  // The XDG specification: a relative path there is to be ignored.
  if (xdg && xdg->starts_with('/')) return fmt::format("{}/agentcompress/config.ini", *xdg);
  const std::string_view home = home_folder(environment);
  return home.empty() ? "" : fmt::format("{}/.config/agentcompress/config.ini", home);
}

}  // namespace

Status check_setting(const SettingRow& row, std::string_view text, std::string_view where) {
  bool valid = true;
  if (row.type == SettingType::kInteger) {
    const auto value = parse_whole<int64_t>(text);
    valid =
        value && static_cast<double>(*value) >= row.min && static_cast<double>(*value) <= row.max;
  } else if (row.type == SettingType::kNumber) {
    const auto value = parse_whole<double>(text);
    valid = value && std::isfinite(*value) && *value >= row.min && *value <= row.max;
  } else if (row.type == SettingType::kYesNo) {
    valid = parse_yes_no(text).has_value();
  } else if (row.type == SettingType::kChoice) {
    valid = is_choice(row.choices, text);
  }
  if (valid) return {};
  return fail(ErrorCode::kInvalidArgument, "{}: {} is '{}', expected {}{}{}", where, row.key,
              text.substr(0, 100), setting_range(row), row.unit.empty() ? "" : " ", row.unit);
}

Error unknown_setting(std::span<const SettingRow> rows, std::string_view section,
                      std::string_view key, std::string_view where) {
  if (key == "api_key") {
    return fail(ErrorCode::kInvalidArgument,
                "{}: a key does not belong into an ini file: name the environment variable that "
                "holds it with api_key_env, or the file with api_key_file",
                where);
  }
  std::vector<std::string_view> sections, keys;
  const SettingRow* elsewhere = nullptr;
  for (const SettingRow& row : rows) {
    if (sections.empty() || sections.back() != row.section) sections.push_back(row.section);
    if (row.section == section) keys.push_back(row.key);
    if (row.key == key) elsewhere = &row;
  }
  if (elsewhere != nullptr) {
    return fail(ErrorCode::kInvalidArgument, "{}: key '{}' belongs into [{}], found it {}", where,
                key, elsewhere->section,
                section.empty() ? "before the first section" : fmt::format("in [{}]", section));
  }
  if (keys.empty()) {
    return fail(ErrorCode::kInvalidArgument, "{}: unknown section [{}]{}", where, section,
                did_you_mean(section, sections));
  }
  return fail(ErrorCode::kInvalidArgument, "{}: unknown key '{}' in [{}]{}", where, key, section,
              did_you_mean(key, keys));
}

std::string resolve_setting_path(std::string_view text, const std::string& ini_path,
                                 std::string_view home) {
  if (text.starts_with("~/") && !home.empty()) return fmt::format("{}/{}", home, text.substr(2));
  const size_t slash = ini_path.rfind('/');
  if (text.empty() || text.starts_with('/') || slash == std::string::npos) return std::string(text);
  return fmt::format("{}/{}", ini_path.substr(0, slash), text);
}

SettingSources SettingSources::of_process() {
  SettingSources sources;
  for (char** entry = environ; *entry != nullptr; ++entry) sources.environment.emplace_back(*entry);
  return sources;
}

std::vector<std::string> config_paths(const SettingSources& sources) {
  std::vector<std::string> paths;
  paths.push_back(sources.config_file.empty() ? sources.working_folder_file : sources.config_file);
  if (std::string user = user_file(sources.environment); !user.empty()) {
    paths.push_back(std::move(user));
  }
  paths.push_back(sources.system_file);
  return paths;
}

Settings::Settings() {
  for (const SettingRow& row : setting_rows()) {
    values_[setting_name(row)] = {std::string(row.default_value), "default"};
  }
}

Settings default_settings() { return Settings(); }

Result<Settings> Settings::load(const SettingSources& sources) {
  Settings settings;
  const std::vector<std::string> paths = config_paths(sources);
  const std::string_view home = home_folder(sources.environment);
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
    const bool must_exist = !sources.config_file.empty() && *path == sources.config_file;
    AC_TRY_STATUS(settings.apply_file(*path, must_exist, home));
  }
  std::reverse(settings.files_.begin(), settings.files_.end());
  AC_TRY_STATUS(settings.apply_environment(sources.environment));
  AC_TRY_STATUS(settings.apply_flags(sources));
  return settings;
}

Status Settings::apply_file(const std::string& path, bool must_exist, std::string_view home) {
  auto text = read_file(path, kIniFileBytes);
  if (!text && text.error().code == ErrorCode::kNotFound && !must_exist) return {};
  if (!text) return text.error();
  files_.push_back(path);
  return apply_ini(*text, path, home);
}

Status Settings::apply_ini(std::string_view text, const std::string& path, std::string_view home) {
  AC_TRY(const std::vector<IniEntry> entries, parse_ini(text, path));
  std::map<std::string, int, std::less<>> seen;  // name -> line
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
      if (entry.value != "1") {
        return fail(ErrorCode::kInvalidArgument, "{}: version is '{}', expected 1", where,
                    entry.value.substr(0, 100));
      }
      continue;
    }
    const SettingRow* row = find_setting(name);
    if (row == nullptr) return unknown_setting(setting_rows(), entry.section, entry.key, where);
    AC_TRY_STATUS(check_setting(*row, entry.value, where));
    values_[name] = {
        row->type == SettingType::kPath ? resolve_setting_path(entry.value, path, home) : entry.value,
        where};
  }
  if (seen.find("version") == seen.end()) {
    return fail(ErrorCode::kInvalidArgument,
                "{}:1: 'version = 1' is missing, expected before the first section", path);
  }
  return {};
}

Status Settings::apply_environment(std::span<const std::string> environment) {
  std::vector<std::string> names;
  for (const SettingRow& row : setting_rows()) {
    names.push_back(setting_environment(row));
    const auto text = variable(environment, names.back());
    if (!text) continue;
    const std::string where = fmt::format("environment {}", names.back());
    AC_TRY_STATUS(check_setting(row, *text, where));
    values_[setting_name(row)] = {std::string(*text), where};
  }
  for (const std::string& entry : environment) {
    const std::string_view name = std::string_view(entry).substr(0, entry.find('='));
    if (!name.starts_with(kPrefix) || name == text("remote.api_key_env") ||
        std::find(names.begin(), names.end(), name) != names.end()) {
      continue;
    }
    warnings_.push_back(fmt::format("environment variable {} means nothing{}", name,
                                    near_variable(name.substr(kPrefix.size()), names)));
  }
  return {};
}

Status Settings::apply_flags(const SettingSources& sources) {
  for (const auto& [name, text] : sources.flags) {
    const SettingRow* row = find_setting(name);
    AC_CHECK(row != nullptr);
    const std::string where = fmt::format("flag {}", setting_flag(*row));
    AC_TRY_STATUS(check_setting(*row, text, where));
    values_[name] = {text, where};
  }
  return {};
}

const Settings::Value& Settings::at(std::string_view name) const {
  const auto it = values_.find(name);
  AC_CHECK(it != values_.end());
  return it->second;
}

const std::string& Settings::text(std::string_view name) const { return at(name).text; }

int64_t Settings::integer(std::string_view name) const {
  const auto value = parse_whole<int64_t>(at(name).text);
  AC_CHECK(value.has_value());
  return *value;
}

double Settings::number(std::string_view name) const {
  const auto value = parse_whole<double>(at(name).text);
  AC_CHECK(value.has_value());
  return *value;
}

bool Settings::yes(std::string_view name) const {
  const auto value = parse_yes_no(at(name).text);
  AC_CHECK(value.has_value());
  return *value;
}

const std::string& Settings::origin(std::string_view name) const { return at(name).origin; }

}  // namespace ac
