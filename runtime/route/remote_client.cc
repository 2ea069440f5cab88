#include "runtime/route/remote_client.h"

#include <algorithm>
#include <mutex>
#include <thread>

#include "runtime/route/breaker.h"
#include "runtime/route/chat_wire.h"
#include "runtime/route/http_transfer.h"
#include "runtime/route/remote_load.h"
#include "runtime/route/remote_url.h"
#include "runtime/route/retry.h"

namespace ac {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kSleep{20};  // how late a cancel may be seen between attempts
constexpr size_t kMessageBytes = 300;
constexpr uint64_t kMaxResponseBytes = 8u << 20;
// A chunk of one token is some 300 bytes of JSON.
constexpr uint64_t kResponseBytesPerToken = 512;

constexpr uint64_t kJsonBytes = 64u << 10;  // around the text

// Reads an answer in the form that the server chose, a stream or one JSON body.
class AnswerSink final : public HttpSink {
 public:
  AnswerSink(int32_t max_tokens, std::function<bool(std::string_view)> on_text)
      : reader_(max_tokens, std::move(on_text)),
        max_json_bytes_(kJsonBytes + kResponseBytesPerToken * static_cast<uint64_t>(max_tokens)) {}

  Status on_content_type(std::string_view media_type) override {
    streams_ = media_type == "text/event-stream";
    if (streams_ || media_type == "application/json") return {};
    return fail(ErrorCode::kRemote, "content type '{}', want text/event-stream",
                printable(media_type, 64));
  }
  Status on_body(std::string_view bytes) override {
    if (streams_) return reader_.feed_stream(bytes);
    // A stream is read as it comes; this has to be kept, so it is bounded more tightly.
    if (body_.size() + bytes.size() > max_json_bytes_) {
      return fail(ErrorCode::kRemote, "a JSON answer of more than {} bytes", max_json_bytes_);
    }
    body_ += bytes;
    return {};
  }
  int64_t progress() const override {
    return streams_ ? reader_.n_events() : (body_.empty() ? 0 : 1);
  }
  bool done() const override { return reader_.done(); }

  bool relayed() const { return reader_.relayed(); }
  Result<RemoteAnswer> finish() {
    if (!streams_) AC_TRY_STATUS(reader_.feed_json(body_));
    return reader_.finish();
  }

 private:
  AnswerReader reader_;
  uint64_t max_json_bytes_;
  bool streams_ = true;
  std::string body_;
};

class BodySink final : public HttpSink {
 public:
  explicit BodySink(std::string_view media_type) : wanted_(media_type) {}
  Status on_content_type(std::string_view media_type) override {
    if (media_type == wanted_) return {};
    return fail(ErrorCode::kRemote, "content type '{}', want {}", printable(media_type, 64),
                wanted_);
  }
  Status on_body(std::string_view bytes) override {
    body_ += bytes;
    return {};
  }
  int64_t progress() const override { return body_.empty() ? 0 : 1; }
  bool done() const override { return false; }
  const std::string& body() const { return body_; }

 private:
  std::string_view wanted_;
  std::string body_;
};

BreakerVerdict verdict_of(const HttpOutcome& outcome) {
  switch (outcome.stage) {
    case HttpStage::kDone:
      return BreakerVerdict::kSuccess;
    case HttpStage::kTls:
      return BreakerVerdict::kConfigFailure;
    case HttpStage::kStatus:
      if (outcome.status == 401 || outcome.status == 403) return BreakerVerdict::kConfigFailure;
      // 400 and the like are about our request: the server is there.
      return is_retryable_status(outcome.status) || outcome.status < 400 ? BreakerVerdict::kFailure
                                                                         : BreakerVerdict::kNeutral;
    case HttpStage::kCancelled:
      return BreakerVerdict::kNeutral;
    case HttpStage::kConnect:
    case HttpStage::kConnectTimeout:
    case HttpStage::kTimeout:
    case HttpStage::kProtocol:
      return BreakerVerdict::kFailure;
  }
  return BreakerVerdict::kNeutral;
}

class CurlRemoteClient final : public RemoteClient {
 public:
  CurlRemoteClient(RemoteOptions options, RemoteUrl url, const Clock& clock)
      : options_(std::move(options)),
        url_(std::move(url)),
        clock_(clock),
        transport_(options_, clock),
        rng_(static_cast<uint64_t>(clock.wall_now().time_since_epoch().count())) {}

  Result<RemoteAnswer> complete(const RemoteRequest& request) override;
  Result<std::vector<std::string>> list_models() override;
  Result<double> load(milliseconds patience) override;
  bool available() const override {
    const std::lock_guard lock(mutex_);
    return breaker_.would_admit(clock_.now());
  }
  const std::string& model() const override { return options_.model; }

