#include "runtime/route/read_signals.h"

namespace ac {

void read_prefill(const PrefillState& state, DraftSignals& signals) {
  signals.entropy = entropy(state.logits);
  const auto best = top_log_probabilities(state.logits, 2);
  signals.margin = best.size() < 2 ? 0 : best[0].second - best[1].second;
  signals.hidden.assign(state.hidden.begin(), state.hidden.end());
}

void read_answer(const Generation& generation, const DraftCheck& check, DraftSignals& signals) {
  signals.mean_logprob = static_cast<float>(generation.mean_logprob);
  signals.low_logprob = generation.low_logprob;
  signals.least_logprob = generation.least_logprob;
  signals.n_tokens = static_cast<int32_t>(generation.tokens.size());
  signals.n_ungrounded = static_cast<int32_t>(check.ungrounded.size());
  signals.n_wrong_sums = static_cast<int32_t>(check.wrong_sums.size());
  signals.repeats = check.repeats;
  signals.cut_off = generation.finish == FinishReason::kLength;
}

}  // namespace ac
