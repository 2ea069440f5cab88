// What the command line can do: one Verb each, defined in its verb_*.cc and listed in verbs.cc.
//
// The tables here and the table of settings are all there is: parsing, --help and shell completion
// are made from them.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/core/settings.h"

namespace ac::cli {

struct Option {
  std::string_view flag;   // "--out"
  std::string_view value;  // what follows: "FILE", "N", "bash|zsh"; "": a switch
  std::string_view help;
  bool repeats = false;
};

class Invocation;

struct Verb {
  std::string_view name;            // "ask", "zoo pack"
  std::string_view arguments = {};  // for usage: "[PROMPT...]"; FILE in it completes to file names
  int min_arguments = 0;
  int max_arguments = 0;  // -1: any number
  std::string_view summary;
  std::span<const Option> options = {};
  std::string_view sections =
      {};  // of settings that are flags here: "engine generate"; "": reads none
  // Returns the exit code; an error is printed by main.
  Result<int> (*run)(const Invocation&) = nullptr;
};

// In the order in which --help lists them.
std::span<const Verb* const> verbs();
// Every flag of a verb: its own, those of its settings and the common ones.
struct Flag {
  std::string name;
  std::string value;  // "" for a switch
  std::string help;
  const Option* option = nullptr;
  const SettingRow* setting = nullptr;
};
std::vector<Flag> flags_of(const Verb& verb);

// A parsed command line.
class Invocation {
 public:
  // `words`: what follows the verb. Errors: kInvalidArgument with a hint.
  static Result<Invocation> parse(const Verb& verb, std::vector<std::string> words);

  const Verb& verb() const { return *verb_; }
  const std::vector<std::string>& arguments() const { return arguments_; }
  bool has(std::string_view flag) const { return given_.find(flag) != given_.end(); }
  std::optional<std::string> value(std::string_view flag) const;  // the last one given
  std::vector<std::string> values(std::string_view flag) const;
  // A value that is a whole number. Errors: kInvalidArgument.
  Result<int64_t> integer(std::string_view flag, int64_t missing, int64_t min, int64_t max) const;
  Result<double> number(std::string_view flag, double missing, double min, double max) const;
  bool wants_help() const { return has("--help"); }

  SettingSources setting_sources() const;
  // Settings with the flags on top; takes over the log level and prints warnings.
  Result<Settings> load_settings() const;

 private:
  template <class Number>
  Result<Number> within(std::string_view flag, Number missing, Number min, Number max) const;

  const Verb* verb_ = nullptr;
  std::vector<std::string> arguments_;
  std::map<std::string, std::vector<std::string>, std::less<>> given_;
  std::vector<std::pair<std::string, std::string>> setting_flags_;
};

// Error messages about usage begin with the verb and end with where help is.
Error usage_error(const Verb& verb, std::string_view message);

std::string help_text();                  // agentcompress --help
std::string help_text(const Verb& verb);  // agentcompress VERB --help

}  // namespace ac::cli
