#include "runtime/server/error_reply.h"

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

}  // namespace

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

HttpFields receipt_fields(const Receipt& receipt) {
  const bool local = receipt.place == Place::kLocal;
  return {{"x-agentcompress-route", local ? "local" : "remote"},
          {"x-agentcompress-variant", receipt.model},
          {"x-agentcompress-reason", std::string(route_reason_name(receipt.reason))},
          {"x-agentcompress-cost-usd", fmt::format("{:.6f}", receipt.cost_usd)},
          {"x-agentcompress-latency-ms", fmt::format("{:.0f}", 1e3 * receipt.seconds)}};
}

}  // namespace ac
