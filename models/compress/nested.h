// Nested precision: a 4-bit base and a 4-bit residual for each matrix, in one checkpoint, and the
// order in which levels of precision begin to read the residuals.
//
// The base is what quantise() makes of the same in Q4_0, byte for byte, out of the same parts of
// the build folder. The residual is rounded as carefully, against the same inputs. For the order,
// each residual is read alone over some of the calibration text: what it takes off the divergence
// from the base model, for its size, is its place.
#pragma once

#include <string>

#include "models/compress/quantise.h"
#include "models/compress/stage.h"

namespace ac {

struct NestedOptions {
  QuantiseOptions base = {};   // Q4_0, compensated
  size_t order_tokens = 1024;  // of the calibration text, for measuring the order
};
std::string nested_text(const NestedOptions& options);

// The key of the order (models/arch/nested.h) is in the result's metadata. Errors: as quantise();
// kUnsupported (no matrix can be nested), kInvalidArgument (no calibration text).
Result<StageResult> nest(const Stage& stage, const NestedOptions& options);

// A nested checkpoint at the level that it says as ordinary tensors: matrices that read their
// residual are rounded to Q8_0, of all others the base stays. At level 0 that is the Q4_0 model.
// What is not nested comes back as it is. Views of `source`, which must outlive the result.
// REQUIRES: no packed tensors. Errors: those of read_nested_order, kOutOfMemory.
struct Flat {
  Checkpoint checkpoint;
  size_t n_rounded = 0;  // matrices that became Q8_0
};
Result<Flat> flattened(const Checkpoint& source, cpu::ThreadTeam& team);
// What it changed, for people. REQUIRES: n_rounded > 0.
std::string rounded_note(const Flat& flat);

}  // namespace ac
