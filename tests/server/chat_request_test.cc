#include "runtime/server/chat_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ac {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ChatRequest read(std::string_view body) {
  auto read = read_chat_request(body);
  const auto* refusal = std::get_if<ChatRefusal>(&read);
  EXPECT_EQ(refusal, nullptr) << refusal->message;
  return refusal == nullptr ? std::get<ChatRequest>(std::move(read)) : ChatRequest();
}

TEST(ChatRequest, AStepOfAWorkflowSaysSo) {
  const auto with = [](const std::string& metadata) {
    return read_chat_request(
        R"({"model":"m","messages":[{"role":"user","content":"hi"}],"metadata":)" + metadata + "}");
  };
  EXPECT_EQ(std::get<ChatRequest>(with(R"({"agentcompress_workflow":"run 1"})")).workflow, "run 1");
  EXPECT_EQ(std::get<ChatRequest>(with(R"({"other":"x"})")).workflow, "");
  EXPECT_EQ(std::get<ChatRequest>(with("null")).workflow, "");
  for (const char* bad : {R"({"agentcompress_workflow":3})", R"({"agentcompress_workflow":""})",
                          R"({"agentcompress_workflow":"a\u0000b"})"}) {
    const auto read = with(bad);
    ASSERT_TRUE(std::holds_alternative<ChatRefusal>(read)) << bad;
    EXPECT_EQ(std::get<ChatRefusal>(read).param, "metadata.agentcompress_workflow");
  }
}

TEST(ChatRequest, WhatClientsSend) {
  const ChatRequest request = read(R"({
    "model": "auto@0.8", "stream": true, "stream_options": {"include_usage": true},
    "messages": [{"role": "developer", "content": "Be brief."},
                 {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                 {"role": "assistant", "content": null}],
    "max_completion_tokens": 7, "temperature": 0.5, "top_p": 1, "seed": -1, "stop": ["x", "yy"],
    "n": 1, "tools": [], "logprobs": false, "response_format": {"type": "text"},
    "user": "me", "metadata": {"a": "b"}, "store": false, "anything": [1, 2]})");
  EXPECT_EQ(request.model, "auto@0.8");
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  ASSERT_EQ(request.messages.size(), 3u);
  EXPECT_EQ(request.messages[0].role, "system");
  EXPECT_EQ(request.messages[1].content, "ab");
  EXPECT_EQ(request.messages[2].content, "");
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_EQ(request.temperature, 0.5f);
  EXPECT_EQ(request.seed, UINT64_MAX);
  EXPECT_THAT(request.stop, ElementsAre("x", "yy"));
  const ChatRequest least =
      read(R"({"model":"m","messages":[{"role":"user","content":"hi"}],"stop":"z"})");
  EXPECT_FALSE(least.stream);
  EXPECT_FALSE(least.max_tokens || least.temperature || least.seed);
  EXPECT_THAT(least.stop, ElementsAre("z"));
}

TEST(ChatRequest, MistakesAreNamed) {
  struct Case {
    const char* body;
    const char* param;
    const char* says;
  };
  // A message in front of what is wrong.
#define WITH(rest) R"({"model":"m","messages":[{"role":"user","content":"hi"}],)" rest "}"
  const Case cases[] = {
      {"", "", ""},
      {"[]", "", "expected an object"},
      {"{", "", ""},
      {R"({"messages":[{"role":"user","content":"hi"}]})", "model", "'model'"},
      {R"({"model":5,"messages":[{"role":"user","content":"hi"}]})", "model", "'model'"},
      {R"({"model":"m"})", "messages", "list of 1"},
      {R"({"model":"m","messages":[]})", "messages", "list of 1"},
      {R"({"model":"m","messages":["hi"]})", "messages[0]", "expected an object"},
      {R"({"model":"m","messages":[{"content":"hi"}]})", "messages[0].role", "role"},
      {R"({"model":"m","messages":[{"role":"king","content":"hi"}]})", "messages[0].role",
       "not a role"},
      {R"({"model":"m","messages":[{"role":"user","content":5}]})", "messages[0].content",
       "a string"},
      {R"({"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]})",
       "messages[0].content", "type 'text'"},
      {WITH(R"("max_tokens": 0)"), "max_tokens", "whole number from 1"},
      {WITH(R"("max_tokens": 1.5)"), "max_tokens", "whole number"},
      {WITH(R"("max_tokens": 99999999999999999999)"), "max_tokens", "whole number"},
      {WITH(R"("max_tokens": "7")"), "max_tokens", "whole number"},
      {WITH(R"("temperature": 3)"), "temperature", "from 0 to 2"},
      {WITH(R"("temperature": -0.1)"), "temperature", "from 0 to 2"},
      {WITH(R"("top_p": true)"), "top_p", "boolean"},
      {WITH(R"("stream": 1)"), "stream", "true or false"},
      {WITH(R"("stream_options": 1)"), "stream_options", "object"},
      {WITH(R"("stop": "")"), "stop", "1 to 256"},
      {WITH(R"("stop": ["1","2","3","4","5"])"), "stop", "at most 4"},
      {WITH(R"("n": 2)"), "n", "one answer"},
      {WITH(R"("tools": [{"type":"function"}])"), "tools", "'name'"},
      {WITH(R"("tools": 1)"), "tools", "a list"},
      {WITH(R"("tools": [{"type":"function","function":{"name":"f"}}],"tool_choice":3)"), "tools",
       "tool_choice"},
      {WITH(R"("logprobs": true)"), "logprobs", "logprobs"},
      {WITH(R"("response_format": "json")"), "response_format", "'type'"},
      {WITH(R"("response_format": {"type":"xml"})"), "response_format", "'xml'"},
      {WITH(R"("response_format": {"type":"json_schema"})"), "response_format", "no 'schema'"},
      {WITH(R"("response_format": {"type":"json_schema","json_schema":{"schema":
            {"type":"string","pattern":"a"}}})"), "response_format", "'pattern'"},
  };
