// Both gates of one predictor's file: the paper's network, and the n-gram gate where it has one.
#pragma once

#include <optional>

#include "models/predictor/ngram_gate.h"
#include "models/predictor/predictor.h"

namespace ac {

struct Gates {
  Predictor paper;
  std::optional<NgramGate> ngram;  // files of older versions have none

  // Errors: as both from_checkpoint; kCorruptFile where their tiers differ.
  static Result<Gates> from_checkpoint(const Checkpoint& checkpoint);
};

}  // namespace ac
