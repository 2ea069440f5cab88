// The gates of one predictor's file: the paper's network, and, where it has them, the n-gram gate and
// the draft gate after it.
#pragma once

#include <optional>

#include "models/predictor/draft_gate.h"
#include "models/predictor/ngram_gate.h"
#include "models/predictor/predictor.h"

namespace ac {

struct Gates {
  Predictor paper;
  std::optional<NgramGate> ngram{};  // files of older versions have none
  std::optional<DraftGate> draft{};  // only with an n-gram gate

  // Errors: as each from_checkpoint; kCorruptFile where their tiers differ.
  static Result<Gates> from_checkpoint(const Checkpoint& checkpoint);
};

}  // namespace ac
