#include "runtime/route/retry.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

namespace ac {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFirstDelay{500};
constexpr milliseconds kLongestDelay{8000};
constexpr milliseconds kLongestRetryAfter{60000};
constexpr double kJitter = 0.2;
constexpr std::array<std::string_view, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// All of `text` as digits, in [0, max].
bool parse_digits(std::string_view text, int max, int* out) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc{} && end == text.data() + text.size() && *out <= max;
}

// "Sun, 06 Nov 1994 08:49:37 GMT", the only form that RFC 9110 lets a server write.
bool parse_http_date(std::string_view text, std::time_t* out) {
  if (text.size() != 29 || text.substr(3, 2) != ", " || text[7] != ' ' || text[11] != ' ' ||
      text[16] != ' ' || text[19] != ':' || text[22] != ':' || text.substr(25) != " GMT") {
    return false;
  }
  const auto month = std::find(kMonths.begin(), kMonths.end(), text.substr(8, 3));
  std::tm time{};
  if (month == kMonths.end() || !parse_digits(text.substr(5, 2), 31, &time.tm_mday) ||
      !parse_digits(text.substr(12, 4), 9999, &time.tm_year) ||
      !parse_digits(text.substr(17, 2), 23, &time.tm_hour) ||
      !parse_digits(text.substr(20, 2), 59, &time.tm_min) ||
      !parse_digits(text.substr(23, 2), 60, &time.tm_sec) || time.tm_year < 1970) {
    return false;
  }
  time.tm_mon = static_cast<int>(month - kMonths.begin());
  time.tm_year -= 1900;
  *out = timegm(&time);
  return true;
}

}  // namespace

bool is_retryable_status(long status) {
  return status == 408 || status == 409 || status == 429 || (status >= 500 && status <= 599);
}

std::optional<milliseconds> parse_retry_after(std::string_view value,
                                              std::chrono::system_clock::time_point now) {
  if (value.empty()) return std::nullopt;
  if (value.find_first_not_of("0123456789") == std::string_view::npos) {
    // A year of seconds stands for all larger numbers: neither will be waited for.
    constexpr int kYear = 366 * 86400;
    int seconds = 0;
    if (!parse_digits(value, kYear, &seconds)) seconds = kYear;
    return milliseconds(int64_t{1000} * seconds);
  }
  std::time_t date = 0;
  if (!parse_http_date(value, &date)) return std::nullopt;
  const auto wait = std::chrono::system_clock::from_time_t(date) - now;
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(wait));
}

std::optional<milliseconds> retry_delay(int retry, std::optional<milliseconds> retry_after,
                                        milliseconds remaining, Rng& rng) {
  if (retry >= kMaxRetries) return std::nullopt;
  milliseconds delay{};
  if (retry_after.has_value()) {
    if (*retry_after > kLongestRetryAfter) return std::nullopt;
    delay = *retry_after;
  } else {
    const milliseconds base = std::min(kLongestDelay, kFirstDelay * (1 << retry));
    const double factor = 1 + kJitter * (2 * rng.uniform() - 1);
    delay = milliseconds(static_cast<int64_t>(static_cast<double>(base.count()) * factor));
  }
  if (delay >= remaining) return std::nullopt;
  return delay;
}

}  // namespace ac
