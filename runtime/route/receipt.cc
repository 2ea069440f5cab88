#include "runtime/route/receipt.h"

#include <nlohmann/json.hpp>

namespace ac {
namespace {

std::string_view place_name(Place place) { return place == Place::kLocal ? "local" : "remote"; }

}  // namespace

std::string Receipt::format_line() const {
  // A variant of a nested file is named after its level, unless another was asked for.
  const bool says_level = level.has_value() && !model.ends_with(fmt::format(".{}", *level));
  std::string line = fmt::format("{} {}{} · {} tok · {:.1f} s · ${:.4f}", place_name(place), model,
                                 says_level ? fmt::format(" at level {}", *level) : "",
                                 completion_tokens, seconds, cost_usd);
  if (confidence.has_value()) line += fmt::format(" · confidence {:.2f}", *confidence);
  if (finish == "interrupted" || finish == "cancelled") line += " · " + finish;
  if (degraded) {
    line += " · degraded";
    if (!degraded_cause.empty()) line += ": " + degraded_cause;
  }
  if (!doubts.empty()) line += " · doubtful: " + doubts;
  if (!note.empty()) line += " · " + note;
  return line;
}

OrderedJson Receipt::to_json() const {
  OrderedJson out;
  out["route"] = place_name(place);
  out["model"] = model;
  if (level.has_value()) out["level"] = *level;
  out["reason"] = route_reason_name(reason);
  out["confidence"] = confidence.has_value() ? OrderedJson(*confidence) : OrderedJson(nullptr);
  out["degraded"] = degraded;
  if (degraded) out["degraded_cause"] = degraded_cause;
  if (!doubts.empty()) out["doubts"] = doubts;
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
