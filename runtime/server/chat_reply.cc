#include "runtime/server/chat_reply.h"

#include <nlohmann/json.hpp>

#include "runtime/server/error_reply.h"

namespace ac {
namespace {

constexpr std::string_view kDone = "data: [DONE]\n\n";

OrderedJson usage_of(const Receipt& receipt) {
  return {{"prompt_tokens", receipt.prompt_tokens},
          {"completion_tokens", receipt.completion_tokens},
          {"total_tokens", receipt.prompt_tokens + receipt.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", receipt.reused_tokens}}},
          {"cost", receipt.cost_usd}};
}

// `indexed`: as pieces of a stream have them.
OrderedJson calls_of(const RoutedAnswer& answer, bool indexed) {
  OrderedJson calls = OrderedJson::array();
  for (const ToolCall& call : answer.tool_calls) {
    OrderedJson one = OrderedJson::object();
    if (indexed) one["index"] = calls.size();
    one["id"] = call.id;
    one["type"] = "function";
    one["function"] = {{"name", call.name}, {"arguments", call.arguments}};
    calls.push_back(std::move(one));
  }
  return calls;
}

std::string event(const OrderedJson& data) { return "data: " + json_line(data) + "\n\n"; }

}  // namespace

ChatForm::ChatForm(ReplyHead head, bool is_chat, bool include_usage)
    : ReplyForm(std::move(head)), is_chat_(is_chat), include_usage_(include_usage) {
  head_.id = (is_chat ? "chatcmpl-" : "cmpl-") + head_.id;
}

OrderedJson ChatForm::chunk(OrderedJson choices) const {
  return {{"id", head_.id},
          {"object", is_chat_ ? "chat.completion.chunk" : "text_completion"},
          {"created", head_.created},
          {"model", head_.model},
          {"choices", std::move(choices)}};
}

OrderedJson ChatForm::choice(std::string_view piece, std::string_view reason, bool role) const {
  OrderedJson one{{"index", 0}};
  if (is_chat_) {
    OrderedJson delta = OrderedJson::object();
    if (role) delta["role"] = "assistant";
    if (role || !piece.empty()) delta["content"] = piece;
    one["delta"] = std::move(delta);
  } else {
    one["text"] = piece;
    one["logprobs"] = nullptr;
  }
  one["finish_reason"] = text_or_null(reason);
  return OrderedJson::array({std::move(one)});
}

std::string ChatForm::opening() {
  return is_chat_ ? event(chunk(choice("", "", true))) : std::string();
}

std::string ChatForm::piece(std::string_view text) { return event(chunk(choice(text, ""))); }

std::string ChatForm::closing(const RoutedAnswer& answer) {
  std::string text;
  // One a chunk: some clients look at the first of each.
  for (OrderedJson& call : calls_of(answer, true)) {
    OrderedJson calling = choice("", "");
    calling[0]["delta"]["tool_calls"] = OrderedJson::array({std::move(call)});
    text += event(chunk(std::move(calling)));
  }
  OrderedJson last = chunk(choice("", finish_reason_of(answer)));
  last["model"] = answer.receipt.model;
  last["agentcompress"] = answer.receipt.to_json();
  text += event(last);
  if (include_usage_) {
    OrderedJson counted = chunk(OrderedJson::array());
    counted["model"] = answer.receipt.model;
    counted["usage"] = usage_of(answer.receipt);
    text += event(counted);
  }
  return text + std::string(kDone);
}

std::string ChatForm::broken(int status, std::string_view message, std::string_view code) {
  return event(OrderedJson{{"error", error_object(status, message, "", code)}}) +
         std::string(kDone);
}

std::string ChatForm::whole(const RoutedAnswer& answer) {
  OrderedJson one{{"index", 0}};
  if (is_chat_) {
    const bool only_calls = answer.text.empty() && !answer.tool_calls.empty();
    one["message"] = {{"role", "assistant"},
                      {"content", only_calls ? OrderedJson(nullptr) : OrderedJson(answer.text)}};
    if (!answer.tool_calls.empty()) one["message"]["tool_calls"] = calls_of(answer, false);
  } else {
    one["text"] = answer.text;
  }
  one["logprobs"] = nullptr;
  one["finish_reason"] = finish_reason_of(answer);
  return json_line(OrderedJson{{"id", head_.id},
                               {"object", is_chat_ ? "chat.completion" : "text_completion"},
                               {"created", head_.created},
                               {"model", answer.receipt.model},
                               {"choices", OrderedJson::array({std::move(one)})},
                               {"usage", usage_of(answer.receipt)},
                               {"agentcompress", answer.receipt.to_json()}});
}

}  // namespace ac
