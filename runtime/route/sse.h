// Server-sent events: bytes in, events out (WHATWG HTML, section 9.2.6).
//
// Takes LF, CRLF and CR, a byte order mark, comments, `data:` with and without a space, data over
// several lines, and cuts at any byte. `id` and `retry` are of no use here and are skipped.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace ac {

struct SseLimits {
  uint64_t max_line_bytes = 256u << 10;
  uint64_t max_event_bytes = 1u << 20;  // data lines of one event together
};

class SseParser {
 public:
  // `on_event` gets the data of one event, its lines joined by LF; an error it returns ends feed().
  using OnEvent = std::function<Status(std::string_view data)>;

  explicit SseParser(SseLimits limits = {}) : limits_(limits) {}

  // Errors: kRemote when a limit is passed, and those of on_event. After an error the parser is of
  // no further use.
  Status feed(std::string_view bytes, const OnEvent& on_event);

  // Data of an event that was never closed by an empty line, with the line that was never ended. At
  // the end of a stream the standard drops it; a caller may still look.
  std::string unfinished_data() const;

 private:
  Status end_line(const OnEvent& on_event);

  SseLimits limits_;
  std::string line_;  // the line so far, without its end
  std::string data_;  // of the event so far
  bool has_data_ = false;
  bool skip_lf_ = false;  // the last byte was CR: an LF now belongs to it
  bool first_line_ = true;
};

}  // namespace ac
