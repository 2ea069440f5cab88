#include "runtime/route/sse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/core/rng.h"

namespace ac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// The events of `text`, fed in pieces of `piece` bytes.
std::vector<std::string> events_of(std::string_view text, size_t piece = 1u << 20) {
  SseParser parser;
  std::vector<std::string> events;
  const auto keep = [&](std::string_view data) {
    events.emplace_back(data);
    return Status{};
  };
  for (size_t at = 0; at < text.size(); at += piece) {
    EXPECT_TRUE(parser.feed(text.substr(at, piece), keep).has_value());
  }
  return events;
}

TEST(Sse, LineEnds) {
  EXPECT_THAT(events_of("data: a\n\ndata: b\n\n"), ElementsAre("a", "b"));
  EXPECT_THAT(events_of("data: a\r\n\r\ndata: b\r\n\r\n"), ElementsAre("a", "b"));
  EXPECT_THAT(events_of("data: a\r\rdata: b\r\r"), ElementsAre("a", "b"));
  EXPECT_THAT(events_of("data: a\r\n\ndata: b\n\r\n"), ElementsAre("a", "b"));
}

TEST(Sse, Fields) {
  EXPECT_THAT(events_of("data:a\n\n"), ElementsAre("a"));
  EXPECT_THAT(events_of("data:  a \n\n"), ElementsAre(" a "));  // one blank belongs to the field
  EXPECT_THAT(events_of("data: a\ndata: b\ndata\ndata:\n\n"), ElementsAre("a\nb\n\n"));
  EXPECT_THAT(events_of("data\n\n"), ElementsAre(""));
  EXPECT_THAT(events_of("event: x\nid: 7\nretry: 10\ndata: a\n\n"), ElementsAre("a"));
  EXPECT_THAT(events_of("event: x\n\n"), IsEmpty());
  EXPECT_THAT(events_of("dataset: a\n\nDATA: b\n\n data: c\n\n"), IsEmpty());
  EXPECT_THAT(events_of("\xEF\xBB\xBF"
                        "data: a\n\n\xEF\xBB\xBF"
                        "data: b\n\n"),
              ElementsAre("a"));  // a byte order mark is one at the beginning only
}

TEST(Sse, CommentsAreNoEvents) {
  EXPECT_THAT(events_of(": keep-alive\n\n:\n\n: data: x\n\n"), IsEmpty());
  EXPECT_THAT(events_of("data: a\n: between\ndata: b\n\n"), ElementsAre("a\nb"));
}

TEST(Sse, AnUnfinishedEventIsNotAnEvent) {
  EXPECT_THAT(events_of("data: a"), IsEmpty());
  EXPECT_THAT(events_of("data: a\n"), IsEmpty());
  SseParser parser;
  const auto ignore = [](std::string_view) { return Status{}; };
  ASSERT_TRUE(parser.feed("data: x\n\ndata: [DO", ignore).has_value());
  EXPECT_EQ(parser.unfinished_data(), "[DO");
  ASSERT_TRUE(parser.feed("NE]\n", ignore).has_value());
  EXPECT_EQ(parser.unfinished_data(), "[DONE]");
  ASSERT_TRUE(parser.feed(": x", ignore).has_value());
  EXPECT_EQ(parser.unfinished_data(), "[DONE]");
}

TEST(Sse, AnyCutGivesTheSameEvents) {
  const std::string text =
      "\xEF\xBB\xBF: hello\r\n\r\ndata: a\r\ndata:b\r\n\r\nevent: x\rdata: c\r\rdata: "
      "\xF0\x9F\x98\x80\n\n"
      "data\ndata: d\n\nid: 3\n\ndata: end\n\n";
  const std::vector<std::string> whole = events_of(text);
  EXPECT_THAT(whole, ElementsAre("a\nb", "c", "\xF0\x9F\x98\x80", "\nd", "end"));
  for (size_t piece = 1; piece < text.size(); ++piece) EXPECT_EQ(events_of(text, piece), whole);
  for (size_t cut = 0; cut <= text.size(); ++cut) {
    SseParser parser;
    std::vector<std::string> events;
    const auto keep = [&](std::string_view data) {
      events.emplace_back(data);
      return Status{};
    };
    ASSERT_TRUE(parser.feed(text.substr(0, cut), keep).has_value());
    ASSERT_TRUE(parser.feed(text.substr(cut), keep).has_value());
    EXPECT_EQ(events, whole) << "cut at " << cut;
  }
}

TEST(Sse, LimitsHoldHoweverTheBytesCome) {
  const auto ignore = [](std::string_view) { return Status{}; };
  const SseLimits limits{.max_line_bytes = 100, .max_event_bytes = 300};
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{1000}}) {
    const auto run = [&](const std::string& text) {
      SseParser parser(limits);
      for (size_t at = 0; at < text.size(); at += piece) {
        if (Status status = parser.feed(std::string_view(text).substr(at, piece), ignore);
            !status.has_value()) {
          return status;
        }
      }
      return Status{};
    };
    EXPECT_TRUE(run("data: " + std::string(94, 'x') + "\n\n").has_value());
    Status status = run("data: " + std::string(95, 'x') + "\n\n");
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, ErrorCode::kRemote);
    EXPECT_THAT(status.error().message, HasSubstr("100 bytes"));
    // A comment is a line as well, ended or not.
    EXPECT_FALSE(run(":" + std::string(100, 'x')).has_value());
    std::string lines;
    for (int i = 0; i < 4; ++i) lines += "data: " + std::string(90, 'x') + "\n";
    EXPECT_FALSE(run(lines).has_value());
    // Endless empty data lines count too: the line feeds between them are data.
    std::string empty;
    for (int i = 0; i < 400; ++i) empty += "data\n";
    EXPECT_FALSE(run(empty).has_value());
  }
}

TEST(Sse, AnErrorOfTheReceiverEndsFeeding) {
  SseParser parser;
  int n = 0;
  const Status status = parser.feed("data: a\n\ndata: b\n\n", [&](std::string_view) {
    ++n;
    return Status(fail(ErrorCode::kCancelled, "enough"));
  });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, "enough");
  EXPECT_EQ(n, 1);
}

TEST(Sse, RandomBytesInRandomPieces) {
  constexpr std::string_view kAlphabet = "data: \r\n:x\xEF\xBB\xBF";
  Rng rng(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (uint64_t n = rng.below(200); n > 0; --n) text += kAlphabet[rng.below(kAlphabet.size())];
    if (rng.below(2) == 0) text = "data: " + text;
    EXPECT_EQ(events_of(text, 1 + rng.below(5)), events_of(text)) << testing::PrintToString(text);
  }
}

}  // namespace
}  // namespace ac
