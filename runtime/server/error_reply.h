// Errors as OpenAI's clients expect them, and what a receipt says in headers.
#pragma once

#include <string>
#include <string_view>

#include "runtime/core/json.h"
#include "runtime/core/result.h"
#include "runtime/route/receipt.h"
#include "runtime/server/http_server.h"

namespace ac {

OrderedJson text_or_null(std::string_view text);
// {"message", "type", "param", "code"}
OrderedJson error_object(int status, std::string_view message, std::string_view param,
                         std::string_view code);
// {"error": {...}}
std::string error_body(int status, std::string_view message, std::string_view param = {},
                       std::string_view code = {});

// The status that an error of the router stands for, and its code.
struct ErrorStatus {
  int status = 500;
  std::string_view code{};
};
ErrorStatus status_of(ErrorCode code);

// x-agentcompress-route and what else a receipt says in headers.
HttpFields receipt_fields(const Receipt& receipt);

}  // namespace ac
