// The remote client against a server, or a network, that misbehaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/core/rng.h"
#include "runtime/route/remote_client.h"
#include "tests/route/remote_test_util.h"

namespace ac {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Runs ten times as fast as the machine's, so that delays of seconds can be waited for.
class FastClock : public Clock {
 public:
  static constexpr int kSpeed = 10;
  TimePoint now() const override { return start_ + (Clock::now() - start_) * kSpeed; }
  std::chrono::system_clock::time_point wall_now() const override {
    return std::chrono::system_clock::from_time_t(784111777);  // 1994-11-06 08:49:37 UTC
  }

 private:
  TimePoint start_ = Clock::now();
};

class RemoteFaultsTest : public testing::Test {
 protected:
  // One question; expects an error of the remote's.
  Asked fails(const std::string& behaviour) {
    Asked asked = ask(options_for(server_.url(behaviour)));
    EXPECT_FALSE(asked.answer.has_value()) << behaviour;
    if (!asked.answer.has_value()) {
      EXPECT_EQ(asked.answer.error().code, ErrorCode::kRemote) << behaviour;
    }
    return asked;
  }
  size_t n_requests() const { return server_.requests().size(); }

  FaultyServer server_;
};

TEST_F(RemoteFaultsTest, B1_Refused) {
  RemoteOptions options = options_for("http://127.0.0.1:" + std::to_string(closed_port()) + "/v1");
  // One and a half of these, 900 ms, hold the first wait at its longest (600 ms) and never the
  // second after the first, even at their shortest (400 + 800 ms).
  options.connect_timeout = milliseconds(600);
  const auto client = client_for(std::move(options));
  Asked asked = ask(*client);
  ASSERT_FALSE(asked.answer.has_value());
  EXPECT_THAT(asked.message(), StartsWith("connect: "));
  EXPECT_THAT(asked.message(), HasSubstr("(2 attempts)"));
  // 0.5 s +-20 % between the two.
  EXPECT_GE(asked.took, milliseconds(400));
  EXPECT_LE(asked.took, milliseconds(600) + kSlack);
  EXPECT_TRUE(client->available());
  asked = ask(*client);  // one more failure opens the breaker
  EXPECT_FALSE(client->available());
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) asked = ask(*client);
  EXPECT_THAT(asked.message(),
              HasSubstr("paused for 30 s after repeated failures (last: connect: "));
  EXPECT_LE(std::chrono::steady_clock::now() - start, milliseconds(500));
}

TEST_F(RemoteFaultsTest, B2_BlackHole) {
  const BlackHole hole;
  RemoteOptions options = options_for("http://127.0.0.1:" + std::to_string(hole.port()) + "/v1");
  options.connect_timeout = milliseconds(500);
  const Asked asked = ask(std::move(options));
  EXPECT_EQ(asked.message(), "connect: none within 0.5 s");
  EXPECT_TRUE(asked.took_about(milliseconds(500))) << asked.took.count();
}

TEST_F(RemoteFaultsTest, B2_AcceptsAndHangs) {
  for (const char* behaviour : {"hang", "stall~0", "slowhead~3000", "slowfirst~3000"}) {
    const Asked asked = fails(behaviour);
    EXPECT_EQ(asked.message(), "first event: none within 0.4 s") << behaviour;
    EXPECT_TRUE(asked.took_about(milliseconds(400))) << behaviour << asked.took.count();
  }
  EXPECT_EQ(n_requests(), 4u);  // a timeout is not repeated
}

TEST_F(RemoteFaultsTest, ASlowFirstEventWithinItsDeadlineIsFine) {
  const Asked asked = ask(options_for(server_.url("slowfirst~200")));
  EXPECT_TRUE(asked.answer.has_value()) << asked.message();
}

TEST_F(RemoteFaultsTest, TheTotalDeadlineEndsEverything) {
  RemoteOptions options = options_for(server_.url("drip"));
  options.first_event_timeout = options.between_events_timeout = milliseconds(10000);
  options.total_timeout = milliseconds(600);
  Asked asked = ask(options);
  EXPECT_EQ(asked.message(), "total: the time for the whole answer is up");
  EXPECT_TRUE(asked.took_about(milliseconds(600))) << asked.took.count();
  // Waiting for another attempt is part of it.
  options.url = server_.url("status~503");
  options.total_timeout = milliseconds(700);
  asked = ask(options);
  EXPECT_THAT(asked.message(), StartsWith("http 503"));
  EXPECT_LE(asked.took, milliseconds(700) + kSlack);
}

