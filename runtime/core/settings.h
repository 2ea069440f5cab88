// Settings: one table of keys, and where each value came from.
//
// The table feeds the ini file, the flags, the environment, shell completion and `config show`; a
// new setting is one row in settings_table.cc. Precedence, highest first: flag, environment
// (AGENTCOMPRESS_SECTION_KEY), --config FILE or ./agentcompress.ini,
// $XDG_CONFIG_HOME/agentcompress/config.ini, /etc/agentcompress.ini, default.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/core/result.h"

namespace ac {

enum class SettingType {
  kText,
  kPath,  // relative ones in an ini file are relative to that file; ~/ is $HOME
  kInteger,
  kNumber,
  kYesNo,
  kChoice,  // one of `choices`
};

struct SettingRow {
  std::string_view section;
  std::string_view key;
  SettingType type;
  std::string_view unit;           // "ms", "MiB", "" where it has none
  std::string_view default_value;  // as it would be written in an ini file
  double min;                      // of kInteger and kNumber
  double max;
  std::string_view choices;  // of kChoice, separated by '|'
  std::string_view help;
};

std::span<const SettingRow> setting_rows();
// "engine.threads". nullptr when there is no such setting.
const SettingRow* find_setting(std::string_view name);

std::string setting_name(const SettingRow& row);  // engine.threads
std::string setting_flag(
    const SettingRow& row);  // --threads; --remote-model where the key alone is unclear
std::string setting_environment(const SettingRow& row);  // AGENTCOMPRESS_ENGINE_THREADS
// What values may be: "1 to 256", "cpu|vulkan", "yes|no", "text".
std::string setting_range(const SettingRow& row);

// Errors: kInvalidArgument, with `where` in front, when `text` is not what the row allows.
Status check_setting(const SettingRow& row, std::string_view text, std::string_view where);
// That `rows` have no such key, with the nearest one.
Error unknown_setting(std::span<const SettingRow> rows, std::string_view section,
                      std::string_view key, std::string_view where);
// A path in an ini file at `ini_path`: absolute, of the home folder (~/), or relative to the file.
std::string resolve_setting_path(std::string_view text, const std::string& ini_path,
                                 std::string_view home);

// Where values are looked for. Defaults are this process's; tests give their own.
struct SettingSources {
  std::string config_file;  // --config; "": ./agentcompress.ini if it exists
  std::vector<std::pair<std::string, std::string>> flags;  // ("engine.threads", "4")
  std::vector<std::string> environment;                    // "NAME=value"
  std::string working_folder_file = "agentcompress.ini";
  std::string system_file = "/etc/agentcompress.ini";

  static SettingSources of_process();
};

class Settings {
 public:
  // Errors: kInvalidArgument naming file and line (or the variable, or the flag), the value and
  // what was expected; kNotFound for a config_file that does not exist.
  static Result<Settings> load(const SettingSources& sources);

  // REQUIRES: `name` is in the table with that type. Values are within the table's range.
  const std::string& text(std::string_view name) const;  // of any type, as in an ini file
  int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  bool yes(std::string_view name) const;

  // "default", "lab.ini:12", "environment AGENTCOMPRESS_ENGINE_THREADS", "flag --threads".
  const std::string& origin(std::string_view name) const;
  bool is_default(std::string_view name) const { return origin(name) == "default"; }

  // Files that were read, highest precedence first.
  const std::vector<std::string>& files() const { return files_; }
  // Things that look like mistakes but are no errors: AGENTCOMPRESS_* variables that mean nothing.
  const std::vector<std::string>& warnings() const { return warnings_; }

  // Takes over the values of one ini text; later calls win. For load, and for the fuzzer.
  Status apply_ini(std::string_view text, const std::string& path, std::string_view home);

 private:
  Settings();
  friend Settings default_settings();
  struct Value {
    std::string text;
    std::string origin;
  };
  Status apply_file(const std::string& path, bool must_exist, std::string_view home);
  Status apply_environment(std::span<const std::string> environment);
  Status apply_flags(const SettingSources& sources);
  const Value& at(std::string_view name) const;

  std::map<std::string, Value, std::less<>> values_;
  std::vector<std::string> files_;
  std::vector<std::string> warnings_;
};

// The table's defaults alone.
Settings default_settings();

// The ini file that each place would have, highest precedence first, whether it exists or not.
std::vector<std::string> config_paths(const SettingSources& sources);

}  // namespace ac
