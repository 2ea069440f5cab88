#include "runtime/cli/terminal.h"

#include <gtest/gtest.h>

namespace ac::cli {
namespace {

TEST(Terminal, ControlCharactersOfAnAnswerAreReplaced) {
  EXPECT_EQ(without_controls("a\tb\n"), "a\tb\n");
  EXPECT_EQ(without_controls("\x1b[2J"), "\xef\xbf\xbd[2J");
  EXPECT_EQ(without_controls("\r\x7f\b"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(without_controls("\xc2\x9b"
                             "31m"),
            "\xef\xbf\xbd"
            "31m");
  EXPECT_EQ(without_controls("\xc2\xa0\xc3\xa9\xe2\x82\xac"), "\xc2\xa0\xc3\xa9\xe2\x82\xac");
  EXPECT_EQ(without_controls(std::string_view("\0", 1)), "\xef\xbf\xbd");
  EXPECT_EQ(without_controls("\xc2"), "\xc2");
}

TEST(Terminal, EveryErrorHasItsExitCode) {
  EXPECT_EQ(exit_code(ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(exit_code(ErrorCode::kNotFound), 2);
  EXPECT_EQ(exit_code(ErrorCode::kCorruptFile), 2);
  EXPECT_EQ(exit_code(ErrorCode::kUnsupported), 2);
  EXPECT_EQ(exit_code(ErrorCode::kContextFull), 2);
  EXPECT_EQ(exit_code(ErrorCode::kIo), 1);
  EXPECT_EQ(exit_code(ErrorCode::kRemote), 1);
  EXPECT_EQ(exit_code(ErrorCode::kOutOfMemory), 1);
  EXPECT_EQ(exit_code(ErrorCode::kCancelled), 130);
}

}  // namespace
}  // namespace ac::cli