 private:
  struct Attempt {
    HttpOutcome outcome;
    std::optional<RemoteAnswer> answer;
    bool relayed = false;
  };
  Attempt attempt(const RemoteRequest& request, const std::string& body, Clock::TimePoint start,
                  Clock::TimePoint end);
  // How long to wait before the next attempt; nullopt: none.
  std::optional<milliseconds> delay_after(const Attempt& attempt, int retry, Clock::TimePoint start,
                                          Clock::TimePoint end);
  bool sleep(milliseconds time, const CancelFlag* cancel) const;  // false: cancelled
  Error error_of(const HttpOutcome& outcome, int n_attempts) const;
  std::string safe(std::string message) const;

  const RemoteOptions options_;
  const RemoteUrl url_;
  const Clock& clock_;
  HttpTransport transport_;

  mutable std::mutex mutex_;  // guards what follows
  Breaker breaker_;
  std::string last_failure_;
  Rng rng_;
};

// Without the key, printable, short: in this order, so that no part of a cut key is left.
std::string CurlRemoteClient::safe(std::string message) const {
  const std::string& key = options_.api_key.reveal();
  if (!key.empty()) {
    for (size_t at = message.find(key); at != std::string::npos; at = message.find(key, at)) {
      message.replace(at, key.size(), "[key]");
      at += 5;
    }
  }
  return printable(message, kMessageBytes);
}

Error CurlRemoteClient::error_of(const HttpOutcome& outcome, int n_attempts) const {
  if (outcome.stage == HttpStage::kCancelled) return {ErrorCode::kCancelled, "cancelled"};
  std::string message = safe(outcome.message);
  if (n_attempts > 1) message += fmt::format(" ({} attempts)", n_attempts);
  return {outcome.context_full ? ErrorCode::kContextFull : ErrorCode::kRemote, std::move(message)};
}

CurlRemoteClient::Attempt CurlRemoteClient::attempt(const RemoteRequest& request,
                                                    const std::string& body, Clock::TimePoint start,
                                                    Clock::TimePoint end) {
  const int32_t max_tokens = std::clamp(request.max_tokens, 1, kMaxRemoteTokens);
  double first_text_seconds = 0;
  const auto relay = [&](std::string_view piece) {
    if (first_text_seconds == 0) first_text_seconds = seconds_between(start, clock_.now());
    return !request.on_text || request.on_text(piece);
  };
  AnswerSink sink(max_tokens, relay);
  Attempt out;
  out.outcome = transport_.exchange(
      {.url = url_.base + "/chat/completions",
       .body = &body,
       .max_response_bytes =
           std::max(kMaxResponseBytes, kResponseBytesPerToken * static_cast<uint64_t>(max_tokens)),
       .end = end,
       .cancel = request.cancel},
      sink);
  if (out.outcome.stage == HttpStage::kDone) {
    Result<RemoteAnswer> answer = sink.finish();
    if (answer.has_value()) {
      out.answer = std::move(*answer);
      out.answer->first_text_seconds = first_text_seconds;
    } else {
      out.outcome.stage = answer.error().code == ErrorCode::kCancelled ? HttpStage::kCancelled
                                                                       : HttpStage::kProtocol;
      out.outcome.message = answer.error().message;
    }
  }
  out.relayed = sink.relayed();
  if (request.begun != nullptr && sink.progress() > 0) *request.begun = true;
  return out;
}

std::optional<milliseconds> CurlRemoteClient::delay_after(const Attempt& attempt, int retry,
                                                          Clock::TimePoint start,
                                                          Clock::TimePoint end) {
  const HttpOutcome& outcome = attempt.outcome;
  const Clock::TimePoint now = clock_.now();
  if (attempt.relayed) return std::nullopt;
  if (outcome.stage == HttpStage::kConnect) {
    // Somebody waits for the local answer instead: one and a half connect deadlines, not all of it.
    end = std::min(end, start + options_.connect_timeout * 3 / 2);
  } else if (outcome.stage != HttpStage::kStatus || !is_retryable_status(outcome.status)) {
    return std::nullopt;
  }
  const std::lock_guard lock(mutex_);
  if (!breaker_.would_admit(now)) return std::nullopt;
  return retry_delay(retry, parse_retry_after(outcome.retry_after, clock_.wall_now()),
                     std::chrono::duration_cast<milliseconds>(end - now), rng_);
}

bool CurlRemoteClient::sleep(milliseconds time, const CancelFlag* cancel) const {
  const Clock::TimePoint end = clock_.now() + time;
  for (;;) {
    if (cancel != nullptr && cancel->raised()) return false;
    const auto rest = end - clock_.now();
    if (rest <= rest.zero()) return true;
    std::this_thread::sleep_for(std::min<Clock::TimePoint::duration>(rest, kSleep));
  }
}

Result<RemoteAnswer> CurlRemoteClient::complete(const RemoteRequest& request) {
  const Clock::TimePoint start = clock_.now();
  const Clock::TimePoint end = start + options_.total_timeout;
  const std::string body = chat_request_body(options_.model, request);
  for (int retry = 0;; ++retry) {
    bool is_probe = false;
    {
      const std::lock_guard lock(mutex_);
      if (!breaker_.admit(clock_.now())) {
        return fail(ErrorCode::kRemote, "paused for {:.0f} s after repeated failures (last: {})",
                    std::chrono::duration<double>(breaker_.opens_for(clock_.now())).count(),
                    last_failure_);
      }
      is_probe = breaker_.probing();
    }
    Attempt attempt = this->attempt(request, body, start, end);
    const Error error = error_of(attempt.outcome, retry + 1);
    {
      const std::lock_guard lock(mutex_);
      const BreakerVerdict verdict = verdict_of(attempt.outcome);
      breaker_.record(verdict, clock_.now());
      if (verdict == BreakerVerdict::kFailure || verdict == BreakerVerdict::kConfigFailure) {
        last_failure_ = error.message;
      }
    }
    if (attempt.answer.has_value()) {
      RemoteAnswer& answer = *attempt.answer;
      if (answer.model.empty()) answer.model = options_.model;
      answer.attempts = retry + 1;
      answer.seconds = seconds_between(start, clock_.now());
      answer.cost_usd =
          (static_cast<double>(answer.prompt_tokens) * options_.usd_per_million_prompt_tokens +
           static_cast<double>(answer.completion_tokens) *
               options_.usd_per_million_completion_tokens) /
          1e6;
      return std::move(answer);
    }
    if (is_probe) return error;
    const std::optional<milliseconds> delay = delay_after(attempt, retry, start, end);
    if (!delay.has_value()) return error;
    if (!sleep(*delay, request.cancel)) return Error{ErrorCode::kCancelled, "cancelled"};
  }
}

Result<std::vector<std::string>> CurlRemoteClient::list_models() {
  BodySink sink("application/json");
  const HttpOutcome outcome = transport_.exchange(
      {.url = url_.base + "/models", .end = clock_.now() + options_.connect_timeout}, sink);
  if (outcome.stage != HttpStage::kDone) return error_of(outcome, 1);
  Result<std::vector<std::string>> ids = model_ids_of(sink.body());
  if (!ids.has_value()) return Error{ErrorCode::kRemote, safe(ids.error().message)};
  return ids;
}

// Beside the API, not under it.
Result<double> CurlRemoteClient::load(milliseconds patience) {
  constexpr std::string_view kApi = "/v1";
  std::string_view root = url_.base;
  if (root.ends_with(kApi)) root.remove_suffix(kApi.size());
  BodySink sink("text/plain");
  const HttpOutcome outcome = transport_.exchange(
      {.url = std::string(root) + "/metrics", .end = clock_.now() + patience}, sink);
  if (outcome.stage != HttpStage::kDone) return error_of(outcome, 1);
  const std::optional<double> load = load_of_metrics(sink.body());
  if (!load) return fail(ErrorCode::kRemote, "its metrics do not say what runs there");
  return *load;
}

}  // namespace

