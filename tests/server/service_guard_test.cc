// Who may do what through the whole server, and what a failing remote looks like from outside: the
// bars of docs/reliability.md that need a socket.
#include <array>
#include <cstdlib>
#include <future>
#include <nlohmann/json.hpp>

#include "runtime/core/json.h"
#include "runtime/core/rng.h"
#include "runtime/route/forward_rules.h"
#include "tests/server/service_fixture.h"

namespace ac {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::array kPaths = {
    "/",           "/health",     "/v1/health",        "/version",          "/metrics",
    "/v1/models",  "/v1/models/q4", "/v1/chat/completions", "/v1/completions", "/v1/responses",
    "/v1/route",   "/v1/embeddings", "/api/state",      "/api/zoo",          "/api/zoo/load",
    "/api/offline", "/api/feedback", "/api/savings",    "/api/router",       "/none"};

int size_from(const char* variable, int usual) {
  const char* const given = std::getenv(variable);
  return given == nullptr ? usual : std::atoi(given);
}

TEST_F(ServiceTest, NoPathIsForPagesOfOthers) {
  serve();
  for (const char* path : kPaths) {
    for (const char* method : {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
      for (const char* field :
           {"Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site"}) {
        RawClient page(server_->port());
        page.send(fmt::format("{} {} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n{}\r\n"
                              "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
                              method, path, server_->port(), field));
        const std::string text = page.read_all();
        EXPECT_THAT(text, StartsWith("HTTP/1.1 403")) << method << " " << path << " " << field;
        EXPECT_THAT(text, Not(HasSubstr("access-control"))) << method << " " << path;
      }
    }
  }
  EXPECT_EQ(world_.n_clients + static_cast<int>(world_.loads.size()), 0);
}

TEST_F(ServiceTest, NoNameIsAPath) {
  serve();
  const std::array parts = {"..", "/", "\\\\", "etc", "passwd", "%2e%2e", "q4", ".gguf", "~", "C:",
                            "\\u0000", "file://", "variants", "-", " ", "*", "$HOME", "|id"};
  Rng rng(4);
  for (int i = 0; i < 500; ++i) {
    std::string name;
    for (uint64_t n = 2 + rng.below(6); n > 0; --n) name += parts[rng.below(parts.size())];
    const std::string text = raw(fmt::format(
        R"({{"model":"{}","messages":[{{"role":"user","content":"0.8"}}]}})", name));
    EXPECT_TRUE(text.starts_with("HTTP/1.1 404") || text.starts_with("HTTP/1.1 400")) << name << text;
  }
  EXPECT_TRUE(world_.loads.empty());
  EXPECT_EQ(world_.n_clients, 0);
}

TEST_F(ServiceTest, WhoIsNotKnownSpendsNothing) {
  serve({.page = {.remote_host = "gpu.lab"}});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_THAT(raw(body_of(kHard), "/v1/chat/completions", "X-Forwarded-For: 192.0.2.7\r\n"),
                HasSubstr("x-agentcompress-reason: kept_here"));
  }
  EXPECT_EQ(world_.n_clients, 0) << "nothing was even connected";
}

// As many as AC_FORWARD_REQUESTS says of either kind.
TEST_F(ServiceTest, ARuleHoldsHoweverItIsAsked) {
  router_options_.forward_rules = ForwardRules::parse("aurora", "never.txt").value();
  serve();
  Rng rng(9);
  const int n = size_from("AC_FORWARD_REQUESTS", 1000);
  const auto body = [&](const std::string& word) {
    std::array<std::string, 4> texts;
    for (std::string& text : texts) {
      for (uint64_t i = rng.below(20); i > 0; --i) text += static_cast<char>('a' + rng.below(26));
    }
    // Its own words are the gate's number; any other text may hold it.
    texts[rng.below(texts.size())] += " " + word + " ";
    const std::string result =
        rng.below(2) == 0
            ? fmt::format(R"({{"role":"assistant","content":null,"tool_calls":[{{"id":"c","type":)"
                          R"("function","function":{{"name":"f","arguments":"{{\"x\":\"{}\"}}"}}}}]}},)"
                          R"({{"role":"tool","tool_call_id":"c","content":"{}"}},)",
                          texts[1], texts[2])
            : fmt::format(R"({{"role":"user","content":[{{"type":"text","text":"{}"}},)"
                          R"({{"type":"text","text":"{}"}}]}},)",
                          texts[1], texts[2]);
    return fmt::format(R"({{"model":"auto","messages":[{{"role":"system","content":"{}"}},{})"
                       R"({{"role":"assistant","content":"{}"}},{{"role":"user","content":"0.2"}}]}})",
                       texts[0], result, texts[3]);
  };
  for (int i = 0; i < n; ++i) {
    ASSERT_THAT(raw(body(i % 2 == 0 ? "Aurora" : "AURORA")),
                HasSubstr("x-agentcompress-reason: kept_here"));
  }
  EXPECT_EQ(world_.n_clients, 0);
  for (int i = 0; i < n; ++i) {
    ASSERT_THAT(raw(body("aurochs")), HasSubstr("x-agentcompress-route: remote"));
  }
  EXPECT_EQ(world_.n_questions, n);
}

