#include "runtime/server/http_guard.h"

#include <algorithm>
#include <array>

namespace ac {
namespace {

constexpr std::array<std::string_view, 3> kLoopback = {"127.0.0.1", "localhost", "[::1]"};

bool is_known(std::string_view host, const HttpGuard& guard) {
  const auto matches = [&](std::string_view name) {
    return host == fmt::format("{}:{}", name, guard.port) || (guard.port == 80 && host == name);
  };
  return std::any_of(kLoopback.begin(), kLoopback.end(), matches) ||
         std::any_of(guard.hosts.begin(), guard.hosts.end(), matches);
}

}  // namespace

std::optional<HttpRefusal> refusal_of(const HttpRequest& request, const HttpGuard& guard) {
  const auto n_hosts = std::count_if(request.fields.begin(), request.fields.end(),
                                     [](const auto& field) { return field.first == "host"; });
  if (n_hosts != 1) return HttpRefusal{400, "expected exactly one Host header"};
  if (!is_known(*request.field("host"), guard)) {
    return HttpRefusal{403, "this server does not answer to that Host"};
  }
  if (const auto origin = request.field("origin")) {
    constexpr std::string_view kScheme = "http://";
    if (!origin->starts_with(kScheme) || !is_known(origin->substr(kScheme.size()), guard)) {
      return HttpRefusal{403, "pages of other origins may not use this server"};
    }
  }
  const auto site = request.field("sec-fetch-site");
  if (site && *site != "same-origin" && *site != "none") {
    return HttpRefusal{403, "pages of other sites may not use this server"};
  }
  return std::nullopt;
}

}  // namespace ac
