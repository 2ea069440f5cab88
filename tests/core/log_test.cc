#include "runtime/core/log.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <thread>
#include <vector>

namespace ac {
namespace {

class LogTest : public testing::Test {
 protected:
  void TearDown() override { set_log_level(LogLevel::kWarning); }
};

TEST_F(LogTest, WritesOneLineToStderrFromItsLevelUp) {
  testing::internal::CaptureStderr();
  log_info("hidden {}", 1);
  log_warning("disk is {} % full", 91);
  log_line(LogLevel::kError, "lab.ini:3: bad");
  set_log_level(LogLevel::kOff);
  log_line(LogLevel::kError, "never");
  note_line("local q4_0");
  EXPECT_EQ(
      testing::internal::GetCapturedStderr(),
      "agentcompress: warning: disk is 91 % full\nagentcompress: lab.ini:3: bad\nlocal q4_0\n");
}

TEST_F(LogTest, ControlCharactersCannotReachTheTerminal) {
  testing::internal::CaptureStderr();
  log_line(LogLevel::kError, "name '\x1b[2J\n\x7f\xc3\xa9'");
  EXPECT_EQ(testing::internal::GetCapturedStderr(),
            "agentcompress: name '\\x1b[2J\\x0a\\x7f\xc3\xa9'\n");
}

TEST_F(LogTest, LinesOfThreadsDoNotMix) {
  testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 50; ++i) log_warning("{}", std::string(200, static_cast<char>('a' + t)));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const std::string text = testing::internal::GetCapturedStderr();
  const size_t line_bytes = std::string_view("agentcompress: warning: \n").size() + 200;
  ASSERT_EQ(text.size(), 200 * line_bytes);
  for (size_t at = 0; at < text.size(); at += line_bytes) {
    EXPECT_EQ(text.substr(at + line_bytes - 201, 200), std::string(200, text[at + line_bytes - 2]));
  }
}

TEST_F(LogTest, ProgressIsSilentForShortWorkAndPlainWhenPiped) {
  testing::internal::CaptureStderr();
  {
    Progress progress("hashing", 100);
    for (uint64_t i = 0; i <= 100; ++i) progress.update(i);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  testing::internal::CaptureStderr();
  {
    Progress progress("hashing", 100);
    std::this_thread::sleep_for(std::chrono::milliseconds(1050));
    for (uint64_t i = 0; i <= 100; ++i) progress.update(i, "q4_0");
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 10);
  EXPECT_EQ(text.substr(0, text.find('\n')), "hashing 10% q4_0");
  EXPECT_EQ(text.find('\r'), std::string::npos);
}

TEST_F(LogTest, ColoursNeedATerminal) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  EXPECT_FALSE(colours_allowed(pipe_fds[1]));
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

}  // namespace
}  // namespace ac
