// config show|check|path: what the settings are and where they came from.
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>

#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"

namespace ac::cli {
namespace {

constexpr std::string_view kAllSections = "engine generate route budget remote privacy log";
constexpr std::array kShowOptions = {Option{"--json", "", "as JSON"}};

Result<int> show(const Invocation& invocation) {
  AC_TRY(const Settings settings, invocation.load_settings());
  if (invocation.has("--json")) {
    OrderedJson object = OrderedJson::object();
    for (const SettingRow& row : setting_rows()) {
      const std::string name = setting_name(row);
      OrderedJson& entry = object[name];
      entry["value"] = settings.text(name);
      if (!row.unit.empty()) entry["unit"] = row.unit;
      entry["origin"] = settings.origin(name);
      entry["default"] = row.default_value;
      entry["range"] = setting_range(row);
      entry["environment"] = setting_environment(row);
      entry["flag"] = setting_flag(row);
      entry["help"] = row.help;
    }
    output().write_line(json_line(object));
    return 0;
  }
  // The output is itself an ini file.
  print("version = 1\n");
  std::string_view section;
  for (const SettingRow& row : setting_rows()) {
    if (row.section != section) {
      section = row.section;
      print("\n[{}]\n", section);
    }
    const std::string name = setting_name(row);
    const std::string line = fmt::format("{} = {}", row.key, settings.text(name));
    print("{:<44} ; {}{}\n", line, settings.origin(name),
          row.unit.empty() ? "" : fmt::format(", {}", row.unit));
  }
  return 0;
}

Result<int> check(const Invocation& invocation) {
  SettingSources sources = invocation.setting_sources();
  if (!invocation.arguments().empty()) sources.config_file = invocation.arguments()[0];
  AC_TRY(const Settings settings, Settings::load(sources));
  for (const std::string& warning : settings.warnings()) log_warning("{}", warning);
  for (const std::string& file : settings.files()) print("{}: ok\n", file);
  if (settings.files().empty()) print("no ini file; the defaults hold\n");
  return 0;
}

Result<int> path(const Invocation& invocation) {
  for (const std::string& file : config_paths(invocation.setting_sources())) {
    print("{}{}\n", file, access(file.c_str(), R_OK) == 0 ? "" : "  (not there)");
  }
  return 0;
}

}  // namespace

constinit const Verb kConfigShow = {
    .name = "config show",
    .summary = "every setting, its value and where that came from",
    .options = kShowOptions,
    .sections = kAllSections,
    .run = show,
};

constinit const Verb kConfigCheck = {
    .name = "config check",
    .arguments = "[FILE]",
    .max_arguments = 1,
    .summary = "look for mistakes in the ini files",
    .sections = kAllSections,
    .run = check,
};

constinit const Verb kConfigPath = {
    .name = "config path",
    .summary = "where ini files are looked for, highest precedence first",
    .sections = kAllSections,
    .run = path,
};

}  // namespace ac::cli
