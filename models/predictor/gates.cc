#include "models/predictor/gates.h"

#include <algorithm>

namespace ac {

Result<Gates> Gates::from_checkpoint(const Checkpoint& checkpoint) {
  AC_TRY(Predictor paper, Predictor::from_checkpoint(checkpoint));
  Result<NgramGate> ngram = NgramGate::from_checkpoint(checkpoint);
  if (!ngram) {
    if (ngram.error().code != ErrorCode::kNotFound) return ngram.error();
    return Gates{std::move(paper), std::nullopt};
  }
  if (!std::ranges::equal(paper.tiers(), ngram->tiers())) {
    return fail(ErrorCode::kCorruptFile, "{}: the two gates have different tiers",
                checkpoint.origin);
  }
  return Gates{std::move(paper), std::move(*ngram)};
}

}  // namespace ac
