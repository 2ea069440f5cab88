#include "runtime/route/local_tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ac {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr const char* kTools =
    R"([{"type":"function","function":{"name":"weather","description":"of a place","parameters":)"
    R"({"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},)"
    R"("required":["city"],"additionalProperties":false}}},)"
    R"({"type":"function","function":{"name":"now"}}])";

LocalTools tools_of(const char* choice = "") { return LocalTools::create(kTools, choice).value(); }

TEST(LocalTools, WhatIsARightCallCountsAsOne) {
  const LocalTools tools = tools_of();
  const auto call = tools.call_in(" {\"name\":\"weather\",\"arguments\":{\"city\":\"Bern\",\"days\":2}}\n");
  ASSERT_TRUE(call);
  EXPECT_EQ(call->name, "weather");
  EXPECT_EQ(call->arguments, R"({"city":"Bern","days":2})");
  EXPECT_THAT(call->id, StartsWith("call_"));
  EXPECT_TRUE(tools.call_in(R"({"name":"now","arguments":{}})"));
  for (const char* words :
       {"", "Bern is dry.", "{", R"({"name":"weather"})", R"({"name":"rain","arguments":{}})",
        R"({"name":"weather","arguments":{}})", R"({"name":"weather","arguments":{"city":7}})",
        R"({"name":"now","arguments":{}} and more)"}) {
    EXPECT_FALSE(tools.call_in(words)) << words;
  }
}

TEST(LocalTools, OneThatHasToBeCalledIsWanted) {
  EXPECT_EQ(tools_of().wanted(), nullptr);
  EXPECT_EQ(tools_of("\"auto\"").wanted(), nullptr);
  EXPECT_NE(tools_of("\"required\"").wanted(), nullptr);
  const LocalTools one = tools_of(R"({"type":"function","function":{"name":"now"}})");
  EXPECT_NE(one.wanted(), nullptr);
  EXPECT_TRUE(one.call_in(R"({"name":"now","arguments":{}})"));
  EXPECT_FALSE(one.call_in(R"({"name":"weather","arguments":{"city":"Bern"}})"));
}

TEST(LocalTools, TheConversationIsToldInWords) {
  const std::vector<ChatMessage> messages = {
      {"user", "Rain in Bern?"},
      {"assistant", "I look.",
       R"({"role":"assistant","content":"I look.","tool_calls":[{"id":"a","type":"function",)"
       R"("function":{"name":"weather","arguments":"{\"city\":\"Bern\"}"}}]})"},
      {"tool", "dry", R"({"role":"tool","tool_call_id":"a","content":"dry"})"}};
  const auto told = tools_of().told(messages);
  ASSERT_EQ(told.size(), 4u);
  EXPECT_EQ(told[0].role, "system");
  EXPECT_THAT(told[0].content, HasSubstr(R"("name":"weather")"));
  EXPECT_THAT(told[0].content, HasSubstr(R"({"name": ..., "arguments": {...}})"));
  EXPECT_EQ(told[2].content, "I look.\n" R"({"name":"weather","arguments":{"city":"Bern"}})");
  EXPECT_EQ(told[3].role, "user");
  EXPECT_EQ(told[3].content, "The function says:\ndry");
  const auto briefed = tools_of().told({{"system", "Be brief."}, {"user", "Rain?"}});
  ASSERT_EQ(briefed.size(), 2u);
  EXPECT_THAT(briefed[0].content, StartsWith("Be brief.\n\nYou can call"));
}

TEST(LocalTools, WhatCannotBeKeptIsRefused) {
  EXPECT_EQ(LocalTools::create(kTools, R"({"type":"function","function":{"name":"rain"}})").error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(LocalTools::create(
                R"([{"type":"function","function":{"name":"f","parameters":)"
                R"({"type":"object","patternProperties":{"a":{}}}}}])",
                "")
                .error()
                .code,
            ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace ac
