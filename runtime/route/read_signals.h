// The draft gate's signals, read from what an engine says of its own answer.
#pragma once

#include "models/predictor/draft_signals.h"
#include "runtime/engine/session.h"
#include "runtime/route/verify.h"

namespace ac {

void read_prefill(const PrefillState& state, DraftSignals& signals);
void read_answer(const Generation& generation, const DraftCheck& check, DraftSignals& signals);

}  // namespace ac
