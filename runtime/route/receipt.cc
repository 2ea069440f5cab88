#include "runtime/route/receipt.h"

#include <nlohmann/json.hpp>

namespace ac {
namespace {

std::string_view place_name(Place place) { return place == Place::kLocal ? "local" : "remote"; }

}  // namespace

std::string Receipt::format_line() const {
  std::string line = fmt::format("{} {} · {} tok · {:.1f} s · ${:.4f}", place_name(place), model,
                                 completion_tokens, seconds, cost_usd);
  if (confidence.has_value()) line += fmt::format(" · confidence {:.2f}", *confidence);
  if (finish == "interrupted" || finish == "cancelled") line += " · " + finish;
  if (degraded) {
    line += " · degraded";
    if (!degraded_cause.empty()) line += ": " + degraded_cause;
  }
  if (!note.empty()) line += " · " + note;
  return line;
}

OrderedJson Receipt::to_json() const {
  OrderedJson out;
  out["route"] = place_name(place);
  out["model"] = model;
  out["reason"] = route_reason_name(reason);
  out["confidence"] = confidence.has_value() ? OrderedJson(*confidence) : OrderedJson(nullptr);
  out["degraded"] = degraded;
  if (degraded) out["degraded_cause"] = degraded_cause;
  if (!note.empty()) out["note"] = note;
  out["completion_tokens"] = completion_tokens;
  out["prompt_tokens"] = prompt_tokens;
  out["reused_tokens"] = reused_tokens;
  out["seconds"] = seconds;
  out["first_token_seconds"] = first_token_seconds;
  out["cost_usd"] = cost_usd;
  out["finish"] = finish;
  return out;
}

}  // namespace ac
