// Quantise: matrices into blocks of GGUF, with the calibrated inputs in mind.
#pragma once

#include <optional>
#include <string>
#include <vector>

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
// Every option, defaults too: the same text, the same result.
std::string quantise_text(const QuantiseOptions& options);

// Errors: kCorruptFile (weights that are not finite), kOutOfMemory, kIo.
Result<StageResult> quantise(const Stage& stage, const QuantiseOptions& options);

// What quantise() makes, part by part: first the ends, then the layers. Whatever begins with the
// same checkpoint and asks for the same shares them in the build folder. Errors: as quantise().
Result<std::vector<Part>> quantised_parts(const Stage& stage, const QuantiseOptions& options);
// Nested precision: for each matrix that `base`, part number `index` of quantised_parts(), rounded
// to Q4_0, what is left of the original, rounded likewise: NAME.weight.residual. Errors: as
// quantise().
Result<Part> residual_part(const Stage& stage, const QuantiseOptions& options, size_t index,
                           const Part& base);

}  // namespace ac
