// Labels for a predictor: what every variant of a zoo makes of the same prompts.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/draft_signals.h"
#include "runtime/eval/greedy.h"
#include "runtime/route/variants.h"

namespace ac {

struct PromptToLabel {
  std::string prompt;
  std::string task;  // may be empty
  // The share of success of an answer, in [0, 1]. Empty: how much it agrees with the reference
  // variant's answer (word_overlap).
  std::function<double(std::string_view answer)> score{};
};

struct LabelColumn {
  std::string variant;
  std::vector<std::string> answers;  // [n_prompts]
  std::vector<double> scores;        // [n_prompts]
  std::vector<DraftSignals> signals;  // [n_prompts]
};

struct LabelOptions {
  std::string reference{};  // the variant that others are compared with; empty: the dearest
  GreedyOptions answering{};
  std::function<void(std::string_view variant)> on_variant{};
};

// A column for each variant, cheapest first. Errors: those of the source and of answer_greedily;
// kNotFound for a reference that is no variant.
Result<std::vector<LabelColumn>> label_prompts(const VariantSource& source,
                                               std::span<const PromptToLabel> prompts,
                                               const LabelOptions& options);

}  // namespace ac
