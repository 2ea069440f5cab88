// The bodies of POST /v1/chat/completions, /v1/completions, /v1/responses and /v1/route, read: what
// is asked, of whom, and how.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "models/text/chat_template.h"
#include "runtime/core/result.h"
#include "runtime/server/response_format.h"
#include "runtime/server/tools_request.h"

namespace ac {

// The role of a message that stands for one which was said before: its content is that one's id.
inline constexpr std::string_view kReferenceRole = "item_reference";

struct ChatRequest {
  std::string model;  // "auto", "local", "remote", a variant; "auto@0.8" has a threshold
  std::vector<ChatMessage> messages;
  std::optional<std::string> raw_prompt;  // instead of messages: text to continue
  enum class Api { kChat, kText, kResponses } api = Api::kChat;  // whose form the answer has
  bool stream = false;
  bool store = true;  // of responses: later requests may refer to what is said
  bool include_usage = false;  // a last chunk that counts tokens
  std::optional<int32_t> max_tokens;
  std::optional<float> temperature, top_p;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::string workflow{};  // metadata.agentcompress_workflow; empty: none
  std::string keep_here{};  // as in RouteRequest: of who asks, not of what the body says
  ResponseFormat format{};
  RequestedTools tools{};
};

// What a client did wrong, as its error object has it.
struct ChatRefusal {
  int status = 400;
  std::string message;
  std::string param;  // the field; empty: none in particular
  std::string code;   // "context_length_exceeded"; empty: null
};

// Fields that change nothing here (user, metadata, ...) are accepted and ignored; one that would
// change the answer and cannot be honoured (n > 1, logprobs, images) is refused.
std::variant<ChatRequest, ChatRefusal> read_chat_request(std::string_view body);
// `prompt` is a string or a list of one; tokens instead of text are refused, and so is what would
// change the answer and cannot be honoured (n or best_of > 1, echo, suffix, logprobs).
std::variant<ChatRequest, ChatRefusal> read_completion_request(std::string_view body);
// `input` is a text or a list of messages, `instructions` come before it. Items that were said before
// may be referred to (stored_items.h); whole conversations are not kept, so what refers to one is
// refused.
std::variant<ChatRequest, ChatRefusal> read_responses_request(std::string_view body);
// A chat request, or `prompt` alone; without `model` it is "auto".
std::variant<ChatRequest, ChatRefusal> read_route_request(std::string_view body);

}  // namespace ac