// What clients add to a request of any shape goes nowhere.
TEST_F(ServiceTest, NothingElseLeaves) {
  serve();
  Rng rng(3);
  const std::array fields = {R"("user":"CANARY")",
                             R"("metadata":{"a":"CANARY"})",
                             R"("prompt_cache_key":"CANARY")",
                             R"("safety_identifier":"CANARY")",
                             R"("service_tier":"CANARY")",
                             R"("x-own":[{"CANARY":1}])",
                             R"("stream":true)",
                             R"("max_tokens":50)",
                             R"("temperature":0.5)",
                             R"("stop":["q"])",
                             R"("tools":[{"type":"function","own":"CANARY","function":{"name":"f"}}])",
                             R"("logit_bias":{})",
                             R"("response_format":{"type":"json_object","own":"CANARY"})"};
  for (int i = 0; i < 200; ++i) {
    std::string more;
    for (const char* field : fields) {
      if (rng.below(2) == 0) more += std::string(",") + field;
    }
    world_.remote_request.reset();
    const std::string text =
        raw(body_of(kHard, more), "/v1/chat/completions",
            "User-Agent: CANARY\r\nX-Own: CANARY\r\nCookie: CANARY\r\nAuthorization: Bearer CANARY\r\n");
    ASSERT_TRUE(world_.remote_request) << more << "\n" << text;
    const RemoteRequest& sent = *world_.remote_request;
    std::string all = sent.response_format + sent.tools + sent.tool_choice;
    for (const ChatMessage& message : sent.messages) {
      all += message.role + message.content + message.wire;
    }
    for (const std::string& stop : sent.stop) all += stop;
    EXPECT_EQ(all.find("CANARY"), std::string::npos) << more << "\n" << all;
  }
}

// However often and wherever the remote fails, nobody goes without an answer, and what was cut is
// never told as a whole one.
TEST_F(ServiceTest, ARemoteThatFailsCostsNoAnswer) {
  ledger_ = Ledger::open(":memory:", system_clock()).value();
  router_options_.source = "serve";
  serve();
  world_.remote_error = Error{ErrorCode::kRemote, "refused"};
  for (int i = 0; i < 1000; ++i) {
    const std::string text = raw(body_of(kHard));
    ASSERT_THAT(text, StartsWith("HTTP/1.1 200")) << i;
    ASSERT_THAT(text, HasSubstr("x-agentcompress-reason: remote_down"));
  }
  for (const size_t n_pieces : {1u, 2u, 3u}) {
    world_.remote_pieces_before_error = n_pieces;
    for (int i = 0; i < 100; ++i) {
      const std::string text = raw(body_of(kHard, R"(,"stream":true)"));
      ASSERT_THAT(text, HasSubstr("upstream_interrupted"));
      ASSERT_THAT(text, HasSubstr("data: [DONE]"));
      ASSERT_THAT(text, Not(HasSubstr(R"("finish_reason":"stop")")));
      ASSERT_THAT(text, Not(HasSubstr(R"("finish_reason":"length")")));
    }
  }
  const std::string savings = get("/api/savings");
  EXPECT_THAT(savings, HasSubstr("\"interrupted\""));
}

// Who leaves, wherever that is, leaves nothing behind.
TEST_F(ServiceTest, WhoLeavesHoldsUpNobody) {
  serve({.answers = 2, .queue = 8});
  world_.on_generate = [] { std::this_thread::sleep_for(std::chrono::milliseconds(1)); };
  Rng rng(12);
  for (int i = 0; i < 500; ++i) {
    const std::string body = body_of(rng.below(2) == 0 ? kEasy : kHard,
                                     rng.below(2) == 0 ? R"(,"stream":true)" : "");
    const std::string whole =
        fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{}\r\n"
                    "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
                    server_->port(), body.size(), body);
    RawClient client(server_->port());
    client.send(std::string_view(whole).substr(0, rng.below(2 * whole.size())));
    if (rng.below(4) == 0) std::this_thread::sleep_for(std::chrono::microseconds(rng.below(2000)));
    client.leave();
  }
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) EXPECT_THAT(raw(body_of(kEasy)), StartsWith("HTTP/1.1 200"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_THAT(get("/metrics"), HasSubstr("agentcompress_waiting 0\n"));
}

}  // namespace
}  // namespace ac
