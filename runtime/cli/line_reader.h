// Lines from the person at the keyboard: edited through libedit on a terminal, plain when piped.
#pragma once

#include <memory>
#include <optional>
#include <string>

namespace ac::cli {

class LineReader {
 public:
  LineReader();
  ~LineReader();
  LineReader(const LineReader&) = delete;
  LineReader& operator=(const LineReader&) = delete;

  struct Line {
    std::string text;      // without its line feed
    bool cleared = false;  // Ctrl-C: the line is to be forgotten
  };
  // Nothing at the end of input (Ctrl-D). The history lives in memory only.
  std::optional<Line> read(const char* prompt);

 private:
  struct Editor;
  std::unique_ptr<Editor> editor_;  // nullptr when piped
};

}  // namespace ac::cli
