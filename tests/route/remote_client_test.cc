// The remote client against a server that behaves, in every way that servers do.
#include "runtime/route/remote_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/route/remote_test_util.h"

namespace ac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kAnswer = "The answer is forty-two.";

class RemoteClientTest : public testing::Test {
 protected:
  FaultyServer server_;
};

TEST_F(RemoteClientTest, StreamsAnAnswer) {
  const Asked asked = ask(options_for(server_.url("ok")));
  ASSERT_TRUE(asked.answer.has_value()) << asked.message();
  EXPECT_EQ(asked.answer->text, kAnswer);
  EXPECT_EQ(asked.relayed, kAnswer);
  EXPECT_EQ(asked.n_pieces, 6);
  EXPECT_EQ(asked.answer->model, "big-1");
  EXPECT_EQ(asked.answer->finish_reason, "stop");
  EXPECT_TRUE(asked.answer->usage_known);
  EXPECT_EQ(asked.answer->prompt_tokens, 12);
  EXPECT_EQ(asked.answer->completion_tokens, 6);
  EXPECT_DOUBLE_EQ(asked.answer->cost_usd, (12 * 2.0 + 6 * 10.0) / 1e6);
  EXPECT_EQ(asked.answer->attempts, 1);
  EXPECT_GT(asked.answer->first_text_seconds, 0);
  EXPECT_LE(asked.answer->first_text_seconds, asked.answer->seconds);
}

TEST_F(RemoteClientTest, SendsTheseBytesAndNoOthers) {
  ASSERT_TRUE(ask(options_for(server_.url("ok"))).answer.has_value());
  const std::vector<Json> requests = server_.requests();
  ASSERT_EQ(requests.size(), 1u);
  const Json& request = requests[0];
  EXPECT_EQ(request["method"], "POST");
  EXPECT_EQ(request["path"], "/ok/v1/chat/completions");
  EXPECT_EQ(request["body"],
            R"({"model":"big-1","messages":[{"role":"user","content":"What is the answer?"}],)"
            R"("max_tokens":64,"temperature":0.0,"stream":true,)"
            R"("stream_options":{"include_usage":true}})");
  std::vector<std::string> headers;
  for (const Json& header : request["headers"]) {
    const auto name = header[0].get<std::string>();
    const auto value = header[1].get<std::string>();
    if (name == "Content-Length") continue;
    if (name == "Host") {
      EXPECT_EQ(value, "127.0.0.1:" + std::to_string(server_.port()));
      continue;
    }
    headers.push_back(name + ": " + value);
  }
  EXPECT_THAT(headers, testing::UnorderedElementsAre("User-Agent: agentcompress",
                                                     "Content-Type: application/json",
                                                     "Accept: text/event-stream, application/json",
                                                     "Authorization: Bearer " + std::string(kKey)));
}

TEST_F(RemoteClientTest, EveryWayToWriteAStream) {
  for (const char* behaviour : {"keepalives", "bytewise", "crlf", "cr", "nospace", "bom",
                                "barelast", "json", "reasoning", "interim"}) {
    const Asked asked = ask(options_for(server_.url(behaviour)));
    ASSERT_TRUE(asked.answer.has_value()) << behaviour << ": " << asked.message();
    EXPECT_EQ(asked.answer->text, kAnswer) << behaviour;
    EXPECT_EQ(asked.relayed, kAnswer) << behaviour;
    EXPECT_EQ(asked.answer->completion_tokens, 6) << behaviour;
  }
}

TEST_F(RemoteClientTest, WhatFollowsDoneIsNotWaitedFor) {
  const Asked asked = ask(options_for(server_.url("afterdone")));
  ASSERT_TRUE(asked.answer.has_value()) << asked.message();
  EXPECT_EQ(asked.answer->text, kAnswer);
  EXPECT_LE(asked.took, milliseconds(100) + kSlack);
}

TEST_F(RemoteClientTest, UncountedTokensCostNothingAndSayso) {
  for (const char* behaviour : {"nousage", "bigusage"}) {
    const Asked asked = ask(options_for(server_.url(behaviour)));
    ASSERT_TRUE(asked.answer.has_value()) << asked.message();
    EXPECT_FALSE(asked.answer->usage_known);
    EXPECT_EQ(asked.answer->completion_tokens, 0);
    EXPECT_EQ(asked.answer->cost_usd, 0);
  }
}

TEST_F(RemoteClientTest, ALongAnswerAndOneConnectionForManyQuestions) {
  RemoteOptions options = options_for(server_.url("many~400"));
  options.first_event_timeout = milliseconds(5000);  // the server has a long prompt to read
  const auto client = client_for(options);
  RemoteRequest request;
  request.messages = {
      {.role = "user", .content = std::string(3u << 20, 'x')}};  // no "100 Continue"
  request.max_tokens = 400;
  for (int i = 0; i < 3; ++i) {
    const Result<RemoteAnswer> answer = client->complete(request);
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    EXPECT_TRUE(answer->text.ends_with("w399 "));
    EXPECT_EQ(answer->finish_reason, "length");
  }
  const std::vector<Json> requests = server_.requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_EQ(requests[2]["connection"], requests[0]["connection"]);
}

TEST_F(RemoteClientTest, ConcurrentQuestions) {
  const auto client = client_for(options_for(server_.url("ok")));
  std::vector<std::thread> threads;
  std::atomic<int> n_good{0};
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 5; ++k) {
        const Asked asked = ask(*client);
        if (asked.answer.has_value() && asked.relayed == kAnswer) ++n_good;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(n_good, 20);
}

