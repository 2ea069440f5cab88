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

struct ChatRequest {
  std::string model;  // "auto", "local", "remote", a variant; "auto@0.8" has a threshold
  std::vector<ChatMessage> messages;
  std::optional<std::string> raw_prompt;  // instead of messages: text to continue
  enum class Api { kChat, kText, kResponses } api = Api::kChat;  // whose form the answer has
  bool stream = false;
  bool include_usage = false;  // a last chunk that counts tokens
  std::optional<int32_t> max_tokens;
  std::optional<float> temperature, top_p;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::string workflow{};  // metadata.agentcompress_workflow; empty: none
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
// `input` is a text or a list of messages, `instructions` come before it. Nothing is stored, so what
// refers to something stored is refused.
std::variant<ChatRequest, ChatRefusal> read_responses_request(std::string_view body);
// A chat request, or `prompt` alone; without `model` it is "auto".
std::variant<ChatRequest, ChatRefusal> read_route_request(std::string_view body);

}  // namespace ac
