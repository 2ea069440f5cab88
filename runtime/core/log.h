// Log lines for the person at the terminal: to stderr, never stdout. Secrets have no formatter.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

namespace ac {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kOff };

void set_log_level(LogLevel level);
LogLevel log_level();
// Writes one line, "agentcompress: message"; control characters are shown as \xNN, so that a name
// from outside cannot move the cursor. Thread-safe.
void log_line(LogLevel level, std::string_view message);
// A line that the user asked for (a receipt), whatever the level and without the prefix.
// Thread-safe.
void note_line(std::string_view message);
// May colours go to this descriptor: a terminal that is not dumb, and NO_COLOR is unset.
bool colours_allowed(int fd);

template <class... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  if (log_level() <= LogLevel::kDebug) {
    log_line(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <class... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  if (log_level() <= LogLevel::kInfo) {
    log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <class... Args>
void log_warning(fmt::format_string<Args...> format, Args&&... args) {
  if (log_level() <= LogLevel::kWarning) {
    log_line(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
  }
}

// What is shown while something takes longer than a second: a bar on a terminal, plain lines (one
// every ten per cent and every five minutes) when stderr is piped. Not thread-safe.
class Progress {
 public:
  Progress(std::string title, uint64_t total);  // total 0: unknown, shows the note
  ~Progress();                                  // clears the bar
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(uint64_t done, std::string_view note = {});

 private:
  struct State;
  State* state_;
};

}  // namespace ac
