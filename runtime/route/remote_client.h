// The remote full model behind an OpenAI-compatible API, over libcurl's multi interface.
//
// TLS is always verified; plain http goes to loopback only. Redirects are not followed, nothing is
// taken from the environment (a proxy is used only where RemoteOptions::proxy names it: https_proxy
// left over in a shell must not send prompts elsewhere), no compression is asked for. One deadline
// for each stage; an answer is complete only with a finish_reason and [DONE] (or a whole JSON
// body); anything else is an error, never a short answer.
//
// One retry loop: at most two retries, 0.5 s doubling with jitter or what Retry-After says if that
// fits in the rest of the deadline; only before the first relayed piece, only after a failed
// connect or status 408, 409, 429, 5xx. A breaker in front of it stops asking a remote that keeps
// failing (breaker.h).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/chat_template.h"
#include "runtime/core/cancel.h"
#include "runtime/core/clock.h"
#include "runtime/core/result.h"
#include "runtime/route/tool_call.h"

namespace ac {

// A secret cannot be printed by accident: it has no formatter and no conversion.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  bool empty() const { return value_.empty(); }
  const std::string& reveal() const { return value_; }

 private:
  std::string value_;
};

struct RemoteOptions {
  std::string url;  // base, "https://host/v1"; for remote_factory several, separated by commas
  std::string model;
  Secret api_key;
  std::string ca_file;  // empty: the system's; otherwise only what this file holds is trusted
  std::string proxy;    // "http://host:port"; empty: none, whatever the environment says
  std::chrono::milliseconds connect_timeout{2000};  // name, TCP and TLS together
  std::chrono::milliseconds first_event_timeout{20000};
  std::chrono::milliseconds between_events_timeout{15000};
  std::chrono::milliseconds total_timeout{120000};  // over all attempts
  double usd_per_million_prompt_tokens = 0;
  double usd_per_million_completion_tokens = 0;
};

struct RemoteRequest {
  std::vector<ChatMessage> messages;
  int32_t max_tokens = 256;  // clamped to [1, 1000000]
  float temperature = 0;
  float top_p = 1;
  uint64_t seed = 0;  // sent only with a temperature above 0, its lowest 63 bits
  std::vector<std::string> stop;
  std::string response_format{};  // a JSON object as chat completions have it; empty: text
  std::string tools{}, tool_choice{};  // JSON, as chat completions have them; empty: none
  std::function<bool(std::string_view piece)> on_text;  // false stops
  const CancelFlag* cancel = nullptr;
  bool* begun = nullptr;  // set once something of an answer has come, which will have to be paid for
};

struct RemoteAnswer {
  std::string text;
  std::string model;  // as the server names it, safe to print
  std::string finish_reason;
  std::vector<ToolCall> tool_calls{};
  bool usage_known = false;   // false: the server counted no tokens; both counts and the cost are 0
  int64_t prompt_tokens = 0;  // counted by the server
  int64_t completion_tokens = 0;
  int attempts = 1;
  double seconds = 0;
  double first_text_seconds = 0;  // 0 when no text came
  double cost_usd = 0;
};

// Thread-safe: concurrent calls use a connection each.
class RemoteClient {
 public:
  // Errors: kInvalidArgument (not an http(s) URL, one with credentials, query or fragment, plain
  // http to a host that is not loopback, a key with control characters, no model, a timeout below 1
  // ms).
  static Result<std::unique_ptr<RemoteClient>> create(RemoteOptions options,
                                                      const Clock& clock = system_clock());
  virtual ~RemoteClient() = default;

  // Errors: kRemote with the stage that failed ("connect: ...", "tls: ...", "http 503: ...",
  // "stream cut after 3 events"); kContextFull where the server says that the prompt is too long;
  // kCancelled when `cancel` was raised or on_text returned false.
  // The key never appears in a message, even where the server sends it back.
  virtual Result<RemoteAnswer> complete(const RemoteRequest& request) = 0;
  // GET {url}/models, all of it within the connect deadline.
  virtual Result<std::vector<std::string>> list_models() = 0;
  // How many requests run and wait there, by all its users, as vLLM's /metrics says it, within
  // `patience`. Errors: kRemote (it does not say so, or cannot be reached); then and here the breaker
  // hears nothing of it.
  virtual Result<double> load(std::chrono::milliseconds patience) = 0;
  // False while the breaker keeps complete() from asking.
  virtual bool available() const = 0;
  // RemoteOptions::model, for answers that ended before the server named its own.
  virtual const std::string& model() const = 0;
};

}  // namespace ac
