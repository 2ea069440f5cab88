#include "runtime/server/http_guard.h"

#include <gtest/gtest.h>

namespace ac {
namespace {

int status_with(HttpFields fields, HttpGuard guard = {.port = 8080}) {
  HttpRequest request;
  request.fields = std::move(fields);
  const auto refusal = refusal_of(request, guard);
  return refusal ? refusal->status : 200;
}

TEST(HttpGuard, NamesOfThisMachine) {
  for (const char* host : {"127.0.0.1:8080", "localhost:8080", "[::1]:8080"}) {
    EXPECT_EQ(status_with({{"host", host}}), 200) << host;
  }
  for (const char* host :
       {"", "127.0.0.1", "localhost", "127.0.0.1:80", "127.0.0.1:8080.evil.example",
        "localhost.:8080", "LOCALHOST:8080", "127.0.0.1.evil:8080", "10.0.0.1:8080",
        "192.168.0.1:8080", "lab.local:8080", "evil.example:8080", "127.0.0.1:08080",
        " 127.0.0.1:8080", "0.0.0.0:8080", "127.1:8080", "0:8080", "2130706433:8080",
        "0x7f000001:8080", "017700000001:8080", "127.0.1:8080", "127.0.0.2:8080",
        "127.0.0.1:8080 ", "127.0.0.1:8080,", "127.0.0.1:8080,evil.example", "127.0.0.1:",
        "127.0.0.1:80800", "127.0.0.1:+8080", "127.0.0.1:8080/", "127.0.0.1:8080#", "127.0.0.1:8080?",
        "user@127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1;8080", "localhost:8081",
        "localhost", "localhost.localdomain:8080", "localhost.evil.example:8080",
        "evil.localhost:8080", "local-host:8080", "localhosT:8080", "[::1]", "[::1]:8081",
        "[0:0:0:0:0:0:0:1]:8080", "[::ffff:127.0.0.1]:8080", "::1:8080", "[::1:8080", "[::]:8080",
        "[fe80::1]:8080", "169.254.169.254:8080", "172.16.0.1:8080", "printer.local:8080",
        "router:8080", "*:8080", "*.local:8080", "%6c%6f%63alhost:8080", "\xef\xbd\x8cocalhost:8080",
        "127.0.0.1\t:8080", "127.0.0.1.:8080", "1.0.0.127:8080", "rbndr.us:8080"}) {
    EXPECT_EQ(status_with({{"host", host}}), 403) << host;
  }
  EXPECT_EQ(status_with({}), 400);
  EXPECT_EQ(status_with({{"host", "127.0.0.1:8080"}, {"host", "127.0.0.1:8080"}}), 400);
  EXPECT_EQ(status_with({{"host", "lab.example:8080"}}, {.port = 8080, .hosts = {"lab.example"}}),
            200);
  // A proxy in front has a port of its own, and https.
  const HttpGuard behind{.port = 8080, .hosts = {"lab.example:8443"}};
  EXPECT_EQ(status_with({{"host", "lab.example:8443"}}, behind), 200);
  EXPECT_EQ(status_with({{"host", "lab.example:8443"}, {"origin", "https://lab.example:8443"}}, behind),
            200);
  EXPECT_EQ(status_with({{"host", "lab.example:8444"}}, behind), 403);
  EXPECT_EQ(status_with({{"host", "lab.example:8443"}, {"origin", "https://lab.example"}}, behind), 403);
  EXPECT_EQ(status_with({{"host", "localhost"}}, {.port = 80}), 200);
}

TEST(HttpGuard, PagesOfOthersMayNot) {
  const std::pair<std::string, std::string> host = {"host", "127.0.0.1:8080"};
  EXPECT_EQ(status_with({host, {"origin", "http://127.0.0.1:8080"}}), 200);
  EXPECT_EQ(status_with({host, {"origin", "http://localhost:8080"}}), 200);
  for (const char* origin : {"null", "http://evil.example", "https://127.0.0.1:8080", "file://",
                             "http://127.0.0.1:8081", "http://127.0.0.1", ""}) {
    EXPECT_EQ(status_with({host, {"origin", origin}}), 403) << origin;
  }
  EXPECT_EQ(status_with({host, {"sec-fetch-site", "same-origin"}}), 200);
  EXPECT_EQ(status_with({host, {"sec-fetch-site", "none"}}), 200);
  EXPECT_EQ(status_with({host, {"sec-fetch-site", "cross-site"}}), 403);
  EXPECT_EQ(status_with({host, {"sec-fetch-site", "same-site"}}), 403);
}

}  // namespace
}  // namespace ac