TEST_F(RemoteFaultsTest, B3_CutAfterEveryEvent) {
  // 9 events are a whole answer but for its [DONE].
  for (int k = 0; k <= 9; ++k) {
    const Asked asked = fails("eof~" + std::to_string(k));
    EXPECT_EQ(asked.message(), fmt::format("stream cut after {} event{}", k, k == 1 ? "" : "s"));
    EXPECT_EQ(asked.n_pieces, std::clamp(k - 1, 0, 6));
  }
  EXPECT_EQ(n_requests(), 10u);
  EXPECT_EQ(fails("nodone").message(), "stream cut after 9 events");
  EXPECT_EQ(fails("nofinish").message(), "the answer ended without finish_reason after 8 events");
}

TEST_F(RemoteFaultsTest, B3_CutAtRandomBytes) {
  Rng rng(3);
  for (int i = 0; i < 100; ++i) {
    const auto n = std::to_string(rng.below(1500));
    const Asked asked = ask(options_for(server_.url("eofbyte~" + n)));
    ASSERT_FALSE(asked.answer.has_value()) << n;
    EXPECT_THAT(asked.message(), StartsWith("stream cut after ")) << n;
  }
}

TEST_F(RemoteFaultsTest, B3_Reset) {
  for (const char* behaviour : {"rst~1", "rst~4", "rst~9"}) {
    EXPECT_THAT(fails(behaviour).message(), StartsWith("stream cut after ")) << behaviour;
  }
  for (const char* behaviour : {"rst~0", "rstnow", "closenow"}) {
    EXPECT_THAT(fails(behaviour).message(), StartsWith("no answer: ")) << behaviour;
  }
  EXPECT_THAT(fails("jsoncut").message(), StartsWith("stream cut after "));
}

TEST_F(RemoteFaultsTest, B3_Stall) {
  for (const int k : {1, 5}) {
    const Asked asked = fails("stall~" + std::to_string(k));
    EXPECT_EQ(asked.message(), fmt::format("stream stalled: nothing for 0.3 s after {} event{}", k,
                                           k == 1 ? "" : "s"));
    EXPECT_TRUE(asked.took_about(milliseconds(300))) << asked.took.count();
  }
}

TEST_F(RemoteFaultsTest, B3_ErrorInTheMiddle) {
  const Asked asked = fails("errorframe~4");
  EXPECT_EQ(asked.message(), "error from the server: out of memory (500)");
  EXPECT_EQ(asked.relayed, "The answer is");
  EXPECT_EQ(n_requests(), 1u);
  EXPECT_THAT(fails("badjson~3").message(), StartsWith("event 4 is not valid: "));
  EXPECT_THAT(fails("badutf8").message(), StartsWith("event 1 is not valid: "));
}

TEST_F(RemoteFaultsTest, B4_NotWhatWasAskedFor) {
  EXPECT_EQ(fails("html200").message(), "content type 'text/html', want text/event-stream");
  EXPECT_EQ(fails("wrongtype").message(),
            "content type 'application/octet-stream', want text/event-stream");
  EXPECT_EQ(fails("notype").message(), "content type '', want text/event-stream");
  EXPECT_THAT(fails("htmlasjson").message(), StartsWith("event 1 is not valid: "));
  EXPECT_THAT(fails("empty").message(), StartsWith("event 1 is not valid: "));
  EXPECT_EQ(fails("nocontent").message(), "http 204");
  EXPECT_EQ(fails("gzip").message(), "content-encoding gzip, which was not asked for");
  for (const char* behaviour : {"http09", "garbage"}) {
    EXPECT_THAT(fails(behaviour).message(), StartsWith("no answer: ")) << behaviour;
  }
}

TEST_F(RemoteFaultsTest, B4_RedirectsAreNotFollowed) {
  for (const char* code : {"301", "302", "307", "308"}) {
    EXPECT_EQ(fails(std::string("redirect~") + code).message(),
              fmt::format("http {}: redirects are not followed", code));
  }
  EXPECT_EQ(n_requests(), 4u);
}

// What an answer without end may make the process grow by. AddressSanitizer keeps what was freed.
#if defined(__SANITIZE_ADDRESS__)
constexpr long kMostKib = 32 << 10;
#else
constexpr long kMostKib = 2 << 10;
#endif

long peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