TEST_F(RemoteClientTest, CancelIsSeenWhileWaiting) {
  for (const char* behaviour : {"slowhead~5000", "stall~0", "stall~3", "commentsafter~2"}) {
    RemoteOptions options = options_for(server_.url(behaviour));
    options.first_event_timeout = options.between_events_timeout = milliseconds(5000);
    const auto client = client_for(std::move(options));
    CancelFlag cancel;
    std::thread canceller([&] {
      std::this_thread::sleep_for(milliseconds(150));
      cancel.raise();
    });
    const Asked asked = ask(*client, &cancel);
    canceller.join();
    ASSERT_FALSE(asked.answer.has_value());
    EXPECT_EQ(asked.answer.error().code, ErrorCode::kCancelled) << behaviour;
    EXPECT_LE(asked.took, milliseconds(200) + kSlack) << behaviour;
    EXPECT_TRUE(client->available());
  }
}

TEST_F(RemoteClientTest, CancelIsSeenBetweenAttempts) {
  const auto client = client_for(options_for(server_.url("status~503~4")));
  CancelFlag cancel;
  std::thread canceller([&] {
    std::this_thread::sleep_for(milliseconds(150));
    cancel.raise();
  });
  const Asked asked = ask(*client, &cancel);
  canceller.join();
  ASSERT_FALSE(asked.answer.has_value());
  EXPECT_EQ(asked.answer.error().code, ErrorCode::kCancelled);
  EXPECT_LE(asked.took, milliseconds(200) + kSlack);
  EXPECT_EQ(server_.requests().size(), 1u);
}

TEST_F(RemoteClientTest, TheReceiverOfTheTextCanStop) {
  const auto client = client_for(options_for(server_.url("ok")));
  RemoteRequest request;
  request.messages = {{.role = "user", .content = "x"}};
  std::string got;
  request.on_text = [&](std::string_view piece) {
    got += piece;
    return got.size() < 5;
  };
  const Result<RemoteAnswer> answer = client->complete(request);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(got, "The answer");
}

TEST_F(RemoteClientTest, ListsModels) {
  const auto client = client_for(options_for(server_.url("ok")));
  const Result<std::vector<std::string>> models = client->list_models();
  ASSERT_TRUE(models.has_value()) << models.error().message;
  EXPECT_THAT(*models, ElementsAre("big-1", "evil [2J"));
  EXPECT_EQ(server_.requests()[0]["method"], "GET");
  EXPECT_EQ(server_.requests()[0]["path"], "/ok/v1/models");
}

TEST_F(RemoteClientTest, ListingModelsFailsWithinTheConnectDeadline) {
  for (const char* behaviour :
       {"stall~0", "slowhead~3000", "html200", "status~500", "endlessjson"}) {
    RemoteOptions options = options_for(server_.url(behaviour));
    options.connect_timeout = milliseconds(300);
    const auto client = client_for(std::move(options));
    const auto start = std::chrono::steady_clock::now();
    const Result<std::vector<std::string>> models = client->list_models();
    ASSERT_FALSE(models.has_value()) << behaviour;
    EXPECT_EQ(models.error().code, ErrorCode::kRemote) << behaviour;
    EXPECT_LE(std::chrono::steady_clock::now() - start, milliseconds(300) + kSlack) << behaviour;
  }
}

TEST_F(RemoteClientTest, ProxiesOfTheEnvironmentAreNotUsed) {
  const std::string nowhere = "http://127.0.0.1:" + std::to_string(closed_port());
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"}) {
    ASSERT_EQ(setenv(name, nowhere.c_str(), 1), 0);
  }
  const Asked asked = ask(options_for(server_.url("ok")));
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"}) {
    unsetenv(name);
  }
  EXPECT_TRUE(asked.answer.has_value()) << asked.message();
}

TEST_F(RemoteClientTest, AProxyOfTheSettingsIsUsed) {
  RemoteOptions options = options_for("https://remote.invalid/v1");
  options.proxy = "http://127.0.0.1:" + std::to_string(server_.port());
  setenv("no_proxy", "*", 1);
  const Asked asked = ask(std::move(options));
  unsetenv("no_proxy");
  ASSERT_FALSE(asked.answer.has_value());
  const std::vector<Json> requests = server_.requests();
  ASSERT_FALSE(requests.empty());
  EXPECT_EQ(requests[0]["method"], "CONNECT");
  EXPECT_EQ(requests[0]["path"], "remote.invalid:443");
  EXPECT_THAT(requests[0].dump(), Not(HasSubstr(kKey)));  // the key is not for the proxy
}

TEST(RemoteClientCreate, RefusesWhatCannotWork) {
  const auto message = [](RemoteOptions options) {
    const Result<std::unique_ptr<RemoteClient>> client = RemoteClient::create(std::move(options));
    if (client.has_value()) return std::string("created");
    EXPECT_EQ(client.error().code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(client.error().message, Not(HasSubstr("canary")));
    return client.error().message;
  };
  RemoteOptions options = options_for("https://host/v1");
  EXPECT_EQ(message(options), "created");
  options.url = "http://host/v1";
  EXPECT_THAT(message(options), HasSubstr("plain http to host"));
  options = options_for("https://host/v1");
  options.model = "";
  EXPECT_THAT(message(options), HasSubstr("no model named"));
  for (const char* key : {"canary\r\nX-Evil: 1", "canary key", "canary\xC3\xA4", "canary\x7f"}) {
    options = options_for("https://host/v1");
    options.api_key = Secret(key);
    EXPECT_THAT(message(options), HasSubstr("the key holds"));
  }
  options = options_for("https://host/v1");
  options.total_timeout = milliseconds(0);
  EXPECT_THAT(message(options), HasSubstr("a timeout of 0 ms"));
  options = options_for("https://host/v1");
  options.proxy = "http://user:canary@proxy:8080";
  EXPECT_THAT(message(options), HasSubstr("proxy"));
}

}  // namespace
}  // namespace ac
