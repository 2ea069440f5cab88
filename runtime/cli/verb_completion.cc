// completion: a script for bash, zsh or fish, made from the tables of verbs and settings.
#include <algorithm>
#include <array>
#include <set>

#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"

namespace ac::cli {
namespace {

// For single quotes of a shell.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

bool wants_file(std::string_view value) { return value == "FILE" || value == "FOLDER"; }

std::string words_of(std::string choices) {
  std::replace(choices.begin(), choices.end(), '|', ' ');
  return choices;
}

// First words, and for each the second words it may have.
std::string first_words() {
  std::string words;
  std::set<std::string_view> seen;
  for (const Verb* verb : verbs()) {
    const std::string_view first = verb->name.substr(0, verb->name.find(' '));
    if (seen.insert(first).second) words += fmt::format("{}{}", words.empty() ? "" : " ", first);
  }
  return words;
}

std::map<std::string, std::string> second_words() {
  std::map<std::string, std::string> groups;
  for (const Verb* verb : verbs()) {
    const size_t space = verb->name.find(' ');
    if (space == std::string_view::npos) continue;
    std::string& words = groups[std::string(verb->name.substr(0, space))];
    words += fmt::format("{}{}", words.empty() ? "" : " ", verb->name.substr(space + 1));
  }
  return groups;
}

void write_bash() {
  print("# agentcompress completion for bash: eval \"$(agentcompress completion bash)\"\n");
  print("_agentcompress() {{\n");
  print("  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}\n");
  print("  local verb=${{COMP_WORDS[1]}} flags='' words=''\n");
  print("  COMPREPLY=()\n");
  print("  if ((COMP_CWORD == 1)); then\n");
  print("    COMPREPLY=($(compgen -W {} -- \"$word\"))\n    return\n  fi\n",
        shell_quoted(first_words()));
  for (const auto& [group, words] : second_words()) {
    print("  if [[ $verb == {} ]]; then\n", group);
    print(
        "    if ((COMP_CWORD == 2)); then COMPREPLY=($(compgen -W {} -- \"$word\")); return; fi\n",
        shell_quoted(words));
    print("    verb=\"$verb ${{COMP_WORDS[2]}}\"\n  fi\n");
  }
  print("  case $verb in\n");
  for (const Verb* verb : verbs()) {
    std::string flags, choices;
    for (const Flag& flag : flags_of(*verb)) {
      flags += fmt::format("{}{}", flags.empty() ? "" : " ", flag.name);
      if (flag.value.find('|') != std::string::npos) {
        choices +=
            fmt::format("        {}) words={} ;;\n", flag.name, shell_quoted(words_of(flag.value)));
      } else if (!flag.value.empty() && !wants_file(flag.value)) {
        choices += fmt::format("        {}) return ;;\n", flag.name);
      }
    }
    print("    {})\n      flags={}\n", shell_quoted(verb->name), shell_quoted(flags));
    if (verb->arguments.find('|') != std::string_view::npos) {
      print("      words={}\n", shell_quoted(words_of(std::string(verb->arguments))));
    }
    if (!choices.empty()) print("      case $before in\n{}      esac\n", choices);
    print("      ;;\n");
  }
  print("  esac\n");
  print("  if [[ $word == -* ]]; then\n    COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n");
  print("  elif [[ -n $words ]]; then\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n");
  print("  else\n    compopt -o filenames\n    COMPREPLY=($(compgen -f -- \"$word\"))\n  fi\n");
  print("}}\ncomplete -F _agentcompress agentcompress\n");
}

// The text of a zsh specification: colons and brackets separate there.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == ':' || c == '[' || c == ']' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

void write_zsh() {
  print(
      "#compdef agentcompress\n# agentcompress completion for zsh: "
      "eval \"$(agentcompress completion zsh)\"\n");
  print("_agentcompress() {{\n  local verb=$words[2]\n");
  print("  if ((CURRENT == 2)); then compadd -- {}; return; fi\n", first_words());
  for (const auto& [group, words] : second_words()) {
    print("  if [[ $verb == {} ]]; then\n", group);
    print("    if ((CURRENT == 3)); then compadd -- {}; return; fi\n", words);
    print("    verb=\"$verb $words[3]\"\n    shift words\n    ((CURRENT--))\n  fi\n");
  }
  print("  shift words\n  ((CURRENT--))\n  case $verb in\n");
  for (const Verb* verb : verbs()) {
    print("    {})\n      _arguments \\\n", shell_quoted(verb->name));
    for (const Flag& flag : flags_of(*verb)) {
      std::string action;
      if (flag.value.find('|') != std::string::npos) {
        action = fmt::format(":value:({})", words_of(flag.value));
      } else if (!flag.value.empty()) {
        action = wants_file(flag.value) ? ":file:_files" : ":value: ";
      }
      print("        {} \\\n",
            shell_quoted(fmt::format("{}[{}]{}", flag.name, zsh_text(flag.help), action)));
    }
    const bool choices = verb->arguments.find('|') != std::string_view::npos;
    print("        {}\n      ;;\n",
          shell_quoted(choices
                           ? fmt::format("*:argument:({})", words_of(std::string(verb->arguments)))
                           : std::string("*:argument:_files")));
  }
  print("  esac\n}}\n");
  print(
      "if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _agentcompress \"$@\"; "
      "else compdef _agentcompress agentcompress; fi\n");
}

void write_fish() {
  print("# agentcompress completion for fish: agentcompress completion fish | source\n");
  print("complete -c agentcompress -n __fish_use_subcommand -f\n");
  const auto groups = second_words();
  for (const Verb* verb : verbs()) {
    const size_t space = verb->name.find(' ');
    const std::string first(verb->name.substr(0, space));
    std::string condition = fmt::format("__fish_seen_subcommand_from {}", first);
    if (space == std::string_view::npos) {
      print("complete -c agentcompress -n __fish_use_subcommand -a {} -d {}\n", first,
            shell_quoted(verb->summary));
    } else {
      const std::string second(verb->name.substr(space + 1));
      if (groups.at(first).starts_with(second)) {
        print("complete -c agentcompress -n __fish_use_subcommand -a {}\n", first);
      }
      print("complete -c agentcompress -n {} -f -a {} -d {}\n",
            shell_quoted(fmt::format("{}; and not __fish_seen_subcommand_from {}", condition,
                                     groups.at(first))),
            second, shell_quoted(verb->summary));
      condition += fmt::format("; and __fish_seen_subcommand_from {}", second);
    }
    if (verb->arguments.find('|') != std::string_view::npos) {
      print("complete -c agentcompress -n {} -f -a {}\n", shell_quoted(condition),
            shell_quoted(words_of(std::string(verb->arguments))));
    }
    for (const Flag& flag : flags_of(*verb)) {
      std::string value;
      if (flag.value.find('|') != std::string::npos) {
        value = fmt::format(" -x -a {}", shell_quoted(words_of(flag.value)));
      } else if (!flag.value.empty()) {
        value = wants_file(flag.value) ? " -r" : " -x";
      }
      print("complete -c agentcompress -n {} -l {}{} -d {}\n", shell_quoted(condition),
            flag.name.substr(2), value, shell_quoted(flag.help));
    }
  }
}

Result<int> run(const Invocation& invocation) {
  const std::string& shell = invocation.arguments()[0];
  if (shell == "bash") {
    write_bash();
  } else if (shell == "zsh") {
    write_zsh();
  } else if (shell == "fish") {
    write_fish();
  } else {
    return usage_error(invocation.verb(),
                       fmt::format("unknown shell '{}', expected bash|zsh|fish", shell));
  }
  return 0;
}

}  // namespace

constinit const Verb kCompletion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "print a completion script for a shell",
    .run = run,
};

}  // namespace ac::cli
