// Bodies of requests of every kind: read or refused with a reason, never anything else.
#include "runtime/server/chat_request.h"
#include "tests/fuzz/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const auto read : {ac::read_chat_request, ac::read_completion_request,
                          ac::read_responses_request, ac::read_route_request}) {
    const auto made = read(body);
    if (const auto* request = std::get_if<ac::ChatRequest>(&made)) {
      FUZZ_CHECK(!request->model.empty());
      FUZZ_CHECK(request->messages.empty() == request->raw_prompt.has_value());
      FUZZ_CHECK(!request->max_tokens || *request->max_tokens >= 1);
      FUZZ_CHECK(request->stop.size() <= 4);
    } else {
      FUZZ_CHECK(!std::get<ac::ChatRefusal>(made).message.empty());
    }
  }
  return 0;
}
