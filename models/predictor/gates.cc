#include "models/predictor/gates.h"

#include <algorithm>

namespace ac {

Result<Gates> Gates::from_checkpoint(const Checkpoint& checkpoint) {
  AC_TRY(Predictor paper, Predictor::from_checkpoint(checkpoint));
  Result<NgramGate> ngram = NgramGate::from_checkpoint(checkpoint);
  if (!ngram) {
    if (ngram.error().code != ErrorCode::kNotFound) return ngram.error();
    return Gates{.paper = std::move(paper)};
  }
  if (!std::ranges::equal(paper.tiers(), ngram->tiers())) {
    return fail(ErrorCode::kCorruptFile, "{}: the two gates have different tiers",
                checkpoint.origin);
  }
  Result<DraftGate> draft = DraftGate::from_checkpoint(checkpoint, *ngram);
  Gates gates{.paper = std::move(paper), .ngram = std::move(*ngram)};
  if (draft) {
    gates.draft = std::move(*draft);
  } else if (draft.error().code != ErrorCode::kNotFound) {
    return draft.error();
  }
  return gates;
}

}  // namespace ac
