#include "runtime/route/receipt.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ac {
namespace {

Receipt local_receipt() {
  Receipt receipt;
  receipt.model = "q4_0";
  receipt.confidence = 0.914;
  receipt.completion_tokens = 31;
  receipt.prompt_tokens = 12;
  receipt.seconds = 0.41;
  receipt.first_token_seconds = 0.05;
  receipt.finish = "stop";
  return receipt;
}

TEST(Receipt, ALevelIsSaidWhereTheNameDoesNot) {
  Receipt receipt = local_receipt();
  receipt.model = "nested.50";
  receipt.level = 50;
  EXPECT_TRUE(receipt.format_line().starts_with("local nested.50 · ")) << receipt.format_line();
  receipt.level = 30;
  EXPECT_TRUE(receipt.format_line().starts_with("local nested.50 at level 30 · "));
  EXPECT_EQ(receipt.to_json()["level"], 30);
  EXPECT_FALSE(local_receipt().to_json().contains("level"));
}

TEST(Receipt, OneLine) {
  Receipt receipt = local_receipt();
  EXPECT_EQ(receipt.format_line(), "local q4_0 · 31 tok · 0.4 s · $0.0000 · confidence 0.91");
  receipt.degraded = true;
  receipt.degraded_cause = "remote unreachable (connect: refused)";
  EXPECT_EQ(
      receipt.format_line(),
      "local q4_0 · 31 tok · 0.4 s · $0.0000 · confidence 0.91 · degraded: remote unreachable "
      "(connect: refused)");
  receipt = local_receipt();
  receipt.confidence.reset();
  receipt.finish = "cancelled";
  EXPECT_EQ(receipt.format_line(), "local q4_0 · 31 tok · 0.4 s · $0.0000 · cancelled");
  receipt = local_receipt();
  receipt.place = Place::kRemote;
  receipt.model = "big-1";
  receipt.cost_usd = 0.00125;
  receipt.note = "the server counted no tokens";
  EXPECT_EQ(receipt.format_line(),
            "remote big-1 · 31 tok · 0.4 s · $0.0013 · confidence 0.91 · the server counted no "
            "tokens");
}

TEST(Receipt, Json) {
  Receipt receipt = local_receipt();
  receipt.seconds = 0.5;
  receipt.confidence = 0.75;
  receipt.first_token_seconds = 0.25;
  EXPECT_EQ(receipt.to_json().dump(),
            R"({"route":"local","model":"q4_0","reason":"confident","confidence":0.75,)"
            R"("degraded":false,"completion_tokens":31,"prompt_tokens":12,"reused_tokens":0,)"
            R"("seconds":0.5,"first_token_seconds":0.25,"cost_usd":0.0,"finish":"stop"})");
  receipt.confidence.reset();
  receipt.degraded = true;
  receipt.degraded_cause = "offline";
  receipt.reason = RouteReason::kOffline;
  const OrderedJson json = receipt.to_json();
  EXPECT_TRUE(json["confidence"].is_null());
  EXPECT_EQ(json["reason"], "offline");
  EXPECT_EQ(json["degraded_cause"], "offline");
}

}  // namespace
}  // namespace ac
