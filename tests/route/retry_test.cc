// When to ask again (retry.h), when to stop asking (breaker.h), and where one may ask at all
// (remote_url.h).
#include "runtime/route/retry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/route/breaker.h"
#include "runtime/route/remote_url.h"

namespace ac {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

TEST(Retry, Statuses) {
  for (const long status : {408, 409, 429, 500, 502, 503, 504, 529, 599}) {
    EXPECT_TRUE(is_retryable_status(status)) << status;
  }
  for (const long status : {0, 200, 204, 301, 400, 401, 403, 404, 413, 422, 499, 600}) {
    EXPECT_FALSE(is_retryable_status(status)) << status;
  }
}

TEST(Retry, RetryAfter) {
  // 1994-11-06 08:49:37 UTC
  const auto then = std::chrono::system_clock::from_time_t(784111777);
  const auto parse = [&](std::string_view text) { return parse_retry_after(text, then); };
  EXPECT_EQ(parse("0"), seconds(0));
  EXPECT_EQ(parse("1"), seconds(1));
  EXPECT_EQ(parse("007"), seconds(7));
  EXPECT_EQ(parse("3600"), seconds(3600));
  EXPECT_GT(parse("99999999999999999999999"), seconds(86400));
  EXPECT_EQ(parse("Sun, 06 Nov 1994 08:49:44 GMT"), seconds(7));
  EXPECT_EQ(parse("Sun, 06 Nov 1994 08:49:30 GMT"), seconds(0));
  for (const char* text : {"", " ", "abc", "-5", "1e99", "1.5", "0x10", "7 s",
                           "Sun, 06 Nov 1994 08:49:44 CET", "Sunday, 06-Nov-94 08:49:37 GMT",
                           "Sun, 06 Foo 1994 08:49:44 GMT", "Sun, 06 Nov 1994 25:49:44 GMT",
                           "Sun, 06 Nov 1994 -1:49:44 GMT", "Sun, 06 Nov 1994 08:49:44 GM"}) {
    EXPECT_EQ(parse(text), std::nullopt) << text;
  }
}

TEST(Retry, DelaysDoubleWithJitter) {
  Rng rng(7);
  const auto minute = seconds(60);
  milliseconds least[2] = {milliseconds(1 << 20), milliseconds(1 << 20)};
  milliseconds most[2] = {};
  for (int round = 0; round < 1000; ++round) {
    for (int retry = 0; retry < 2; ++retry) {
      const auto delay = retry_delay(retry, std::nullopt, minute, rng);
      ASSERT_TRUE(delay.has_value());
      least[retry] = std::min(least[retry], *delay);
      most[retry] = std::max(most[retry], *delay);
    }
  }
  for (int retry = 0; retry < 2; ++retry) {
    const milliseconds base(500 << retry);
    EXPECT_GE(least[retry], base * 8 / 10);
    EXPECT_LE(most[retry], base * 12 / 10);
    // There is jitter: a thousand uniform draws come within 2 % of both ends.
    EXPECT_LE(least[retry], base * 82 / 100);
    EXPECT_GE(most[retry], base * 118 / 100);
  }
  EXPECT_EQ(retry_delay(kMaxRetries, std::nullopt, minute, rng), std::nullopt);
}

TEST(Retry, RetryAfterIsObeyedWhereItFits) {
  Rng rng(7);
  const auto delay = [&](int after_s, int remaining_s) {
    return retry_delay(0, seconds(after_s), seconds(remaining_s), rng);
  };
  EXPECT_EQ(delay(0, 10), seconds(0));
  EXPECT_EQ(delay(7, 10), seconds(7));
  EXPECT_EQ(delay(10, 10), std::nullopt);
  EXPECT_EQ(delay(60, 120), seconds(60));
  EXPECT_EQ(delay(61, 120), std::nullopt);
  EXPECT_EQ(delay(0, 0), std::nullopt);
  EXPECT_EQ(retry_delay(0, std::nullopt, milliseconds(300), rng), std::nullopt);
}

class BreakerTest : public testing::Test {
 protected:
  // One attempt now; false when the breaker does not let it.
  bool attempt(BreakerVerdict verdict) {
    if (!breaker_.admit(now_)) return false;
    breaker_.record(verdict, now_);
    return true;
  }
  Breaker breaker_;
  Clock::TimePoint now_{};
};

TEST_F(BreakerTest, OpensOnTheThirdFailureInARow) {
  EXPECT_TRUE(attempt(BreakerVerdict::kFailure));
  EXPECT_TRUE(attempt(BreakerVerdict::kFailure));
  EXPECT_TRUE(attempt(BreakerVerdict::kSuccess));  // forgets
  EXPECT_TRUE(attempt(BreakerVerdict::kFailure));
  EXPECT_TRUE(attempt(BreakerVerdict::kFailure));
  EXPECT_TRUE(attempt(BreakerVerdict::kNeutral));
  EXPECT_TRUE(attempt(BreakerVerdict::kFailure));
  EXPECT_FALSE(breaker_.would_admit(now_));
  EXPECT_FALSE(attempt(BreakerVerdict::kSuccess));
  EXPECT_EQ(breaker_.opens_for(now_), seconds(30));
}

TEST_F(BreakerTest, AConfigurationFailureOpensAtOnce) {
  EXPECT_TRUE(attempt(BreakerVerdict::kConfigFailure));
  EXPECT_FALSE(breaker_.would_admit(now_));
}

TEST_F(BreakerTest, OneProbeThenTwiceAsLong) {
  attempt(BreakerVerdict::kConfigFailure);
  for (const int period_s : {30, 60, 120, 240, 300, 300}) {
    now_ += seconds(period_s) - milliseconds(1);
    EXPECT_FALSE(breaker_.would_admit(now_)) << period_s;
    now_ += milliseconds(1);
    ASSERT_TRUE(breaker_.admit(now_)) << period_s;
    EXPECT_TRUE(breaker_.probing());
    EXPECT_FALSE(breaker_.admit(now_)) << "a second one beside the probe";
    breaker_.record(BreakerVerdict::kFailure, now_);
  }
  now_ += seconds(300);
  EXPECT_TRUE(attempt(BreakerVerdict::kSuccess));
  EXPECT_TRUE(attempt(BreakerVerdict::kFailure));
  EXPECT_TRUE(breaker_.would_admit(now_)) << "closed again, with its count at the beginning";
  attempt(BreakerVerdict::kFailure);
  attempt(BreakerVerdict::kFailure);
  EXPECT_EQ(breaker_.opens_for(now_), seconds(30));
}

TEST_F(BreakerTest, ACancelledProbeMayBeRepeated) {
  attempt(BreakerVerdict::kConfigFailure);
  now_ += seconds(30);
  EXPECT_TRUE(attempt(BreakerVerdict::kNeutral));
  EXPECT_TRUE(attempt(BreakerVerdict::kSuccess));
}

TEST_F(BreakerTest, AStormOfFailuresIsNotAnswered) {
  // Ten questions a second for five minutes to a remote that always fails.
  std::vector<Clock::TimePoint> attempts;
  for (int i = 0; i < 3000; ++i, now_ += milliseconds(100)) {
    if (attempt(BreakerVerdict::kFailure)) attempts.push_back(now_);
  }
  for (const Clock::TimePoint from : attempts) {
    const auto n = std::count_if(attempts.begin(), attempts.end(), [&](Clock::TimePoint time) {
      return time >= from && time < from + seconds(60);
    });
    EXPECT_LE(n, 10);
  }
  EXPECT_GE(attempts.size(), 5u);  // and yet it is tried again
}

TEST(RemoteUrl, Good) {
  const auto base = [](const char* text) {
    Result<RemoteUrl> url = parse_remote_url(text);
    return url.has_value() ? url->base + " " + url->host + (url->https ? " tls" : "")
                           : url.error().message;
  };
  EXPECT_EQ(base("https://api.example.org/v1"), "https://api.example.org/v1 api.example.org tls");
  EXPECT_EQ(base("https://api.example.org:8443/v1/"),
            "https://api.example.org:8443/v1 api.example.org:8443 tls");
  EXPECT_EQ(base("https://10.0.0.7"), "https://10.0.0.7 10.0.0.7 tls");
  EXPECT_EQ(base("http://localhost:8000/v1"), "http://localhost:8000/v1 localhost:8000");
  EXPECT_EQ(base("http://127.0.0.1/v1"), "http://127.0.0.1/v1 127.0.0.1");
  EXPECT_EQ(base("http://127.8.8.8:1/v1"), "http://127.8.8.8:1/v1 127.8.8.8:1");
  EXPECT_EQ(base("http://[::1]:8000/v1"), "http://[::1]:8000/v1 [::1]:8000");
}

TEST(RemoteUrl, Bad) {
  for (const char* text : {"",
                           "api.example.org/v1",
                           "//x",
                           "ftp://x/v1",
                           "file:///etc/passwd",
                           "gopher://x",
                           "https://",
                           "https://user:swordfish@x/v1",
                           "https://user@x/v1",
                           "https://x/v1?key=1",
                           "https://x/v1#a",
                           "https://x y/v1",
                           "https://x/v1\r\nX-Evil: 1",
                           "https://x/\tv1",
                           "https://x:99999/v1",
                           "http://api.example.org/v1",
                           "http://10.0.0.1/v1",
                           "http://localhost.evil.org/v1",
                           "http://127.0.0.1.evil.org/v1",
                           "http://[::2]/v1",
                           "http://[::ffff:10.0.0.1]/v1",
                           "http://0.0.0.0/v1",
                           "http://128.0.0.1/v1"}) {
    Result<RemoteUrl> url = parse_remote_url(text);
    ASSERT_FALSE(url.has_value()) << text;
    EXPECT_EQ(url.error().code, ErrorCode::kInvalidArgument) << text;
    EXPECT_THAT(url.error().message, Not(HasSubstr("swordfish"))) << text;
  }
}

}  // namespace
}  // namespace ac
