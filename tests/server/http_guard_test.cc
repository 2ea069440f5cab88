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
        " 127.0.0.1:8080", "0.0.0.0:8080", "127.1:8080"}) {
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
