// Functions and their calls in requests, rebuilt from fields that are known: nothing else of them leaves
// the machine.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "models/text/chat_template.h"
#include "runtime/core/json.h"
#include "runtime/core/result.h"
#include "runtime/route/tool_call.h"

namespace ac {

struct RequestedTools {
  std::string tools{}, tool_choice{};  // JSON as chat completions have it; empty: none
};

// `tools` and `tool_choice` of a body, as chat completions or as responses have them. Tools that are
// no functions are left out: they are run by other servers than ours. Errors: kInvalidArgument.
Result<RequestedTools> read_tools(const OrderedJson& body);

// Completes a message that calls functions (tool_calls) or tells what one has said (tool_call_id).
// Errors: kInvalidArgument.
Status read_calls(const OrderedJson& message, ChatMessage& out);

// What the assistant says and the functions that it calls are items of their own in responses, and one
// message in chat completions: neighbours become one, and those that say nothing are left out.
void join_turns(std::vector<ChatMessage>& messages);

// An answer as a message of the conversation that goes on.
ChatMessage said_by(const std::string& text, std::span<const ToolCall> calls);

// An item of responses' input that is a call or its result; nullopt: it is neither. Errors:
// kInvalidArgument.
Result<std::optional<ChatMessage>> read_call_item(const OrderedJson& item);

}  // namespace ac
