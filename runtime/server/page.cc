#include "runtime/server/page.h"

#include <openssl/sha.h>

#include <array>

#include "runtime/core/check.h"
#include "runtime/server/base64.h"

namespace ac {
namespace {

std::string base64_sha256(std::string_view text) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return base64_of(digest);
}

// What stands between <name> and </name>. REQUIRES: it is there, once.
std::string_view inside(std::string_view page, std::string_view name) {
  const std::string opening = fmt::format("<{}>", name), closing = fmt::format("</{}>", name);
  const size_t begin = page.find(opening), end = page.find(closing);
  AC_CHECK(begin != std::string_view::npos && end != std::string_view::npos && begin < end);
  return page.substr(begin + opening.size(), end - begin - opening.size());
}

}  // namespace

const std::string& whole_page() {
  static const std::string page = [] {
    std::string text;
    for (const PageFile& part : page_files()) text += part.text;
    return text;
  }();
  return page;
}

HttpFields page_fields(std::string_view page) {
  return {{"content-type", "text/html; charset=utf-8"},
          {"cache-control", "no-cache"},
          {"etag", fmt::format("\"{}\"", base64_sha256(page))},
          {"x-content-type-options", "nosniff"},
          {"referrer-policy", "no-referrer"},
          {"content-security-policy",
           fmt::format("default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; "
                       "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action "
                       "'none'; frame-ancestors 'none'",
                       base64_sha256(inside(page, "script")), base64_sha256(inside(page, "style")))}};
}

}  // namespace ac
