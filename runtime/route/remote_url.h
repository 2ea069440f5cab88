// The remote's base URL, checked before anything is sent there.
#pragma once

#include <string>
#include <string_view>

#include "runtime/core/result.h"

namespace ac {

struct RemoteUrl {
  std::string base;  // normalised, no slash at the end
  std::string host;  // "host" or "host:port", for messages
  bool https = false;
};

// Errors: kInvalidArgument: not http or https, credentials, a query, a fragment, control characters
// or blanks, or plain http to a host that is not loopback by its spelling ("localhost",
// 127.0.0.0/8,
// [::1]). A key may go over plain http to loopback: that is what an ssh tunnel to a lab server
// looks like.
Result<RemoteUrl> parse_remote_url(std::string_view url);

}  // namespace ac
