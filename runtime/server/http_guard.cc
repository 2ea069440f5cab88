#include "runtime/server/http_guard.h"

#include <algorithm>
#include <array>

namespace ac {
namespace {

constexpr std::array<std::string_view, 3> kLoopback = {"127.0.0.1", "localhost", "[::1]"};

bool is_named(std::string_view host, std::string_view name, uint16_t port) {
  return host == fmt::format("{}:{}", name, port) || (port == 80 && host == name);
}

bool is_listed(std::string_view host, const HttpGuard& guard) {
  return std::any_of(guard.hosts.begin(), guard.hosts.end(), [&](const std::string& name) {
    return host == name || is_named(host, name, guard.port);
  });
}

bool is_known(std::string_view host, const HttpGuard& guard) {
  return is_listed(host, guard) ||
         std::any_of(kLoopback.begin(), kLoopback.end(), [&](std::string_view name) {
           return is_named(host, name, guard.port);
         });
}

// A page of this server; over https where a proxy with one of the listed names stands in front.
bool is_own(std::string_view origin, const HttpGuard& guard) {
  constexpr std::string_view kPlain = "http://", kTls = "https://";
  if (origin.starts_with(kPlain)) return is_known(origin.substr(kPlain.size()), guard);
  return origin.starts_with(kTls) && is_listed(origin.substr(kTls.size()), guard);
}

}  // namespace

std::optional<HttpRefusal> refusal_of(const HttpRequest& request, const HttpGuard& guard) {
  const auto n_hosts = std::count_if(request.fields.begin(), request.fields.end(),
                                     [](const auto& field) { return field.first == "host"; });
  if (n_hosts != 1) return HttpRefusal{400, "expected exactly one Host header"};
  if (!is_known(*request.field("host"), guard)) {
    return HttpRefusal{403, "this server does not answer to that Host"};
  }
  if (const auto origin = request.field("origin"); origin && !is_own(*origin, guard)) {
    return HttpRefusal{403, "pages of other origins may not use this server"};
  }
  const auto site = request.field("sec-fetch-site");
  if (site && *site != "same-origin" && *site != "none") {
    return HttpRefusal{403, "pages of other sites may not use this server"};
  }
  return std::nullopt;
}

}  // namespace ac
