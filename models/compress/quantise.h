// Quantise: matrices into blocks of GGUF, with the calibrated inputs in mind.
#pragma once

#include <string>

#include "models/compress/stage.h"
#include "runtime/core/weight_format.h"

namespace ac {

enum class Rounding {
  kNearest,      // each weight to the nearest value of its block's plain grid
  kSearch,       // grids searched with calibrated weights
  kCompensated,  // and the error of each column undone by those that follow (GPTQ)
};
std::string_view rounding_name(Rounding rounding);

struct QuantiseOptions {
  WeightFormat format = WeightFormat::kQ4_0;
  Rounding rounding = Rounding::kCompensated;
  double damping = 0.01;
  // Reorders the feed-forward channels by the strength of their inputs before `down` is rounded:
  // costs nothing at run time, since the rows of gate and up take the same order.
  bool reorder = true;
  // The format of the matrix that makes the logits, where it is not tied to the embedding; tied or
  // not, less than 8 bits only where this says so.
  std::optional<WeightFormat> output = std::nullopt;
};

// Errors: kCorruptFile (weights that are not finite), kOutOfMemory, kIo.
Result<StageResult> quantise(const Stage& stage, const QuantiseOptions& options);

}  // namespace ac
