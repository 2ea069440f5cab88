// The table of verbs, and the help made from it.
#include "runtime/cli/verbs.h"

#include <algorithm>
#include <array>

#include "runtime/cli/verb.h"

namespace ac::cli {
namespace {

constexpr std::array kVerbs = {
    &kAsk,           &kChat,          &kRoute,      &kServe,      &kStats, &kLogTail, &kLogShow, &kLogExport, &kLogForget, &kLogAccept, &kZooBuild,   &kZooPack,    &kZooAdd,    &kZooRemove,
    &kZooLs,         &kZooInfo,       &kZooVerify,  &kZooExtract, &kZooExport,  &kPredictorLabel, &kPredictorTrain,
    &kPredictorEval, &kPredictorInfo, &kPredictorLearned, &kTrain,      &kBench,      &kDoctor,     &kEval,      &kConfigShow,
    &kConfigCheck,   &kConfigPath,    &kCompletion, &kMan, &kTasksShow,  &kTasksCheck, &kTasksWorkflow,
    &kTasksScore,    &kTokenize,      &kLogits,        &kVersion,
};

bool has_section(std::string_view sections, std::string_view section) {
  while (!sections.empty()) {
    const size_t end = std::min(sections.find(' '), sections.size());
    if (sections.substr(0, end) == section) return true;
    sections.remove_prefix(std::min(end + 1, sections.size()));
  }
  return false;
}

void add_flag_line(std::string& text, const Flag& flag) {
  const std::string left =
      flag.value.empty() ? flag.name : fmt::format("{} {}", flag.name, flag.value);
  constexpr size_t kLeftColumns = 34;
  if (left.size() < kLeftColumns) {
    text += fmt::format("  {:<{}}{}\n", left, kLeftColumns, flag.help);
  } else {
    text += fmt::format("  {}\n  {:<{}}{}\n", left, "", kLeftColumns, flag.help);
  }
}

}  // namespace

std::span<const Verb* const> verbs() { return kVerbs; }

std::vector<Flag> flags_of(const Verb& verb) {
  std::vector<Flag> flags;
  for (const Option& option : verb.options) {
    flags.push_back({std::string(option.flag), std::string(option.value), std::string(option.help),
                     &option, nullptr});
  }
  for (const SettingRow& row : setting_rows()) {
    if (!has_section(verb.sections, row.section)) continue;
    const bool is_switch = row.type == SettingType::kYesNo;
    std::string value = row.type == SettingType::kChoice ? std::string(row.choices)
                        : row.type == SettingType::kPath ? "FILE"
                        : row.type == SettingType::kText ? "TEXT"
                                                         : "N";
    flags.push_back({setting_flag(row), is_switch ? "" : std::move(value),
                     row.default_value.empty() || is_switch
                         ? std::string(row.help)
                         : fmt::format("{} ({})", row.help, row.default_value),
                     nullptr, &row});
  }
  if (!verb.sections.empty())
    flags.push_back({"--config", "FILE", "read this ini file", nullptr, nullptr});
  flags.push_back({"--help", "", "show this", nullptr, nullptr});
  return flags;
}

std::string help_text() {
  std::string text =
      "agentcompress routes a prompt to the smallest model that will still succeed.\n\n"
      "usage: agentcompress [VERB] ...        without a verb: ask\n\n";
  for (const Verb* verb : verbs()) {
    text += fmt::format("  {:<18}{}\n", verb->name, verb->summary);
  }
  text +=
      "\nagentcompress VERB --help lists the flags of a verb.\n"
      "exit codes: 0 done, 1 failed, 2 bad input or usage, 130 interrupted\n";
  return text;
}

std::string help_text(const Verb& verb) {
  std::string text = fmt::format("{}\n\nusage: agentcompress {} [flags]{}{}\n\n", verb.summary,
                                 verb.name, verb.arguments.empty() ? "" : " ", verb.arguments);
  std::string settings;
  for (const Flag& flag : flags_of(verb))
    add_flag_line(flag.setting == nullptr ? text : settings, flag);
  if (!settings.empty()) {
    text += "\nsettings, also in the ini file and the environment (agentcompress config show):\n" +
            settings;
  }
  return text;
}

}  // namespace ac::cli