#undef WITH
  for (const Case& each : cases) {
    const auto read = read_chat_request(each.body);
    const auto* refusal = std::get_if<ChatRefusal>(&read);
    ASSERT_NE(refusal, nullptr) << each.body;
    EXPECT_EQ(refusal->status, 400);
    EXPECT_EQ(refusal->param, each.param) << each.body;
    EXPECT_THAT(refusal->message, HasSubstr(each.says)) << each.body;
  }
}

// A value of another kind, or just outside, is refused wherever it stands.
TEST(ChatRequest, NoFieldTakesAnotherKind) {
  struct Kind {
    std::vector<const char*> fields;
    std::vector<const char*> wrong;
  };
  const Kind kinds[] = {
      {{"max_tokens", "max_completion_tokens"},
       {"1.5", "1e2", "0", "-1", "1000001", "18446744073709551616", "-9223372036854775809", "1e400",
        "true", "\"1\"", "[]", "{}"}},
      {{"seed"},
       {"1.5", "\"1\"", "true", "[]", "{}", "18446744073709551616", "-9223372036854775809"}},
      {{"temperature", "top_p"}, {"-0.0001", "2.0001", "1e400", "\"1\"", "true", "[]", "{}"}},
      {{"stream"}, {"0", "1", "\"true\"", "[]", "{}"}},
      {{"stop"}, {"1", "true", "{}", "[1]", "[[]]", "[\"\"]", "\"\""}},
      {{"stream_options", "response_format"}, {"1", "true", "\"a\"", "[]"}},
      {{"tools"}, {"1", "true", "\"a\"", "{}", "[1]", "[[]]"}},
  };
  for (const Kind& kind : kinds) {
    for (const char* field : kind.fields) {
      for (const char* wrong : kind.wrong) {
        const auto read = read_chat_request(
            fmt::format(R"({{"model":"m","messages":[{{"role":"user","content":"x"}}],"{}":{}}})", field,
                        wrong));
        EXPECT_TRUE(std::holds_alternative<ChatRefusal>(read)) << field << " = " << wrong;
      }
    }
  }
}

// At each limit it is taken, one beyond it is not.
TEST(ChatRequest, LimitsAreMeantExactly) {
  const auto many = [](size_t n, const std::string& one) {
    std::string all;
    for (size_t i = 0; i < n; ++i) all += (i == 0 ? "" : ",") + one;
    return all;
  };
  const auto taken = [](const std::string& model, const std::string& messages, const std::string& more) {
    return std::holds_alternative<ChatRequest>(read_chat_request(
        R"({"model":")" + model + R"(","messages":[)" + messages + "]" + more + "}"));
  };
  const std::string message = R"({"role":"user","content":"x"})";
  const std::string function = R"({"type":"function","function":{"name":"f"}})";
  for (const size_t beyond : {0u, 1u}) {
    const bool good = beyond == 0;
    EXPECT_EQ(taken("m", many(2048 + beyond, message), ""), good) << "messages";
    EXPECT_EQ(taken(std::string(128 + beyond, 'm'), message, ""), good) << "model";
    EXPECT_EQ(taken("m", message, R"(,"stop":[)" + many(4 + beyond, R"("s")") + "]"), good);
    EXPECT_EQ(taken("m", message, R"(,"stop":")" + std::string(256 + beyond, 's') + "\""), good);
    EXPECT_EQ(taken("m", message, fmt::format(R"(,"max_tokens":{})", 1'000'000 + beyond)), good);
    EXPECT_EQ(taken("m", message, R"(,"tools":[)" + many(128 + beyond, function) + "]"), good);
    // The body is the first level.
    const size_t depth = 31 + beyond;
    EXPECT_EQ(taken("m", message, R"(,"metadata":)" + std::string(depth, '[') + std::string(depth, ']')),
              good)
        << "nesting";
    EXPECT_EQ(taken("m", message, R"(,"metadata":{"agentcompress_workflow":")" +
                                      std::string(200 + beyond, 'w') + "\"}"),
              good)
        << "workflow";
  }
}

