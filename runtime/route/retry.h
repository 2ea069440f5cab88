// When to ask the remote again, and how long to wait before. Pure functions of what they are given.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

#include "runtime/core/rng.h"

namespace ac {

inline constexpr int kMaxRetries = 2;

// 408, 409, 429 and 5xx: another attempt may fare better.
bool is_retryable_status(long status);

// The value of a Retry-After header: whole seconds or an HTTP date, seen from `now`; a date in the
// past is 0. nullopt: anything else, which is then as if the header were missing.
std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view value, std::chrono::system_clock::time_point now);

// How long to wait before retry number `retry` (0 is the first): what the server says, otherwise
// 0.5 s doubling up to 8 s, each +-20 %. nullopt: do not retry, since there have been enough, the
// server asks for more than 60 s, or the wait does not fit into `remaining`.
std::optional<std::chrono::milliseconds> retry_delay(
    int retry, std::optional<std::chrono::milliseconds> retry_after,
    std::chrono::milliseconds remaining, Rng& rng);

}  // namespace ac
