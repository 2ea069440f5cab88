#include "runtime/core/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>

namespace ac {
namespace {

constexpr double kQuietSeconds = 1.0;  // work that is done sooner shows no progress at all
constexpr double kRedrawSeconds = 0.1;
constexpr double kLineSeconds = 300;
constexpr int kBarCells = 24;

std::atomic<LogLevel> g_level{LogLevel::kWarning};
std::atomic<bool> g_bar_on_screen{false};

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kOff:
      break;
  }
  return spdlog::level::off;
}

std::string printable(std::string_view message) {
  std::string out;
  out.reserve(message.size());
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

spdlog::logger make_logger() {
  auto sink = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(
      colours_allowed(STDERR_FILENO) ? spdlog::color_mode::always : spdlog::color_mode::never);
  spdlog::logger made("agentcompress", std::move(sink));
  made.set_level(spdlog::level::trace);  // log_line has filtered already
  made.flush_on(spdlog::level::trace);
  made.set_pattern("%^%n:%$ %v");
  return made;
}

spdlog::logger& logger() {
  static spdlog::logger made = make_logger();
  return made;
}

void clear_bar() {
  if (g_bar_on_screen.exchange(false)) std::fputs("\r\033[K", stderr);
}

}  // namespace

bool colours_allowed(int fd) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return isatty(fd) == 1 && (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string_view(term) != "dumb";
}

void set_log_level(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }

LogLevel log_level() { return g_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, std::string_view message) {
  if (level < log_level() || level == LogLevel::kOff) return;
  clear_bar();
  const char* word = level == LogLevel::kWarning ? "warning: " : "";
  logger().log(spdlog_level(level), "{}{}", word, printable(message));
}

void note_line(std::string_view message) {
  clear_bar();
  const bool colours = colours_allowed(STDERR_FILENO);
  const std::string line = fmt::format("{}{}{}\n", colours ? "\033[2m" : "", printable(message),
                                       colours ? "\033[0m" : "");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

struct Progress::State {
  using SteadyClock = std::chrono::steady_clock;
  std::string title;
  uint64_t total = 0;
  bool terminal = isatty(STDERR_FILENO) == 1;
  SteadyClock::time_point begin = SteadyClock::now();
  SteadyClock::time_point drawn = SteadyClock::now();
  uint64_t next_tenth = 1;

  void draw_bar(uint64_t done, std::string_view note) {
    std::string line = fmt::format("\r{} ", title);
    if (total > 0) {
      const double share = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
      const int cells = static_cast<int>(share * kBarCells);
      line +=
          fmt::format("[{:#<{}}{:.<{}}] {:3.0f}% ", "", cells, "", kBarCells - cells, share * 100);
    }
    line += fmt::format("{}\033[K", printable(note));
    std::fwrite(line.data(), 1, line.size(), stderr);
    std::fflush(stderr);
    g_bar_on_screen.store(true);
  }

  void draw_line(uint64_t done, std::string_view note) {
    if (total == 0) return;
    // Not done * 10 / total: a count of bytes may be near the end of its type.
    const auto tenths =
        static_cast<uint64_t>(10.0 * static_cast<double>(done) / static_cast<double>(total));
    const auto now = SteadyClock::now();
    const bool is_long_since = std::chrono::duration<double>(now - drawn).count() >= kLineSeconds;
    if (tenths < next_tenth && !is_long_since) return;
    next_tenth = tenths + 1;
    drawn = now;
    const auto hundredths = static_cast<uint64_t>(100.0 * static_cast<double>(done) / static_cast<double>(total));
    note_line(fmt::format("{} {}% {}", title, std::min<uint64_t>(hundredths, 100), note));
  }
};

Progress::Progress(std::string title, uint64_t total) : state_(new State) {
  state_->title = std::move(title);
  state_->total = total;
}

Progress::~Progress() {
  clear_bar();
  delete state_;
}

void Progress::update(uint64_t done, std::string_view note) {
  const auto now = State::SteadyClock::now();
  if (std::chrono::duration<double>(now - state_->begin).count() < kQuietSeconds) return;
  if (!state_->terminal) {
    state_->draw_line(done, note);
  } else if (std::chrono::duration<double>(now - state_->drawn).count() >= kRedrawSeconds) {
    state_->drawn = now;
    state_->draw_bar(done, note);
  }
}

}  // namespace ac
