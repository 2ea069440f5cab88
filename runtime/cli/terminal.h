// Standard output, interruption and exit codes.
#pragma once

#include <fmt/core.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "runtime/core/cancel.h"
#include "runtime/core/result.h"

namespace ac::cli {

// Answers and listings. A reader that went away (EPIPE) ends the program quietly; any other failure
// is an error at the end.
class Output {
 public:
  // False: nothing more can be written.
  bool write(std::string_view text);
  bool write_line(std::string_view text);
  // A model's words, in whole UTF-8 characters. On a terminal, control characters other than line
  // feeds and tabs are shown as U+FFFD: an answer must not move the cursor or retitle the window.
  bool write_untrusted(std::string_view text);
  bool flush();
  bool usable() const { return error_number_ == 0; }
  // Flushes. Errors: kIo, but not for a reader that went away.
  Status finish();

 private:
  std::string buffer_;
  int error_number_ = 0;
};
Output& output();

template <class... Args>
void print(fmt::format_string<Args...> format, Args&&... args) {
  output().write(fmt::format(format, std::forward<Args>(args)...));
}

// What write_untrusted shows on a terminal.
std::string without_controls(std::string_view text);

// Ctrl-C raises this flag.
CancelFlag& interrupted();
// Clears the flag and watches for Ctrl-C from here on. A second one either ends the process, should
// the first not be heeded, or raises the flag again.
enum class SecondInterrupt { kEndsProcess, kRaisesFlag };
void watch_interrupts(SecondInterrupt second = SecondInterrupt::kEndsProcess);
// And for what else asks a server to end: SIGTERM and SIGHUP.
void watch_terminations();

// The one table of exit codes: 0 done, 2 bad input or usage, 130 interrupted, 1 anything else.
inline constexpr int kExitInterrupted = 130;
int exit_code(ErrorCode code);

// Shows on a terminal that something goes on, with the seconds so far, once it takes longer than
// one.
class Waiting {
 public:
  explicit Waiting(std::string title);
  ~Waiting();
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  void stop();  // the line is gone when this returns; may be called again

 private:
  struct State;
  std::unique_ptr<State> state_;  // nullptr: nothing is shown
};

// All of standard input. Errors: kInvalidArgument above limit_bytes, kIo.
Result<std::string> read_stdin(uint64_t limit_bytes);
bool stdin_is_terminal();

}  // namespace ac::cli