TEST_F(RemoteFaultsTest, B5_Oversized) {
  RemoteOptions options = options_for(server_.url("x"));
  options.first_event_timeout = options.between_events_timeout = milliseconds(20000);
  options.total_timeout = milliseconds(20000);
  options.url = server_.url("ok");  // libraries take their own the first time
  ASSERT_TRUE(ask(options).answer.has_value());
  struct Case {
    const char* behaviour;
    const char* message;
  };
  for (const Case& c :
       {Case{"endlessline", "a line of more than 262144 bytes"},
        Case{"endlesscomments", "an answer of more than 8388608 bytes"},
        Case{"endlessevents", "a text of more than 8192 bytes, far beyond max_tokens"},
        Case{"endlessjson", "a JSON answer of more than 98304 bytes"},
        Case{"hugeheaders", "headers of more than 65536 bytes"}}) {
    options.url = server_.url(c.behaviour);
    const long before = peak_kib();
    const Asked asked = ask(options);
    EXPECT_EQ(asked.message(), c.message) << c.behaviour;
    EXPECT_LE(asked.took, milliseconds(10000)) << c.behaviour;
    EXPECT_LE(peak_kib() - before, kMostKib) << c.behaviour;
  }
}

TEST_F(RemoteFaultsTest, B6_CommentsAndDripsDoNotCountAsEvents) {
  Asked asked = fails("commentsafter~0");
  EXPECT_EQ(asked.message(), "first event: none within 0.4 s");
  EXPECT_TRUE(asked.took_about(milliseconds(400))) << asked.took.count();
  asked = fails("commentsafter~3");
  EXPECT_EQ(asked.message(), "stream stalled: nothing for 0.3 s after 3 events");
  EXPECT_TRUE(asked.took_about(milliseconds(300))) << asked.took.count();
  asked = fails("drip");
  EXPECT_EQ(asked.message(), "first event: none within 0.4 s");
  EXPECT_TRUE(asked.took_about(milliseconds(400))) << asked.took.count();
  asked = fails("jsondrip");
  EXPECT_THAT(asked.message(), StartsWith("stream stalled: "));
  EXPECT_TRUE(asked.took_about(milliseconds(300))) << asked.took.count();
}

TEST_F(RemoteFaultsTest, B8_FailuresThenAnAnswer) {
  const FastClock clock;
  RemoteOptions options = options_for(server_.url("flaky~2~503"));
  options.first_event_timeout = options.between_events_timeout = milliseconds(20000);
  options.total_timeout = milliseconds(60000);
  const auto client = client_for(options, clock);
  const Asked asked = ask(*client);
  ASSERT_TRUE(asked.answer.has_value()) << asked.message();
  EXPECT_EQ(asked.answer->attempts, 3);
  EXPECT_EQ(asked.relayed, "The answer is forty-two.");  // once, not three times
  const std::vector<Json> requests = server_.requests();
  ASSERT_EQ(requests.size(), 3u);
  for (size_t i = 0; i < 2; ++i) {
    const double delay_s =
        (requests[i + 1]["time"].get<double>() - requests[i]["time"].get<double>()) *
        FastClock::kSpeed;
    const double want_s = 0.5 * (1 << i);
    EXPECT_GE(delay_s, want_s * 0.8);
    EXPECT_LE(delay_s, want_s * 1.2 + 2.0);  // 0.2 s of the machine's time
  }
  EXPECT_EQ(requests[0]["body"], requests[2]["body"]);
}

TEST_F(RemoteFaultsTest, B8_RetryAfter) {
  struct Case {
    const char* retry_after;
    size_t n_attempts;       // 1: fall back at once
    double least_s, most_s;  // of all delays together
  };
  for (const char* code : {"429", "500", "502", "503", "529", "408", "409"}) {
    for (const Case& c : {Case{"", 3, 1.2, 1.8}, Case{"0", 3, 0, 0}, Case{"1", 3, 2, 2},
                          Case{"7", 3, 14, 14}, Case{"60", 1, 0, 0}, Case{"3600", 1, 0, 0},
                          Case{"Sun,_06_Nov_1994_08:49:39_GMT", 3, 4, 4}, Case{"abc", 3, 1.2, 1.8},
                          Case{"-5", 3, 1.2, 1.8}, Case{"1e99", 3, 1.2, 1.8}}) {
      // All values with one status, and all statuses with two values.
      const std::string_view after = c.retry_after;
      if (code != std::string_view("503") && !after.empty() && after != "60") continue;
      const FastClock clock;
      const size_t before = n_requests();
      RemoteOptions options = options_for(
          server_.url(fmt::format("status~{}{}{}", code, after.empty() ? "" : "~", after)));
      options.connect_timeout = options.first_event_timeout = milliseconds(20000);
      options.total_timeout = milliseconds(40000);
      const auto client = client_for(options, clock);
      const Asked asked = ask(*client);
      EXPECT_THAT(asked.message(), StartsWith(fmt::format("http {}: no luck", code)));
      EXPECT_EQ(n_requests() - before, c.n_attempts) << code << ' ' << after;
      const double took_s = std::chrono::duration<double>(asked.took).count() * FastClock::kSpeed;
      EXPECT_GE(took_s, c.least_s) << code << ' ' << after;
      EXPECT_LE(took_s, c.most_s + 4.0) << code << ' ' << after;  // 0.4 s of the machine's time
      // Three failures in a row, from whatever question, open the breaker.
      EXPECT_EQ(client->available(), c.n_attempts < 3) << code << ' ' << after;
    }
  }
}

