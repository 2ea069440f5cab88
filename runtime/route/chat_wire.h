// The OpenAI chat completions wire: the body that is sent, and the answer read from what comes
// back. No sockets here, so that all of it can be fuzzed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/json.h"
#include "runtime/core/result.h"
#include "runtime/route/remote_client.h"
#include "runtime/route/sse.h"

namespace ac {

// The most tokens that are ever asked for.
inline constexpr int32_t kMaxRemoteTokens = 1000000;

// The JSON body for POST /chat/completions. Built field by field from a fixed list: nothing else
// of a request can leave the machine.
std::string chat_request_body(std::string_view model, const RemoteRequest& request);

// `text` fit for a terminal and a log line: no control characters, valid UTF-8, at most max_bytes.
std::string printable(std::string_view text, size_t max_bytes);

// The message in an error body: {"error":{"message","code"}}, {"error":"..."}, {"message":"..."},
// {"detail":"..."} or {"detail":[{"msg"}]}; otherwise the text itself, unless it is HTML.
// Printable, but not shortened: a key that a server sends back must still be whole when it is
// looked for.
std::string error_message_of(std::string_view body);

// Whether an error body says that the prompt is too long: OpenAI's code, or vLLM's sentence.
bool says_context_full(std::string_view body);

// The ids in the answer of GET /models, printable. Errors: kRemote.
Result<std::vector<std::string>> model_ids_of(std::string_view body);

// Reads one answer, from an event stream or from a whole JSON body.
class AnswerReader {
 public:
  // on_text may be empty. REQUIRES: max_tokens >= 1.
  AnswerReader(int32_t max_tokens, std::function<bool(std::string_view)> on_text);

  // Bytes of an event stream. Errors: kRemote (a broken event, an error event, a limit), kCancelled
  // (on_text returned false).
  Status feed_stream(std::string_view bytes);
  // A whole JSON body, of a server that does not stream. Errors as above.
  Status feed_json(std::string_view body);

  // [DONE] has been seen, or a whole body read; what follows is ignored.
  bool done() const { return done_; }
  int64_t n_events() const { return n_events_; }  // comments do not count
  bool relayed() const { return relayed_; }       // a piece has been given to on_text

  // The answer at the end of the input: text, model, finish_reason, token counts.
  // Errors: kRemote "stream cut after N events", "ended without finish_reason".
  Result<RemoteAnswer> finish();

 private:
  Status on_event(std::string_view data);
  Status add_text(std::string_view piece);
  void read_usage(const Json& chunk);
  Status read_calls(const Json& delta);

  SseParser parser_;
  uint64_t max_text_bytes_;
  std::function<bool(std::string_view)> on_text_;
  RemoteAnswer answer_;
  uint64_t n_call_bytes_ = 0;
  int64_t n_events_ = 0;
  bool done_ = false;
  bool relayed_ = false;
};

}  // namespace ac
