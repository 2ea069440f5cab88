// Bytes of an event stream, whole and in pieces, into the answer that the remote client makes of
// them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "runtime/route/chat_wire.h"

namespace {

struct Outcome {
  std::string text;
  std::string relayed;
  std::string message;
  bool whole = false;
  bool done = false;
  bool operator==(const Outcome&) const = default;
};

Outcome read(std::string_view bytes, size_t piece) {
  Outcome out;
  ac::AnswerReader reader(100, [&](std::string_view text) {
    out.relayed += text;
    return true;
  });
  for (size_t at = 0; at < bytes.size(); at += piece) {
    const ac::Status status = reader.feed_stream(bytes.substr(at, piece));
    out.done = reader.done();
    if (!status.has_value()) {
      out.message = status.error().message;
      return out;
    }
  }
  ac::Result<ac::RemoteAnswer> answer = reader.finish();
  out.done = reader.done();
  out.whole = answer.has_value();
  if (!out.whole) {
    out.message = answer.error().message;
    return out;
  }
  // A whole answer has both of its ends, and its text is what was relayed.
  if (!out.done || answer->finish_reason.empty() || answer->text != out.relayed) std::abort();
  if (answer->text.size() > 4096 + 64 * 100) std::abort();
  out.text = answer->text;
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = 1 + data[0] % 16;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (!(read(bytes, piece) == read(bytes, bytes.size() + 1))) std::abort();
  const std::string message = ac::error_message_of(bytes);
  if (ac::printable(message, message.size()) != message) std::abort();
  static_cast<void>(ac::model_ids_of(bytes));
  return 0;
}
