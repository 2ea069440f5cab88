// What the tests of the remote client share: short deadlines, a stopwatch, one question.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "runtime/route/remote_client.h"
#include "tests/support/faulty_server.h"

namespace ac {

using std::chrono::milliseconds;

inline constexpr std::string_view kKey = "sk-canary-8f3a77c1d2e94b60";
// What a busy machine may add to a deadline. The client itself looks every 20 ms.
inline constexpr milliseconds kSlack{600};
// libcurl's timers count whole milliseconds, so one may fire this much before its time.
inline constexpr milliseconds kTimerGrain{2};

inline RemoteOptions options_for(const std::string& url) {
  RemoteOptions options;
  options.url = url;
  options.model = "big-1";
  options.api_key = Secret(std::string(kKey));
  options.connect_timeout = milliseconds(1000);
  options.first_event_timeout = milliseconds(400);
  options.between_events_timeout = milliseconds(300);
  options.total_timeout = milliseconds(5000);
  options.usd_per_million_prompt_tokens = 2;
  options.usd_per_million_completion_tokens = 10;
  return options;
}

struct Asked {
  Result<RemoteAnswer> answer = fail(ErrorCode::kRemote, "not asked");
  std::string relayed;  // through on_text
  int n_pieces = 0;
  milliseconds took{0};

  std::string message() const { return answer.has_value() ? "" : answer.error().message; }
  // libcurl counts whole milliseconds, and may be one early.
  bool took_about(milliseconds time) const {
    return took >= time - kTimerGrain && took <= time + kSlack;
  }
};

inline std::unique_ptr<RemoteClient> client_for(RemoteOptions options,
                                                const Clock& clock = system_clock()) {
  Result<std::unique_ptr<RemoteClient>> client = RemoteClient::create(std::move(options), clock);
  return std::move(*client);
}

inline Asked ask(RemoteClient& client, const CancelFlag* cancel = nullptr) {
  Asked out;
  RemoteRequest request;
  request.messages = {{.role = "user", .content = "What is the answer?"}};
  request.max_tokens = 64;
  request.cancel = cancel;
  request.on_text = [&](std::string_view piece) {
    out.relayed += piece;
    ++out.n_pieces;
    return true;
  };
  const auto start = std::chrono::steady_clock::now();
  out.answer = client.complete(request);
  out.took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  return out;
}

inline Asked ask(RemoteOptions options) { return ask(*client_for(std::move(options))); }

}  // namespace ac
