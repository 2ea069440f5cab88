// Receipt: what was done for an answer, why, and what it cost. Attached to every answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/core/json.h"
#include "runtime/route/policy.h"

namespace ac {

struct Receipt {
  Place place = Place::kLocal;
  std::string model;  // the local variant's id, or the remote model as its server names it
  std::optional<int32_t> level;  // of a nested variant, at the end of the answer
  RouteReason reason = RouteReason::kConfident;
  std::optional<double>
      confidence;              // predicted success of what was chosen; none without a predictor
  bool degraded = false;       // the full model was wanted and could not be had
  std::string degraded_cause;  // "remote unreachable (connect: refused)"; empty unless degraded
  std::string doubts;          // what check_draft says against a local answer; empty: nothing
  std::string note;            // anything else worth knowing: "the server counted no tokens"
  int64_t completion_tokens = 0;
  int64_t prompt_tokens = 0;
  int64_t reused_tokens = 0;       // prompt tokens whose state was still in the cache
  double seconds = 0;              // from the question to the end of the answer
  double first_token_seconds = 0;  // 0 when no text came
  double cost_usd = 0;
  std::string finish;  // "stop", "length", "cancelled", "interrupted"

  // One line: `local q4_0 · 31 tok · 0.4 s · $0.0000 · confidence 0.91`; what went wrong follows:
  // ` · degraded: remote unreachable (connect: refused)`, ` · interrupted`, ` · doubtful: not in the
  // prompt: 1846`, ` · <note>`.
  std::string format_line() const;
  OrderedJson to_json() const;
};

}  // namespace ac
