// man: the manual page, made from the tables of verbs and settings.
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"

namespace ac::cli {
namespace {

// Text of a roff page: no line begins a request, no sign is one.
std::string roff(std::string_view text) {
  std::string out;
  if (!text.empty() && (text[0] == '.' || text[0] == '\'')) out += "\\&";
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

void write_verbs() {
  print(".SH VERBS\nWithout a verb: ask.\n");
  for (const Verb* verb : verbs()) {
    print(".SS {}{}{}\n{}\n", roff(verb->name), verb->arguments.empty() ? "" : " ",
          roff(verb->arguments), roff(verb->summary));
    for (const Option& option : verb->options) {
      print(".TP\n\\fB{}\\fR{}{}\n{}\n", roff(option.flag), option.value.empty() ? "" : " ",
            roff(option.value), roff(option.help));
    }
    if (verb->sections.empty()) continue;
    print(".PP\nSettings as flags: those of {}.\n", roff(verb->sections));
  }
}

void write_settings() {
  print(
      ".SH SETTINGS\nIn an ini file under [section], as a flag of the verbs that use them, or in the\n"
      "environment; a flag goes before the environment, that before a file.\n");
  std::string_view section;
  for (const SettingRow& row : setting_rows()) {
    if (row.section != section) {
      section = row.section;
      print(".SS [{}]\n", roff(section));
    }
    print(".TP\n\\fB{}\\fR ({}{}{})\n{}. Flag \\fB{}\\fR, environment \\fB{}\\fR.{}\n", roff(row.key),
          roff(setting_range(row)), row.unit.empty() ? "" : " ", roff(row.unit), roff(row.help),
          roff(setting_flag(row)), roff(setting_environment(row)),
          row.default_value.empty()
              ? ""
              : fmt::format(" Without it: {}.", roff(row.default_value)));
  }
}

Result<int> run(const Invocation&) {
  print(".TH AGENTCOMPRESS 1 \"\" \"agentcompress {}\" \"User Commands\"\n", AC_VERSION);
  print(".SH NAME\nagentcompress \\- answer a prompt with the smallest model that will still succeed\n");
  print(".SH SYNOPSIS\n\\fBagentcompress\\fR [\\fIVERB\\fR] [\\fIFLAGS\\fR] [\\fIPROMPT\\fR...]\n");
  print(
      ".SH DESCRIPTION\nA small predictor reads the prompt and picks a compressed local model where\n"
      "one will do; hard prompts go to a remote full model, where one is configured.\n");
  write_verbs();
  write_settings();
  print(
      ".SH FILES\n.TP\n\\fB./agentcompress.ini\\fR\nof this folder\n"
      ".TP\n\\fB$XDG_CONFIG_HOME/agentcompress/config.ini\\fR\nof this user\n"
      ".TP\n\\fB/etc/agentcompress.ini\\fR\nof this machine\n"
      ".TP\n\\fB$XDG_STATE_HOME/agentcompress\\fR\nthe ledger, and what was learned from use\n");
  print(
      ".SH EXIT STATUS\n0 done, 1 failed, 2 bad input or usage, 130 interrupted.\n"
      ".SH EXAMPLES\n.nf\nagentcompress \"Format this in APA: ...\"\n"
      "agentcompress serve \\-\\-offline\nagentcompress stats \\-\\-days 7\n.fi\n");
  return 0;
}

}  // namespace

constinit const Verb kMan = {
    .name = "man",
    .summary = "this manual as a page for man",
    .run = run,
};

}  // namespace ac::cli
