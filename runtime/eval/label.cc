#include "runtime/eval/label.h"

#include <algorithm>

#include "models/predictor/compare_text.h"
#include "runtime/route/read_signals.h"

namespace ac {

Result<std::vector<LabelColumn>> label_prompts(const VariantSource& source,
                                               std::span<const PromptToLabel> prompts,
                                               const LabelOptions& options) {
  std::vector<LocalVariant> variants(source.variants().begin(), source.variants().end());
  if (variants.empty()) return fail(ErrorCode::kNotFound, "there are no variants to label with");
  std::stable_sort(variants.begin(), variants.end(),
                   [](const auto& a, const auto& b) { return a.cost.cost < b.cost.cost; });
  std::vector<std::string> texts;
  for (const PromptToLabel& prompt : prompts) texts.push_back(prompt.prompt);
  std::vector<LabelColumn> columns;
  for (const LocalVariant& variant : variants) {
    if (options.on_variant) options.on_variant(variant.cost.id);
    AC_TRY(const auto engine, source.load(variant.cost.id));
    LabelColumn column{.variant = variant.cost.id,
                       .answers = {},
                       .scores = {},
                       .signals = std::vector<DraftSignals>(prompts.size())};
    GreedyOptions answering = options.answering;
    answering.after_prefill = [&column](size_t prompt, const PrefillState& state) {
      read_prefill(state, column.signals[prompt]);
    };
    AC_TRY(std::vector<Generation> answers, answer_greedily(*engine, texts, answering));
    for (size_t i = 0; i < answers.size(); ++i) {
      read_answer(answers[i], check_draft(texts[i], answers[i].text), column.signals[i]);
      column.answers.push_back(std::move(answers[i].text));
    }
    columns.push_back(std::move(column));
  }
  const std::string& name = options.reference.empty() ? columns.back().variant : options.reference;
  const auto reference = std::find_if(columns.begin(), columns.end(),
                                      [&](const auto& column) { return column.variant == name; });
  if (reference == columns.end()) {
    return fail(ErrorCode::kNotFound, "no variant '{}' to compare answers with", name);
  }
  for (LabelColumn& column : columns) {
    for (size_t i = 0; i < prompts.size(); ++i) {
      column.scores.push_back(prompts[i].score
                                  ? prompts[i].score(column.answers[i])
                                  : word_overlap(column.answers[i], reference->answers[i]));
    }
  }
  return columns;
}

}  // namespace ac
