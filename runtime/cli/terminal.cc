#include "runtime/cli/terminal.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "runtime/core/clock.h"
#include "runtime/core/file.h"
#include "runtime/core/log.h"

namespace ac::cli {
namespace {

constexpr size_t kBufferBytes = 64u << 10;

void on_interrupt(int) { interrupted().raise(); }

}  // namespace

bool Output::write(std::string_view text) {
  if (!usable()) return false;
  buffer_ += text;
  return buffer_.size() < kBufferBytes || flush();
}

bool Output::write_line(std::string_view text) { return write(text) && write("\n"); }

bool Output::write_untrusted(std::string_view text) {
  static const bool is_terminal = isatty(STDOUT_FILENO) == 1;
  return is_terminal ? write(without_controls(text)) : write(text);
}

std::string without_controls(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {
      out += kReplacement;  // U+0080 to U+009F: terminals take U+009B for ESC [
      ++i;
    } else if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f) {
      out += kReplacement;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool Output::flush() {
  std::string_view rest = buffer_;
  while (usable() && !rest.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (n >= 0) {
      rest.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EINTR) {
      error_number_ = errno;
    }
  }
  buffer_.clear();
  return usable();
}

Status Output::finish() {
  flush();
  if (usable() || error_number_ == EPIPE) return {};
  return fail(ErrorCode::kIo, "cannot write to standard output: {}",
              std::generic_category().message(error_number_));
}

Output& output() {
  static Output only;
  return only;
}

CancelFlag& interrupted() {
  static CancelFlag flag;
  return flag;
}

void watch_interrupts(SecondInterrupt second) {
  interrupted().clear();  // also constructs it, before a handler may run
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  // No SA_RESTART: a read from the terminal is to return.
  if (second == SecondInterrupt::kEndsProcess) action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
}

void watch_terminations() {
  watch_interrupts();
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigemptyset(&action.sa_mask);
  for (const int signal : {SIGTERM, SIGHUP}) sigaction(signal, &action, nullptr);
}

struct Waiting::State {
  std::mutex mutex;
  std::condition_variable changed;
  bool done = false;
  std::thread thread;
};

Waiting::Waiting(std::string title) {
  if (isatty(STDERR_FILENO) != 1) return;
  state_ = std::make_unique<State>();
  state_->thread = std::thread([this_state = state_.get(), title = std::move(title)] {
    Progress progress(title, 0);
    const auto begin = system_clock().now();
    std::unique_lock lock(this_state->mutex);
    while (!this_state->changed.wait_for(lock, std::chrono::milliseconds(200),
                                         [&] { return this_state->done; })) {
      progress.update(0, fmt::format("{:.0f} s", seconds_between(begin, system_clock().now())));
    }
  });
}

Waiting::~Waiting() { stop(); }

void Waiting::stop() {
  if (state_ == nullptr) return;
  {
    const std::lock_guard lock(state_->mutex);
    state_->done = true;
  }
  state_->changed.notify_one();
  state_->thread.join();
  state_.reset();
}

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kCorruptFile:
    case ErrorCode::kUnsupported:
    case ErrorCode::kContextFull:
      return 2;
    case ErrorCode::kCancelled:
      return kExitInterrupted;
    case ErrorCode::kIo:
    case ErrorCode::kRemote:
    case ErrorCode::kOutOfMemory:
      break;
  }
  return 1;
}

Result<std::string> read_stdin(uint64_t limit_bytes) {
  auto text = read_file("/dev/stdin", limit_bytes);
  if (!text) return with_context(text.error(), "standard input");
  return text;
}

bool stdin_is_terminal() { return isatty(STDIN_FILENO) == 1; }

}  // namespace ac::cli
