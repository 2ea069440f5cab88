// How an answer is written: one form for each API that can ask for one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/route/router.h"

namespace ac {

struct ReplyHead {
  std::string id;       // without the API's prefix
  int64_t created = 0;  // seconds since 1970
  std::string model;    // that answers, or was asked for until that is known
};

// A stream is opening(), piece() for each piece of text, and closing() or broken(); an answer that is
// not streamed is whole().
class ReplyForm {
 public:
  explicit ReplyForm(ReplyHead head) : head_(std::move(head)) {}
  virtual ~ReplyForm() = default;

  virtual std::string opening() = 0;
  virtual std::string piece(std::string_view text) = 0;
  virtual std::string closing(const RoutedAnswer& answer) = 0;
  // The end of a stream that has no right end.
  virtual std::string broken(int status, std::string_view message, std::string_view code) = 0;
  virtual std::string whole(const RoutedAnswer& answer) = 0;
  // What later requests may refer to by its id, as messages of the conversation that goes on.
  virtual std::vector<std::pair<std::string, ChatMessage>> items(const RoutedAnswer&) const {
    return {};
  }

 protected:
  ReplyHead head_;
};

// "stop", "length" or "tool_calls".
inline std::string_view finish_reason_of(const RoutedAnswer& answer) {
  if (!answer.tool_calls.empty()) return "tool_calls";
  return answer.receipt.finish == "length" ? "length" : "stop";
}

}  // namespace ac
