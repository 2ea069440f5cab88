// Who may speak to a server on a loopback port: pages of other sites may not, whatever a browser
// sends for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/server/http_server.h"

namespace ac {

struct HttpGuard {
  uint16_t port = 0;
  // That may stand in Host beside 127.0.0.1, localhost and [::1], with this port or as they are:
  // "lab-42", "lab-42.example:8443" of a proxy in front.
  std::vector<std::string> hosts{};
};

// Exactly one Host, one of the known names with the server's port: a name that an attacker's DNS
// points here is none of them. No Origin but the server's own, no Sec-Fetch-Site of another site.
std::optional<HttpRefusal> refusal_of(const HttpRequest& request, const HttpGuard& guard);

}  // namespace ac
