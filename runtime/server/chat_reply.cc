#include "runtime/server/chat_reply.h"

#include <nlohmann/json.hpp>

namespace ac {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 404:
      return "not_found";
    case 429:
      return "rate_limit_error";
    case 503:
      return "unavailable_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

OrderedJson text_or_null(std::string_view text) {
  return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
}

OrderedJson error_object(int status, std::string_view message, std::string_view param,
                         std::string_view code) {
  return {{"message", message},
          {"type", type_of(status)},
          {"param", text_or_null(param)},
          {"code", text_or_null(code)}};
}

OrderedJson usage_of(const Receipt& receipt) {
  return {{"prompt_tokens", receipt.prompt_tokens},
          {"completion_tokens", receipt.completion_tokens},
          {"total_tokens", receipt.prompt_tokens + receipt.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", receipt.reused_tokens}}},
          {"cost", receipt.cost_usd}};
}

OrderedJson chunk(const ReplyHead& head, OrderedJson choices) {
  return {{"id", head.id},
          {"object", head.is_chat ? "chat.completion.chunk" : "text_completion"},
          {"created", head.created},
          {"model", head.model},
          {"choices", std::move(choices)}};
}

// Of a stream, with a piece of text; `role`: with that too.
OrderedJson choice(const ReplyHead& head, std::string_view piece, std::string_view reason,
                   bool role = false) {
  OrderedJson one{{"index", 0}};
  if (head.is_chat) {
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

std::string event(const OrderedJson& data) { return "data: " + json_line(data) + "\n\n"; }

}  // namespace

std::string error_body(int status, std::string_view message, std::string_view param,
                       std::string_view code) {
  return json_line(OrderedJson{{"error", error_object(status, message, param, code)}});
}

ErrorStatus status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
      return {400, ""};
    case ErrorCode::kContextFull:
      return {400, "context_length_exceeded"};
    case ErrorCode::kNotFound:
      return {404, "model_not_found"};
    case ErrorCode::kRemote:
      return {502, "upstream_failed"};
    case ErrorCode::kOutOfMemory:
      return {503, "insufficient_memory"};
    case ErrorCode::kCancelled:
      return {503, "cancelled"};
    case ErrorCode::kCorruptFile:
    case ErrorCode::kIo:
      break;
  }
  return {500, ""};
}

std::string_view finish_reason_of(const Receipt& receipt) {
  return receipt.finish == "length" ? "length" : "stop";
}

std::string completion_body(const ReplyHead& head, const RoutedAnswer& answer) {
  OrderedJson one{{"index", 0}};
  if (head.is_chat) {
    one["message"] = {{"role", "assistant"}, {"content", answer.text}};
  } else {
    one["text"] = answer.text;
  }
  one["logprobs"] = nullptr;
  one["finish_reason"] = finish_reason_of(answer.receipt);
  const OrderedJson choices = OrderedJson::array({std::move(one)});
  return json_line(OrderedJson{{"id", head.id},
                               {"object", head.is_chat ? "chat.completion" : "text_completion"},
                               {"created", head.created},
                               {"model", answer.receipt.model},
                               {"choices", choices},
                               {"usage", usage_of(answer.receipt)},
                               {"agentcompress", answer.receipt.to_json()}});
}

std::string first_event(const ReplyHead& head) {
  return event(chunk(head, choice(head, "", "", true)));
}

std::string piece_event(const ReplyHead& head, std::string_view piece) {
  return event(chunk(head, choice(head, piece, "")));
}

std::string last_event(const ReplyHead& head, const RoutedAnswer& answer) {
  OrderedJson last = chunk(head, choice(head, "", finish_reason_of(answer.receipt)));
  last["model"] = answer.receipt.model;
  last["agentcompress"] = answer.receipt.to_json();
  return event(last);
}

std::string usage_event(const ReplyHead& head, const Receipt& receipt) {
  OrderedJson last = chunk(head, OrderedJson::array());
  last["model"] = receipt.model;
  last["usage"] = usage_of(receipt);
  return event(last);
}

std::string error_event(int status, std::string_view message, std::string_view code) {
  return event(OrderedJson{{"error", error_object(status, message, "", code)}});
}

HttpFields receipt_fields(const Receipt& receipt) {
  const bool local = receipt.place == Place::kLocal;
  return {{"x-agentcompress-route", local ? "local" : "remote"},
          {"x-agentcompress-variant", receipt.model},
          {"x-agentcompress-reason", std::string(route_reason_name(receipt.reason))},
          {"x-agentcompress-cost-usd", fmt::format("{:.6f}", receipt.cost_usd)},
          {"x-agentcompress-latency-ms", fmt::format("{:.0f}", 1e3 * receipt.seconds)}};
}

}  // namespace ac
