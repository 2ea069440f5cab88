// One command line through CLI11: only the chosen verb's flags are built, so that start-up does not
// grow with the number of verbs.
#include <CLI/CLI.hpp>
#include <charconv>

#include "runtime/assemble/assemble.h"
#include "runtime/cli/verb.h"
#include "runtime/core/nearest.h"

namespace ac::cli {
namespace {

bool looks_like_flag(std::string_view word) {
  // As CLI11 sees it: "-", "- item" and "--" are words.
  if (word.size() < 2 || word[0] != '-') return false;
  const char first = word[1] == '-' ? (word.size() > 2 ? word[2] : '\0') : word[1];
  return CLI::detail::valid_first_char(first);
}

Error unknown_flag(const Verb& verb, std::string_view word, const std::vector<Flag>& flags) {
  const std::string_view name = word.substr(0, word.find('='));
  std::vector<std::string_view> names;
  for (const Flag& flag : flags) names.push_back(flag.name);
  const std::string hint = did_you_mean(name, names);
  return usage_error(
      verb, fmt::format("unknown flag '{}'{}", name,
                        hint.empty() ? "; a word that begins with - goes after --" : hint));
}

}  // namespace

Error usage_error(const Verb& verb, std::string_view message) {
  return fail(ErrorCode::kInvalidArgument, "{}: {} (see agentcompress {} --help)", verb.name,
              message, verb.name);
}

Result<Invocation> Invocation::parse(const Verb& verb, std::vector<std::string> words) {
  Invocation invocation;
  invocation.verb_ = &verb;
  const std::vector<Flag> flags = flags_of(verb);

  // Arguments are taken from what CLI11 leaves over, not declared to it: it would take a prompt
  // like
  // "[a, b]" for a list. What follows "--" it never sees.
  std::vector<std::string> verbatim;
  if (const auto dashes = std::find(words.begin(), words.end(), "--"); dashes != words.end()) {
    verbatim.assign(dashes + 1, words.end());
    words.erase(dashes, words.end());
  }
  CLI::App app;
  app.set_help_flag();  // --help is one of ours
  app.allow_extras();
  std::vector<CLI::Option*> options;
  std::vector<std::vector<std::string>> texts(flags.size());
  for (size_t i = 0; i < flags.size(); ++i) {
    if (flags[i].value.empty()) {
      options.push_back(app.add_flag(flags[i].name));
    } else {
      // One value each time, however it begins; the last one given wins where it does not repeat.
      options.push_back(app.add_option_function<std::vector<std::string>>(
          flags[i].name, [&texts, i](const std::vector<std::string>& given) { texts[i] = given; }));
      options.back()->expected(1)->allow_extra_args(false)->multi_option_policy(
          CLI::MultiOptionPolicy::TakeAll);
    }
  }
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    return usage_error(verb, error.what());
  }
  for (std::string& word : app.remaining()) {
    if (looks_like_flag(word)) return unknown_flag(verb, word, flags);
    invocation.arguments_.push_back(std::move(word));
  }
  for (std::string& word : verbatim) invocation.arguments_.push_back(std::move(word));

  for (size_t i = 0; i < flags.size(); ++i) {
    if (options[i]->count() == 0) continue;
    const bool is_switch = flags[i].value.empty();
    if (is_switch) texts[i] = {options[i]->results().back() == "false" ? "no" : "yes"};
    if (flags[i].setting != nullptr) {
      invocation.setting_flags_.emplace_back(setting_name(*flags[i].setting), texts[i].back());
    }
    if (is_switch && texts[i].front() == "no") continue;
    if (flags[i].option != nullptr && !flags[i].option->repeats && texts[i].size() > 1) {
      return usage_error(verb, fmt::format("{} is given {} times", flags[i].name, texts[i].size()));
    }
    invocation.given_[flags[i].name] = std::move(texts[i]);
  }
  if (invocation.wants_help()) return invocation;
  const auto n_arguments = static_cast<int>(invocation.arguments_.size());
  if (n_arguments < verb.min_arguments) {
    return usage_error(verb, n_arguments == 0
                                 ? fmt::format("expected {}", verb.arguments)
                                 : fmt::format("expected {}, found only '{}'", verb.arguments,
                                               invocation.arguments_.back()));
  }
  if (verb.max_arguments >= 0 && n_arguments > verb.max_arguments) {
    return usage_error(verb,
                       fmt::format("unexpected '{}', expected {}",
                                   invocation.arguments_[static_cast<size_t>(verb.max_arguments)],
                                   verb.arguments.empty() ? "no arguments" : verb.arguments));
  }
  return invocation;
}

std::optional<std::string> Invocation::value(std::string_view flag) const {
  const auto it = given_.find(flag);
  if (it == given_.end() || it->second.empty()) return std::nullopt;
  return it->second.back();
}

std::vector<std::string> Invocation::values(std::string_view flag) const {
  const auto it = given_.find(flag);
  return it == given_.end() ? std::vector<std::string>() : it->second;
}

template <class Number>
Result<Number> Invocation::within(std::string_view flag, Number missing, Number min,
                                  Number max) const {
  const auto text = value(flag);
  if (!text) return missing;
  Number number = 0;
  const char* end = text->data() + text->size();
  const auto [at, error] = std::from_chars(text->data(), end, number);
  const bool fits = number >= min && number <= max;  // false for what is not a number
  if (error != std::errc() || at != end || text->empty() || !fits) {
    return usage_error(*verb_, fmt::format("{} is '{}', expected {} to {}", flag, *text, min, max));
  }
  return number;
}

Result<int64_t> Invocation::integer(std::string_view flag, int64_t missing, int64_t min,
                                    int64_t max) const {
  return within(flag, missing, min, max);
}

Result<double> Invocation::number(std::string_view flag, double missing, double min,
                                  double max) const {
  return within(flag, missing, min, max);
}

SettingSources Invocation::setting_sources() const {
  SettingSources sources = SettingSources::of_process();
  sources.config_file = value("--config").value_or("");
  sources.flags = setting_flags_;
  return sources;
}

Result<Settings> Invocation::load_settings() const {
  AC_TRY(Settings settings, Settings::load(setting_sources()));
  use_log_settings(settings);
  return settings;
}

}  // namespace ac::cli
