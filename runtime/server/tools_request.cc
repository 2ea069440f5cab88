#include "runtime/server/tools_request.h"

#include "runtime/core/ordered_json.h"

namespace ac {
namespace {

constexpr size_t kMaxTools = 128;

Result<std::string> text_of(const OrderedJson& object, const char* key, std::string_view where) {
  const OrderedJson* value = json_find(object, key);
  const auto* text = value == nullptr ? nullptr : value->get_ptr<const std::string*>();
  if (text == nullptr) {
    return fail(ErrorCode::kInvalidArgument, "'{}' in {} must be a string", key, where);
  }
  return *text;
}

Result<OrderedJson> rebuilt_tool(const OrderedJson& tool) {
  const OrderedJson* nested = json_find(tool, "function");
  const OrderedJson& given = nested != nullptr && nested->is_object() ? *nested : tool;
  OrderedJson function;
  AC_TRY(function["name"], text_of(given, "name", "tools"));
  if (json_find(given, "description") != nullptr) {
    AC_TRY(function["description"], text_of(given, "description", "tools"));
  }
  if (const OrderedJson* parameters = json_find(given, "parameters")) {
    if (!parameters->is_object()) {
      return fail(ErrorCode::kInvalidArgument, "'parameters' in tools must be an object");
    }
    function["parameters"] = *parameters;
  }
  if (const OrderedJson* strict = json_find(given, "strict"); strict != nullptr && strict->is_boolean()) {
    function["strict"] = *strict;
  }
  return OrderedJson{{"type", "function"}, {"function", std::move(function)}};
}

Result<OrderedJson> rebuilt_call(const std::string& id, const OrderedJson& function) {
  AC_TRY(std::string name, text_of(function, "name", "a call"));
  AC_TRY(std::string arguments, text_of(function, "arguments", "a call"));
  return OrderedJson{
      {"id", id},
      {"type", "function"},
      {"function", {{"name", std::move(name)}, {"arguments", std::move(arguments)}}}};
}

// A string, or a list of parts that are texts.
Result<std::string> output_of(const OrderedJson& item) {
  const OrderedJson* output = json_find(item, "output");
  if (output == nullptr || !output->is_array()) {
    return text_of(item, "output", "a function_call_output");
  }
  std::string text;
  for (const OrderedJson& part : *output) {
    AC_TRY(const std::string piece, text_of(part, "text", "a part of a function_call_output"));
    text += piece;
  }
  return text;
}

OrderedJson calling(const std::string& content, OrderedJson calls) {
  return {{"role", "assistant"},
          {"content", content.empty() ? OrderedJson(nullptr) : OrderedJson(content)},
          {"tool_calls", std::move(calls)}};
}

// Of a message that this file has rebuilt.
OrderedJson calls_of(const ChatMessage& message) {
  if (message.wire.empty()) return OrderedJson::array();
  return OrderedJson::parse(message.wire).at("tool_calls");
}

OrderedJson result_of(const std::string& id, const std::string& content) {
  return {{"role", "tool"}, {"tool_call_id", id}, {"content", content}};
}

}  // namespace

Result<RequestedTools> read_tools(const OrderedJson& body) {
  RequestedTools requested;
  const OrderedJson* tools = json_find(body, "tools");
  if (tools == nullptr) return requested;
  if (!tools->is_array() || tools->size() > kMaxTools) {
    return fail(ErrorCode::kInvalidArgument, "'tools' must be a list of at most {}", kMaxTools);
  }
  const OrderedJson* choice = json_find(body, "tool_choice");
  if (choice != nullptr && *choice == "none") return requested;
  OrderedJson rebuilt = OrderedJson::array();
  for (const OrderedJson& tool : *tools) {
    if (!tool.is_object()) {
      return fail(ErrorCode::kInvalidArgument, "'tools' must be a list of objects");
    }
    const OrderedJson* type = json_find(tool, "type");
    if (type == nullptr || *type != "function") continue;
    AC_TRY(OrderedJson one, rebuilt_tool(tool));
    rebuilt.push_back(std::move(one));
  }
  if (rebuilt.empty()) return requested;
  requested.tools = json_line(rebuilt);
  if (choice == nullptr) return requested;
  if (*choice == "auto" || *choice == "required") {
    requested.tool_choice = json_line(*choice);
    return requested;
  }
  if (!choice->is_object()) {
    return fail(ErrorCode::kInvalidArgument,
                "'tool_choice' must be none, auto, required or a function");
  }
  const OrderedJson* nested = json_find(*choice, "function");
  const bool is_nested = nested != nullptr && nested->is_object();
  AC_TRY(std::string name, text_of(is_nested ? *nested : *choice, "name", "tool_choice"));
  requested.tool_choice = json_line(
      OrderedJson{{"type", "function"}, {"function", {{"name", std::move(name)}}}});
  return requested;
}

Status read_calls(const OrderedJson& message, ChatMessage& out) {
  if (const OrderedJson* calls = json_find(message, "tool_calls")) {
    if (!calls->is_array() || calls->size() > kMaxTools) {
      return fail(ErrorCode::kInvalidArgument, "'tool_calls' must be a list of at most {}",
                  kMaxTools);
    }
    OrderedJson rebuilt = OrderedJson::array();
    for (const OrderedJson& call : *calls) {
      const OrderedJson* function = call.is_object() ? json_find(call, "function") : nullptr;
      if (function == nullptr || !function->is_object()) {
        return fail(ErrorCode::kInvalidArgument, "'tool_calls' must be a list of function calls");
      }
      AC_TRY(const std::string id, text_of(call, "id", "tool_calls"));
      AC_TRY(OrderedJson one, rebuilt_call(id, *function));
      rebuilt.push_back(std::move(one));
    }
    if (!rebuilt.empty()) out.wire = json_line(calling(out.content, std::move(rebuilt)));
    return {};
  }
  if (out.role != "tool" || json_find(message, "tool_call_id") == nullptr) return {};
  AC_TRY(const std::string id, text_of(message, "tool_call_id", "a message"));
  out.wire = json_line(result_of(id, out.content));
  return {};
}

void join_turns(std::vector<ChatMessage>& messages) {
  std::vector<ChatMessage> joined;
  for (ChatMessage& message : messages) {
    const bool is_assistants = message.role == "assistant";
    if (is_assistants && message.content.empty() && message.wire.empty()) continue;
    if (!is_assistants || joined.empty() || joined.back().role != "assistant") {
      joined.push_back(std::move(message));
      continue;
    }
    ChatMessage& turn = joined.back();
    if (!turn.content.empty() && !message.content.empty()) turn.content += "\n\n";
    turn.content += message.content;
    OrderedJson calls = calls_of(turn);
    for (OrderedJson& call : calls_of(message)) calls.push_back(std::move(call));
    if (!calls.empty()) turn.wire = json_line(calling(turn.content, std::move(calls)));
  }
  messages = std::move(joined);
}

ChatMessage said_by(const std::string& text, std::span<const ToolCall> calls) {
  ChatMessage message{.role = "assistant", .content = text};
  OrderedJson rebuilt = OrderedJson::array();
  for (const ToolCall& call : calls) {
    rebuilt.push_back({{"id", call.id},
                       {"type", "function"},
                       {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  if (!rebuilt.empty()) message.wire = json_line(calling(text, std::move(rebuilt)));
  return message;
}

Result<std::optional<ChatMessage>> read_call_item(const OrderedJson& item) {
  const OrderedJson* type = item.is_object() ? json_find(item, "type") : nullptr;
  if (type == nullptr) return std::optional<ChatMessage>();
  if (*type == "function_call") {
    AC_TRY(const std::string id, text_of(item, "call_id", "a function_call"));
    AC_TRY(OrderedJson call, rebuilt_call(id, item));
    ChatMessage message{.role = "assistant", .content = {}};
    message.wire = json_line(calling("", OrderedJson::array({std::move(call)})));
    return std::optional(std::move(message));
  }
  if (*type != "function_call_output") return std::optional<ChatMessage>();
  AC_TRY(const std::string id, text_of(item, "call_id", "a function_call_output"));
  AC_TRY(std::string output, output_of(item));
  ChatMessage message{.role = "tool", .content = std::move(output)};
  message.wire = json_line(result_of(id, message.content));
  return std::optional(std::move(message));
}

}  // namespace ac