TEST_F(RemoteFaultsTest, B8_OtherStatusesAreNotRepeated) {
  for (const int code : {400, 401, 403, 404, 413, 422}) {
    const size_t before = n_requests();
    const auto client = client_for(options_for(server_.url(fmt::format("status~{}~1", code))));
    EXPECT_EQ(ask(*client).message(), fmt::format("http {}: no luck ({})", code, code));
    EXPECT_EQ(n_requests() - before, 1u) << code;
    // A refused key is refused again; a bad request says nothing about the next one.
    EXPECT_EQ(client->available(), code != 401 && code != 403) << code;
  }
}

TEST_F(RemoteFaultsTest, B8_AStormStopsAtTheBreaker) {
  const FastClock clock;
  const auto client = client_for(options_for(server_.url("status~503~0")), clock);
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(ask(*client).answer.has_value());
  EXPECT_EQ(n_requests(), 3u);
}

TEST_F(RemoteFaultsTest, ErrorBodies) {
  for (const char* form : {"string", "detail", "list", "plain"}) {
    EXPECT_EQ(fails(std::string("errorbody~") + form).message(), "http 400: bad model") << form;
  }
  EXPECT_EQ(fails("errorbody~object").message(), "http 400: bad model (model_not_found)");
  EXPECT_EQ(fails("errorbody~integer").message(), "http 400: bad model (40401)");
  EXPECT_EQ(fails("errorbody~html").message(), "http 400: an HTML page");
  EXPECT_EQ(fails("errorbody~empty").message(), "http 400");
  EXPECT_EQ(fails("errorbody~control").message(), "http 400: bad [2J model evil");
  for (const char* form : {"long", "endless"}) {
    const Asked asked = fails(std::string("errorbody~") + form);
    EXPECT_THAT(asked.message(), StartsWith("http 400: bad model ")) << form;
    EXPECT_LE(asked.message().size(), 303u) << form;
    EXPECT_LE(asked.took, milliseconds(1000) + kSlack) << form;
  }
}

// The key goes into one header and nowhere else, even where the server sends it back.
TEST_F(RemoteFaultsTest, TheKeyIsInNoMessage) {
  for (const char* behaviour : {"echokey", "echokey~403", "echokey~503", "echokeystream"}) {
    const auto client = client_for(options_for(server_.url(behaviour)));
    for (int i = 0; i < 3; ++i) {  // the breaker repeats the last failure
      const Asked asked = ask(*client);
      ASSERT_FALSE(asked.answer.has_value());
      // Neither whole nor cut.
      EXPECT_THAT(asked.message(), Not(HasSubstr(kKey.substr(0, 8)))) << behaviour;
    }
    const auto models = client->list_models();
    ASSERT_FALSE(models.has_value());
    EXPECT_THAT(models.error().message, Not(HasSubstr(kKey.substr(0, 8)))) << behaviour;
  }
  EXPECT_THAT(fails("echokey").message(), HasSubstr("Incorrect API key: Bearer [key]"));
}

TEST_F(RemoteFaultsTest, B9_UnknownName) {
  // .invalid never exists (RFC 2606); with no name server at all this is another error of the same
  // stage, within the same deadline.
  const auto start = std::chrono::steady_clock::now();
  const Asked asked = ask(options_for("https://no-such-host.invalid/v1"));
  EXPECT_THAT(asked.message(), AnyOf(StartsWith("dns: "), StartsWith("connect: ")));
  EXPECT_LE(std::chrono::steady_clock::now() - start, milliseconds(1500) + kSlack);
}

}  // namespace
}  // namespace ac
