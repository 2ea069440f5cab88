// The remote full model behind an OpenAI-compatible API, over libcurl's multi interface.
//
// TLS is always verified. One deadline for each stage; an answer is complete only with a finish_reason
// and [DONE] (or a whole JSON body); anything else is an error, never a short answer.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/chat_template.h"
#include "runtime/core/cancel.h"
#include "runtime/core/result.h"

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
  std::string url;    // base, "https://host/v1"
  std::string model;
  Secret api_key;
  std::string ca_file;  // empty: the system's
  std::chrono::milliseconds connect_timeout{2000};
  std::chrono::milliseconds first_event_timeout{20000};
  std::chrono::milliseconds between_events_timeout{15000};
  std::chrono::milliseconds total_timeout{120000};
  double usd_per_million_prompt_tokens = 0;
  double usd_per_million_completion_tokens = 0;
};

struct RemoteRequest {
  std::vector<ChatMessage> messages;
  int32_t max_tokens = 256;
  float temperature = 0;
  float top_p = 1;
  uint64_t seed = 0;
  std::vector<std::string> stop;
  std::function<bool(std::string_view piece)> on_text;  // false stops
  const CancelFlag* cancel = nullptr;
};

struct RemoteAnswer {
  std::string text;
  std::string model;          // as the server names it
  std::string finish_reason;
  int64_t prompt_tokens = 0;  // counted by the server; 0 when it does not say
  int64_t completion_tokens = 0;
  double seconds = 0;
  double cost_usd = 0;
};

class RemoteClient {
 public:
  // Errors: kInvalidArgument (not an http(s) URL, http to a host that is not loopback, a key over
  // plain http).
  static Result<std::unique_ptr<RemoteClient>> create(RemoteOptions options);
  virtual ~RemoteClient() = default;

  // Errors: kRemote with the stage that failed ("connect", "tls", "http 503", "stream cut after 3
  // events"); kCancelled. The key never appears in a message.
  virtual Result<RemoteAnswer> complete(const RemoteRequest& request) = 0;
  // GET {url}/models within the connect deadline.
  virtual Result<std::vector<std::string>> list_models() = 0;
};

}  // namespace ac
