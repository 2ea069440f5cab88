// agentcompress: finds the verb, runs it, turns an error into one line and an exit code.
#include <signal.h>

#include <exception>
#include <new>
#include <string>
#include <vector>

#include "runtime/cli/terminal.h"
#include "runtime/cli/verb.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/log.h"
#include "runtime/core/nearest.h"

namespace ac::cli {
namespace {

struct Choice {
  const Verb* verb = nullptr;
  size_t n_words = 0;  // that name it
};

// The verb that the first words name; ask where they name none.
Result<Choice> choose_verb(const std::vector<std::string>& words) {
  if (words.empty() || words[0].starts_with('-')) return Choice{&kAsk, 0};
  std::vector<std::string_view> firsts, seconds;
  for (const Verb* verb : verbs()) {
    const size_t space = verb->name.find(' ');
    const std::string_view first = verb->name.substr(0, space);
    firsts.push_back(first);
    if (first != words[0]) continue;
    if (space == std::string_view::npos) return Choice{verb, 1};
    seconds.push_back(verb->name.substr(space + 1));
    if (words.size() > 1 && seconds.back() == words[1]) return Choice{verb, 2};
  }
  if (!seconds.empty()) {
    std::string known;
    for (const std::string_view second : seconds)
      known += fmt::format("{}{}", known.empty() ? "" : "|", second);
    return fail(ErrorCode::kInvalidArgument, "{}: expected {} {}, found {}{}", words[0], words[0],
                known, words.size() > 1 ? fmt::format("'{}'", words[1]) : "nothing",
                words.size() > 1 ? did_you_mean(words[1], seconds) : "");
  }
  // A single word that almost is a verb is a slip, not a question.
  if (const auto near = nearest_name(words[0], firsts);
      near && words[0].find(' ') == std::string::npos) {
    return fail(
        ErrorCode::kInvalidArgument,
        "unknown verb '{}', did you mean '{}'? (to ask it as a question: agentcompress ask '{}')",
        words[0], *near, words[0]);
  }
  return Choice{&kAsk, 0};
}

Result<int> run(std::vector<std::string> words) {
  if (words.empty() && stdin_is_terminal()) words = {"--help"};
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h" || words[0] == "help")) {
    if (words.size() == 1) {
      output().write(help_text());
      return 0;
    }
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  if (!words.empty() && words[0] == "--version") words[0] = "version";
  AC_TRY(const Choice choice, choose_verb(words));
  words.erase(words.begin(), words.begin() + static_cast<ptrdiff_t>(choice.n_words));
  AC_TRY(const Invocation invocation, Invocation::parse(*choice.verb, std::move(words)));
  if (invocation.wants_help()) {
    output().write(help_text(*choice.verb));
    return 0;
  }
  return choice.verb->run(invocation);
}

int report(const Error& error) {
  if (!error.message.empty()) log_line(LogLevel::kError, error.message);
  return exit_code(error.code);
}

int main_guarded(std::vector<std::string> words) {
  const Result<int> result = run(std::move(words));
  const Status written = output().finish();
  if (!result) return report(result.error());
  if (!written) return report(written.error());
  return *result;
}

}  // namespace
}  // namespace ac::cli

int main(int argc, char** argv) {
  // A reader that goes away is seen as EPIPE by the one who writes.
  signal(SIGPIPE, SIG_IGN);
  try {
    return ac::cli::main_guarded({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const std::bad_alloc&) {
    return ac::cli::report({ac::ErrorCode::kOutOfMemory, "out of memory"});
  } catch (const std::exception& error) {
    return ac::cli::report({ac::ErrorCode::kIo, fmt::format("unexpected: {}", error.what())});
  }
}
