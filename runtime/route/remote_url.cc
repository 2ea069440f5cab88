#include "runtime/route/remote_url.h"

#include <arpa/inet.h>
#include <curl/curl.h>

#include <memory>

namespace ac {
namespace {

struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// One part of a parsed URL, empty when it has none.
std::string part_of(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  std::string out;
  if (curl_url_get(url, part, &text, 0) == CURLUE_OK && text != nullptr) out = text;
  curl_free(text);
  return out;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

}  // namespace

Result<RemoteUrl> parse_remote_url(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F) {
      return fail(ErrorCode::kInvalidArgument, "url: holds a blank or a control character");
    }
  }
  const std::unique_ptr<CURLU, UrlDeleter> url(curl_url());
  if (url == nullptr) return fail(ErrorCode::kOutOfMemory, "url: no memory");
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(), 0);
  // The text is not repeated before it is known to hold no password.
  if (code == CURLUE_UNSUPPORTED_SCHEME) {
    return fail(ErrorCode::kInvalidArgument, "url: only https and http are possible");
  }
  if (code != CURLUE_OK) {
    return fail(ErrorCode::kInvalidArgument, "url: want https://host/v1 ({})",
                curl_url_strerror(code));
  }
  if (!part_of(url.get(), CURLUPART_USER).empty() ||
      !part_of(url.get(), CURLUPART_PASSWORD).empty()) {
    return fail(ErrorCode::kInvalidArgument,
                "url: holds a name or password; the key has a setting of its own");
  }
  for (const CURLUPart part : {CURLUPART_QUERY, CURLUPART_FRAGMENT, CURLUPART_ZONEID}) {
    if (!part_of(url.get(), part).empty()) {
      return fail(ErrorCode::kInvalidArgument, "url: want no query, fragment or zone");
    }
  }
  RemoteUrl out;
  const std::string scheme = part_of(url.get(), CURLUPART_SCHEME);
  const std::string host = part_of(url.get(), CURLUPART_HOST);
  const std::string port = part_of(url.get(), CURLUPART_PORT);
  out.https = scheme == "https";
  if (!out.https && scheme != "http") {
    return fail(ErrorCode::kInvalidArgument, "url: {}: only https and http are possible", scheme);
  }
  if (!out.https && !is_loopback(host)) {
    return fail(ErrorCode::kInvalidArgument,
                "url: plain http to {}: only loopback may be asked without TLS", host);
  }
  out.host = port.empty() ? host : host + ":" + port;
  out.base = part_of(url.get(), CURLUPART_URL);
  while (out.base.ends_with('/')) out.base.pop_back();
  return out;
}

}  // namespace ac
