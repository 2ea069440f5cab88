// Which sequences a step learns from: those that the model does worst. Late in a training most documents are
// answered without an error and their gradient is nothing, though it costs as much as any other; a look
// forward costs a third of a step (Selective Backpropagation, Jiang et al., arXiv 1910.00762).
#pragma once

#include "models/train/lm_trainer.h"

namespace ac {

// Of all sequences in `packs` those of the highest loss per token of work, until there are n_tokens or more, in
// packs of at most tokens_per_pack (or one sequence). Errors: kOutOfMemory.
Result<std::vector<Pack>> select_hardest(LmTrainer& trainer, std::span<const Pack> packs,
                                         int64_t n_tokens, int32_t tokens_per_pack);

}  // namespace ac