Result<std::unique_ptr<RemoteClient>> RemoteClient::create(RemoteOptions options,
                                                           const Clock& clock) {
  AC_TRY(RemoteUrl url, parse_remote_url(options.url));
  if (options.model.empty()) {
    return fail(ErrorCode::kInvalidArgument, "remote {}: no model named", url.host);
  }
  for (const char c : options.api_key.reveal()) {
    if (c <= 0x20 || c == 0x7F) {  // char is signed: bytes above 0x7F are below 0
      return fail(ErrorCode::kInvalidArgument,
                  "remote {}: the key holds a blank, a control character or a letter beyond ASCII",
                  url.host);
    }
  }
  if (!options.proxy.empty()) {
    // libcurl would take much more as a proxy, credentials in the clear among it.
    for (const char c : options.proxy) {
      if (static_cast<unsigned char>(c) <= 0x20 || c == '@') {
        return fail(ErrorCode::kInvalidArgument, "remote {}: proxy: want http://host:port",
                    url.host);
      }
    }
  }
  constexpr milliseconds kLongest{24 * 3600 * 1000};
  for (const milliseconds time : {options.connect_timeout, options.first_event_timeout,
                                  options.between_events_timeout, options.total_timeout}) {
    if (time < milliseconds(1) || time > kLongest) {
      return fail(ErrorCode::kInvalidArgument, "remote {}: a timeout of {} ms, want 1 ms to 24 h",
                  url.host, time.count());
    }
  }
  return std::unique_ptr<RemoteClient>(
      std::make_unique<CurlRemoteClient>(std::move(options), std::move(url), clock));
}

}  // namespace ac
