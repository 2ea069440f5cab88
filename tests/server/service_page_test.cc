// Who is let in, what they may do, and what the page is told.
#include <future>
#include <nlohmann/json.hpp>

#include "tests/predictor/plain_gates.h"
#include "tests/server/service_fixture.h"

namespace ac {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr const char* kKey = "0123456789abcdefghijklmn";

Json json_of(const std::string& text) {
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200")) << text;
  return *parse_json(text.substr(text.find("\r\n\r\n") + 4));
}

TEST_F(ServiceTest, WithKeysWhoeverHasNoneIsSentAway) {
  serve({.keys = std::make_shared<const KeyRing>(
             KeyRing::parse(fmt::format("ann {0}\nbot zz{0} local", kKey), "keys").value())});
  const std::string spends = fmt::format("Authorization: Bearer {}\r\n", kKey);
  const std::string local = fmt::format("Authorization: Bearer zz{}\r\n", kKey);
  const std::string none = raw(body_of(kEasy));
  EXPECT_THAT(none, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(none, HasSubstr(R"("code":"invalid_api_key")"));
  for (const std::string& wrong :
       {fmt::format("Authorization: {}\r\n", kKey), std::string("Authorization: Bearer x\r\n"),
        fmt::format("Authorization: Bearer {}x\r\n", kKey)}) {
    const std::string refused = raw(body_of(kEasy), "/v1/chat/completions", wrong);
    EXPECT_EQ(refused, none) << "nothing tells one wrong key from another";
  }
  for (const char* path : {"/v1/models", "/metrics", "/version", "/api/state", "/none"}) {
    EXPECT_THAT(get(path), StartsWith("HTTP/1.1 401")) << path;
    EXPECT_THAT(get(path, spends), Not(StartsWith("HTTP/1.1 401"))) << path;
  }
  EXPECT_THAT(get("/health"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get("/"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(raw(body_of(kHard), "/v1/chat/completions", spends),
              HasSubstr("x-agentcompress-route: remote"));
  EXPECT_THAT(raw(body_of(kHard), "/v1/chat/completions", local),
              HasSubstr("x-agentcompress-reason: kept_here"));
  EXPECT_EQ(world_.n_questions, 1);
}

TEST_F(ServiceTest, TheServersOwnUserMayHaveTheRemoteAsked) {
  serve({.page = {.remote_host = "gpu.lab"}});
  EXPECT_THAT(raw(body_of(kHard)), HasSubstr("x-agentcompress-route: remote"));
  // Who stands behind a proxy is not known; nor may that one decide for others.
  const std::string passed_on = "X-Forwarded-For: 192.0.2.7\r\n";
  for (const bool offline : {false, true}) {
    if (offline) {
      EXPECT_THAT(raw(R"({"offline":true})", "/api/offline"), StartsWith("HTTP/1.1 200"));
    }
    for (const char* path : {"/api/offline", "/api/feedback", "/api/zoo/unload"}) {
      EXPECT_THAT(raw(R"({"offline":false,"good":true,"variant":"q4"})", path, passed_on),
                  StartsWith("HTTP/1.1 403"))
          << path;
    }
    EXPECT_THAT(raw(body_of(kHard), "/v1/chat/completions", passed_on),
                HasSubstr(offline ? "reason: offline" : "reason: kept_here"));
  }
  EXPECT_EQ(world_.n_questions, 1);
}

TEST_F(ServiceTest, APromptThatMayNotLeaveIsNeverForwarded) {
  router_options_.forward_rules = ForwardRules::parse("aurora", "never.txt").value();
  serve();
  for (const char* path : {"/v1/chat/completions", "/v1/responses", "/v1/route"}) {
    const std::string body =
        std::string_view(path) == "/v1/responses"
            ? R"({"model":"auto","instructions":"of Aurora","input":"0.2"})"
            : R"({"model":"auto","messages":[{"role":"system","content":"of Aurora"},)"
              R"({"role":"user","content":[{"type":"text","text":"0.2"}]}]})";
    EXPECT_THAT(raw(body, path), HasSubstr("kept_here")) << path;
  }
  EXPECT_THAT(raw(R"({"model":"remote","messages":[{"role":"user","content":"0.2 aurora"}]})"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(world_.n_clients, 0);
}

// A request to the remote that takes long does not hold up what can be answered here.
TEST_F(ServiceTest, WhileTheRemoteThinksOthersAreAnswered) {
  serve();
  std::promise<void> asked, go_on;
  world_.on_question = [&] {
    asked.set_value();
    go_on.get_future().wait();
  };
  auto hard = std::async(std::launch::async, [&] { return raw(body_of(kHard)); });
  asked.get_future().wait();
  EXPECT_THAT(raw(body_of(kEasy)), HasSubstr("x-agentcompress-route: local"));
  EXPECT_EQ(hard.wait_for(0ms), std::future_status::timeout);
  go_on.set_value();
  EXPECT_THAT(hard.get(), HasSubstr("x-agentcompress-route: remote"));
}

TEST_F(ServiceTest, ThePageMayLoadNothingElse) {
  serve();
  const std::string page = get("/");
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(page, HasSubstr("content-type: text/html; charset=utf-8"));
  EXPECT_THAT(page, HasSubstr("default-src 'none'; script-src 'sha256-"));
  EXPECT_THAT(page, HasSubstr("frame-ancestors 'none'"));
  EXPECT_THAT(page, Not(HasSubstr("unsafe")));
  EXPECT_THAT(page, Not(HasSubstr("access-control")));
  const size_t at = page.find("etag: ") + 6;
  const std::string tag = page.substr(at, page.find("\r\n", at) - at);
  const std::string again = get("/", "If-None-Match: " + tag + "\r\n");
  EXPECT_THAT(again, StartsWith("HTTP/1.1 304"));
  EXPECT_THAT(again, Not(HasSubstr("<html")));
}

TEST_F(ServiceTest, ThePageIsToldWhatThereIs) {
  serve({.page = {.variants = {{.id = "q4", .method = "quantize q4_0", .bytes = 100, .bits = 4.5,
                                .relative_compute = 0.25, .tasks = {.n = 10, .right = 8}}},
                  .remote_host = "gpu.lab",
                  .remote_model = "big"}});
  const Json state = json_of(get("/api/state"));
  EXPECT_EQ(state["version"], "1.2.3");
  EXPECT_EQ(state["remote"]["state"], "ready");
  EXPECT_EQ(state["offline"], false);
  EXPECT_EQ(state["gate"], "none");
  Json zoo = json_of(get("/api/zoo"));
  EXPECT_EQ(zoo["variants"][0]["loaded"], false);
  EXPECT_EQ(zoo["variants"][0]["quality"]["success"], 0.8);
  EXPECT_EQ(zoo["variants"][0]["tokens_per_second_here"], nullptr);
  zoo = json_of(raw(R"({"variant":"q4"})", "/api/zoo/load"));
  EXPECT_EQ(zoo["variants"][0]["loaded"], true);
  zoo = json_of(raw(R"({"variant":"q4"})", "/api/zoo/unload"));
  EXPECT_EQ(zoo["variants"][0]["loaded"], false);
  EXPECT_EQ(world_.n_alive_engines, 0);
  EXPECT_THAT(raw(R"({"variant":7})", "/api/zoo/load"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(get("/api/savings"), StartsWith("HTTP/1.1 404")) << "no ledger is kept";
  EXPECT_EQ(json_of(get("/api/router"))["curve"], Json::array());
  EXPECT_THAT(get("/api/none"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(raw("{}", "/api/none"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(raw(R"({"good":true})", "/api/feedback"), StartsWith("HTTP/1.1 404"));
}

TEST_F(ServiceTest, ThePageSwitchesTheNetworkOff) {
  serve({.page = {.remote_host = "gpu.lab", .remote_model = "big"}});
  EXPECT_EQ(json_of(raw(R"({"offline":true})", "/api/offline"))["offline"], true);
  EXPECT_THAT(raw(body_of(kHard)), HasSubstr("x-agentcompress-reason: offline"));
  EXPECT_EQ(json_of(raw(R"({"offline":false})", "/api/offline"))["offline"], false);
  EXPECT_THAT(raw(body_of(kHard)), HasSubstr("x-agentcompress-route: remote"));
  for (const char* wrong : {"{}", R"({"offline":"yes"})", "[]", "{"}) {
    EXPECT_THAT(raw(wrong, "/api/offline"), StartsWith("HTTP/1.1 400")) << wrong;
  }
}

TEST_F(ServiceTest, WhatIsOfflineBySettingsStaysSo) {
  serve({.page = {.offline_fixed = true}});
  EXPECT_THAT(raw(R"({"offline":false})", "/api/offline"), StartsWith("HTTP/1.1 409"));
}

TEST_F(ServiceTest, SavingsAreTheLedgers) {
  ledger_ = Ledger::open(":memory:", system_clock()).value();
  router_options_.source = "serve";
  router_options_.prices = {.usd_per_million_prompt_tokens = 1000,
                            .usd_per_million_completion_tokens = 1000};
  serve();
  raw(body_of(kEasy));
  raw(body_of(kHard));
  const Json savings = json_of(get("/api/savings?days=2"));
  EXPECT_EQ(savings["all"]["answers"], 2);
  EXPECT_EQ(savings["all"]["local"], 1);
  EXPECT_EQ(savings["models"].size(), 2u);
  EXPECT_EQ(savings["days"].size(), 1u);
  ASSERT_EQ(savings["recent"].size(), 2u);
  EXPECT_EQ(savings["recent"][0]["place"], "remote") << "newest first";
  for (const char* wrong : {"days=0", "days=", "days=x", "days=9999", "weeks=1"}) {
    EXPECT_THAT(get(fmt::format("/api/savings?{}", wrong)), StartsWith("HTTP/1.1 400")) << wrong;
  }
}

TEST(PromiseCurve, IsWhatTheLabelsSay) {
  // Half of the prompts are easy for both, half succeed with the full model alone.
  CalibrationTable table{.n_tiers = 2, .predicted = {}, .earned = {}};
  for (int i = 0; i < 400; ++i) {
    const bool easy = i % 2 == 0;
    for (const float p : {easy ? 0.9f : 0.1f, 0.9f}) table.predicted.push_back(p);
    for (const float e : {easy ? 1.0f : 0.0f, 1.0f}) table.earned.push_back(e);
  }
  const auto curve = promise_curve(table, 0.9);
  ASSERT_FALSE(curve.empty());
  for (const PromisePoint& point : curve) {
    EXPECT_NEAR(point.local_share, 0.5, 1e-9) << point.target_success;
    EXPECT_NEAR(point.retained, 1, 1e-9);
    EXPECT_LE(point.low, point.retained);
  }
  EXPECT_TRUE(promise_curve({.n_tiers = 2, .predicted = {}, .earned = {}}, 0.9).empty());
}

}  // namespace
}  // namespace ac
