// The text of a request that would leave with it: what rules look at, and what is paid for.
#pragma once

#include <string>
#include <vector>

#include "runtime/route/router.h"

namespace ac {

// All of it, as it would be sent (chat_request_body): messages, functions, schemas, stop texts. In bytes.
size_t leaving_bytes(const RouteRequest& request);

// The same in the words that whoever reads it sees: each text, and where one is JSON (functions and
// their calls always are, what they say often) its keys and strings as well, without escapes, in order.
std::vector<std::string> leaving_texts(const RouteRequest& request);

}  // namespace ac