TEST(ChatRequest, SchemasKeepTheirOrder) {
  const auto read = read_chat_request(
      R"({"model":"m","messages":[{"role":"user","content":"x"}],"response_format":
          {"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":
          {"z":{"type":"null"},"a":{"type":"null"}},"required":["z","a"]}}}})");
  const auto* request = std::get_if<ChatRequest>(&read);
  ASSERT_NE(request, nullptr);
  EXPECT_THAT(request->format.wire, HasSubstr(R"("properties":{"z":{"type":"null"},"a")"));
  ASSERT_NE(request->format.grammar, nullptr);
  GrammarMachine machine(*request->format.grammar);
  int32_t state = machine.start();
  for (const char byte : std::string_view(R"({"z":null,"a":null})")) {
    state = machine.next(state, static_cast<uint8_t>(byte));
    ASSERT_NE(state, GrammarMachine::kDead);
  }
  EXPECT_TRUE(machine.may_end(state));
  const auto of_response = read_responses_request(
      R"({"model":"m","input":"x","text":{"format":{"type":"json_schema","name":"n",
          "schema":{"const":1}}}})");
  ASSERT_NE(std::get_if<ChatRequest>(&of_response), nullptr);
  EXPECT_THAT(std::get<ChatRequest>(of_response).format.wire, HasSubstr(R"({"const":1})"));
}

TEST(ChatRequest, FunctionsAreRebuilt) {
  const auto read = read_chat_request(
      R"({"model":"m","messages":[{"role":"user","content":"x"},
          {"role":"assistant","content":null,"secret":1,"tool_calls":[{"id":"c1","type":"function",
           "extra":2,"function":{"name":"f","arguments":"{}"}}]},
          {"role":"tool","tool_call_id":"c1","content":"7"}],
          "tools":[{"type":"web_search"},{"type":"function","function":{"name":"f","description":"d",
           "parameters":{"z":1,"a":2},"own":3}}],
          "tool_choice":{"type":"function","function":{"name":"f"}}})");
  const auto* request = std::get_if<ChatRequest>(&read);
  ASSERT_NE(request, nullptr);
  EXPECT_EQ(request->tools.tools,
            R"([{"type":"function","function":{"name":"f","description":"d",)"
            R"("parameters":{"z":1,"a":2}}}])");
  EXPECT_EQ(request->tools.tool_choice, R"({"type":"function","function":{"name":"f"}})");
  EXPECT_EQ(request->messages[0].wire, "");
  EXPECT_EQ(request->messages[1].wire,
            R"({"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function",)"
            R"("function":{"name":"f","arguments":"{}"}}]})");
  EXPECT_EQ(request->messages[2].wire, R"({"role":"tool","tool_call_id":"c1","content":"7"})");
  const auto none = read_chat_request(
      R"({"model":"m","messages":[{"role":"user","content":"x"}],"tool_choice":"none",
          "tools":[{"type":"function","function":{"name":"f"}}]})");
  EXPECT_EQ(std::get<ChatRequest>(none).tools.tools, "");
  const auto response = read_responses_request(
      R"({"model":"m","instructions":"i","input":[{"role":"user","content":"x"},
          {"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},
          {"type":"function_call_output","call_id":"c1","output":"7"}],
          "tools":[{"type":"function","name":"f","parameters":{}}],"tool_choice":"required"})");
  const auto* of_response = std::get_if<ChatRequest>(&response);
  ASSERT_NE(of_response, nullptr);
  ASSERT_EQ(of_response->messages.size(), 4u);
  EXPECT_EQ(of_response->messages[2].wire, request->messages[1].wire);
  EXPECT_EQ(of_response->messages[3].wire, request->messages[2].wire);
  EXPECT_EQ(of_response->tools.tools,
            R"([{"type":"function","function":{"name":"f","parameters":{}}}])");
  EXPECT_EQ(of_response->tools.tool_choice, R"("required")");
}

}  // namespace
}  // namespace ac
