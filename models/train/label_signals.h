// What a variant showed of its answer, as a field of a row of labels:
//
//   "signals": {model: {"entropy": n, "margin": n, "mean_logprob": n, "low_logprob": n,
//               "least_logprob": n, "tokens": n, "ungrounded": n, "wrong_sums": n, "repeats": yes,
//               "cut_off": yes, "hidden": [n, ...]}, ...}
#pragma once

#include "models/predictor/draft_signals.h"
#include "runtime/core/json.h"
#include "runtime/core/result.h"

namespace ac {

OrderedJson signals_to_json(const DraftSignals& signals);
// Errors: kCorruptFile naming the field.
Result<DraftSignals> signals_from_json(const Json& object);

}  // namespace ac
