#include "runtime/route/sse.h"

namespace ac {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

// The value of a `data` field in `line`; false for any other field and for comments.
bool data_of(std::string_view line, std::string_view* value) {
  if (!line.starts_with("data")) return false;
  line.remove_prefix(4);
  if (line.empty()) {
    *value = {};
    return true;
  }
  if (line.front() != ':') return false;
  line.remove_prefix(1);
  if (line.starts_with(' ')) line.remove_prefix(1);
  *value = line;
  return true;
}

}  // namespace

Status SseParser::end_line(const OnEvent& on_event) {
  std::string_view line = line_;
  if (first_line_) {
    first_line_ = false;
    if (line.starts_with(kByteOrderMark)) line.remove_prefix(kByteOrderMark.size());
  }
  std::string_view value;
  if (line.empty()) {
    if (has_data_) {
      AC_TRY_STATUS(on_event(data_));
      data_.clear();
      has_data_ = false;
    }
  } else if (data_of(line, &value)) {
    if (data_.size() + value.size() >= limits_.max_event_bytes) {
      return fail(ErrorCode::kRemote, "an event of more than {} bytes", limits_.max_event_bytes);
    }
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
  line_.clear();
  return {};
}

Status SseParser::feed(std::string_view bytes, const OnEvent& on_event) {
  while (!bytes.empty()) {
    if (skip_lf_) {
      skip_lf_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = bytes.find_first_of("\r\n");
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() + piece.size() > limits_.max_line_bytes) {
      return fail(ErrorCode::kRemote, "a line of more than {} bytes", limits_.max_line_bytes);
    }
    line_ += piece;
    if (end == std::string_view::npos) return {};
    skip_lf_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    AC_TRY_STATUS(end_line(on_event));
  }
  return {};
}

std::string SseParser::unfinished_data() const {
  std::string out = data_;
  std::string_view value;
  if (data_of(line_, &value)) {
    if (has_data_) out += '\n';
    out += value;
  }
  return out;
}

}  // namespace ac
