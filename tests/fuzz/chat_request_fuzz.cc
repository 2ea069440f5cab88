// Bodies of chat requests: read or refused with a reason, never anything else.
#include "runtime/server/chat_request.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto read =
      ac::read_chat_request(std::string_view(reinterpret_cast<const char*>(data), size));
  if (const auto* request = std::get_if<ac::ChatRequest>(&read)) {
    FUZZ_CHECK(!request->model.empty());
    FUZZ_CHECK(!request->messages.empty());
    FUZZ_CHECK(!request->max_tokens || *request->max_tokens >= 1);
    FUZZ_CHECK(request->stop.size() <= 4);
  } else {
    FUZZ_CHECK(!std::get<ac::ChatRefusal>(read).message.empty());
  }
  return 0;
}
