// What a variant shows, beside its text, of whether its answer is right.
#pragma once

#include <cstdint>
#include <vector>

namespace ac {

// At every moment that the draft gate is asked more is known.
enum class DraftStage {
  kProbe,   // the variant has read the prompt and written nothing
  kDraft,   // its answer stands
  kSecond,  // another variant has answered too
};
inline constexpr int kDraftStages = 3;

struct DraftSignals {
  // After the prompt.
  float entropy = 0;  // of the first token's distribution, nats
  float margin = 0;   // its best log-probability minus the next
  std::vector<float> hidden{};  // the last hidden state, [d_model]; empty: not known
  // Of the answer.
  float mean_logprob = 0;   // Generation's (runtime/engine/session.h)
  float low_logprob = 0;
  float least_logprob = 0;
  int32_t n_tokens = 0;
  int32_t n_ungrounded = 0;  // facts that the prompt does not have
  int32_t n_wrong_sums = 0;
  bool repeats = false;
  bool cut_off = false;  // it ended because there was no more room
};

// The answer beside that of another variant.
struct SecondDraft {
  bool same = false;  // line by line
  float overlap = 0;  // of their words, in [0, 1]
};

}  // namespace ac
