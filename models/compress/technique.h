// A technique by name, with its numbers: what a recipe's lines say.
//
// A new technique is a file that works on a Stage, and a row in technique.cc.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "models/compress/stage.h"

namespace ac {

class Technique {
 public:
  virtual ~Technique() = default;
  virtual std::string_view name() const = 0;
  // The name and every number, defaults too: the same text, the same result. For the manifest.
  virtual std::string text() const = 0;
  virtual bool needs_calibration() const = 0;
  // Whether it learns from stage.recovery().
  virtual bool learns() const { return false; }
  // Levels of precision of which each becomes a variant of its own; empty: there is one precision.
  virtual std::vector<int32_t> levels() const { return {}; }
  virtual Result<StageResult> apply(const Stage& stage) const = 0;
};

// From a line of a recipe: `name` and its words, "q4_0 rounding=search" or "ff_keep=0.5 unit=32".
// Errors: kInvalidArgument (an unknown name or key, a value out of range, with what is known).
Result<std::unique_ptr<const Technique>> make_technique(std::string_view name,
                                                        std::string_view words);

// Structure before low rank, quantise last, each once; repair and recover anywhere before
// quantise, and as often as wanted.
// Errors: kInvalidArgument.
Status check_chain(const std::vector<std::unique_ptr<const Technique>>& chain);

}  // namespace ac
