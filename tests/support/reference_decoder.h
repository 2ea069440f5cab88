// A transformer written out plainly in double precision: the whole sequence at once, no cache, no
// backend, every family by name. It reads the checkpoint by itself and shares no code with
// models/arch, so that the two can only agree by both being right.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/checkpoint.h"

namespace ac::test {

// Logits [tokens.size(), n_vocab]. REQUIRES: a checkpoint of a known family, whole and well-formed.
// `n_context`: the context the engine was given (LongRoPE's choice); 0: the trained one.
std::vector<double> reference_logits(const Checkpoint& checkpoint, std::span<const int32_t> tokens,
                                     int32_t n_context = 0);

}  // namespace ac::test
