// Answers of POST /v1/chat/completions and /v1/completions, and errors, as OpenAI's clients expect
// them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/core/json.h"
#include "runtime/route/router.h"
#include "runtime/server/chat_request.h"
#include "runtime/server/http_server.h"

namespace ac {

struct ReplyHead {
  std::string id;       // "chatcmpl-..."
  int64_t created = 0;  // seconds since 1970
  std::string model;    // that answers, or was asked for until that is known
  bool is_chat = true;  // else the text that continues a prompt
};

// {"error": {"message", "type", "param", "code"}}
std::string error_body(int status, std::string_view message, std::string_view param = {},
                       std::string_view code = {});
// The status that an error of the router stands for, and its code.
struct ErrorStatus {
  int status = 500;
  std::string_view code{};
};
ErrorStatus status_of(ErrorCode code);

// A whole answer.
std::string completion_body(const ReplyHead& head, const RoutedAnswer& answer);
// "stop" or "length" of a receipt.
std::string_view finish_reason_of(const Receipt& receipt);

// Events of a stream, each with its "data: " and blank line. The first has the role, the last the
// reason and what was done.
std::string first_event(const ReplyHead& head);
std::string piece_event(const ReplyHead& head, std::string_view piece);
std::string last_event(const ReplyHead& head, const RoutedAnswer& answer);
std::string usage_event(const ReplyHead& head, const Receipt& receipt);
std::string error_event(int status, std::string_view message, std::string_view code);
inline constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";
inline constexpr std::string_view kKeepAlive = ": keep-alive\n\n";

// x-agentcompress-route and what else a receipt says in headers.
HttpFields receipt_fields(const Receipt& receipt);

}  // namespace ac
