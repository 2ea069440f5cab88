// predictor label: what every variant of a zoo makes of the same prompts, for `predictor train`.
#include <array>
#include <nlohmann/json.hpp>

#include "models/compress/calibration_text.h"
#include "models/predictor/compare_text.h"
#include "models/train/label_signals.h"
#include "runtime/cli/setup.h"
#include "runtime/cli/task_flags.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"
#include "runtime/eval/label.h"

namespace ac::cli {
namespace {

constexpr int32_t kSlots = 8;  // answers decoded together

constexpr std::array kOptions = {
    Option{
        "--file", "FILE",
        "prompts: .jsonl with \"prompt\" and, where one is right, \"answer\"; else research tasks"},
    kKindOption,
    Option{"--split", "train|calibration|evaluation", "whose research tasks (calibration)"},
    kSeedOption,
    Option{"--n", "N", "research tasks of each kind (400)"},
    Option{"--reference", "VARIANT",
           "whose answers the others are compared with where none is known (the dearest)"},
    Option{"--out", "FILE", "where to write the labels"},
};

std::vector<PromptToLabel> prompts_of_tasks(const TaskRange& range) {
  std::vector<PromptToLabel> prompts;
  for (int kind = 0; kind < tasks::kTaskKinds; ++kind) {
    if (range.kind && *range.kind != static_cast<tasks::TaskKind>(kind)) continue;
    for (uint64_t seed = range.first; seed < range.first + range.n; ++seed) {
      const auto field = static_cast<tasks::Field>(seed % tasks::kFields);
      tasks::Task task =
          tasks::make_task(static_cast<tasks::TaskKind>(kind), field, range.split, seed);
      PromptToLabel prompt{
          .prompt = task.prompt,
          .task = fmt::format("{} {}", tasks::kind_name(task.kind), tasks::skill_name(task.truth))};
      prompt.score = [truth = std::move(task.truth)](std::string_view answer) {
        return tasks::check(truth, answer).success ? 1.0 : 0.0;
      };
      prompts.push_back(std::move(prompt));
    }
  }
  return prompts;
}

Result<std::vector<PromptToLabel>> prompts_of_file(const std::string& path) {
  AC_TRY(const std::vector<TextDocument> documents, read_documents(path));
  std::vector<PromptToLabel> prompts;
  for (const TextDocument& document : documents) {
    PromptToLabel prompt{.prompt = document.prompt.empty() ? document.text : document.prompt,
                         .task = {}};
    if (!document.prompt.empty()) {
      prompt.score = [right = document.text](std::string_view answer) {
        return same_lines(answer, right) ? 1.0 : 0.0;
      };
    }
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

std::string label_lines(std::span<const PromptToLabel> prompts,
                        std::span<const LabelColumn> columns) {
  std::string text;
  for (size_t i = 0; i < prompts.size(); ++i) {
    OrderedJson row{{"prompt", prompts[i].prompt}};
    if (!prompts[i].task.empty()) row["task"] = prompts[i].task;
    for (const LabelColumn& column : columns) row["scores"][column.variant] = column.scores[i];
    for (const LabelColumn& column : columns) row["answers"][column.variant] = column.answers[i];
    for (const LabelColumn& column : columns) {
      row["signals"][column.variant] = signals_to_json(column.signals[i]);
    }
    text += json_line(row) + "\n";
  }
  return text;
}

Result<int> run(const Invocation& invocation) {
  const auto out = invocation.value("--out");
  if (!out) return usage_error(invocation.verb(), "expected --out FILE");
  AC_TRY(const TaskRange range, task_range(invocation, tasks::Split::kCalibration, 400));
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const Models models, open_models(invocation, settings, kSlots));
  if (models.variants == nullptr) return usage_error(invocation.verb(), "expected a zoo");
  std::vector<PromptToLabel> prompts;
  if (const auto file = invocation.value("--file")) {
    AC_TRY(prompts, prompts_of_file(*file));
  } else {
    prompts = prompts_of_tasks(range);
  }
  watch_interrupts();
  std::optional<Progress> progress(std::in_place, "labelling",
                                   models.variants->variants().size() * prompts.size());
  uint64_t n_before = 0;
  bool first = true;
  std::string now;
  LabelOptions options;
  options.reference = invocation.value("--reference").value_or("");
  options.answering.cancel = &interrupted();
  options.on_variant = [&](std::string_view variant) {
    if (!first) n_before += prompts.size();
    first = false;
    now = variant;
  };
  options.answering.progress = [&](int64_t done, int64_t) {
    progress->update(n_before + static_cast<uint64_t>(done), now);
  };
  AC_TRY(const std::vector<LabelColumn> columns, label_prompts(*models.variants, prompts, options));
  progress.reset();
  AC_TRY_STATUS(write_file(*out, label_lines(prompts, columns)));
  for (const LabelColumn& column : columns) {
    double sum = 0;
    for (const double score : column.scores) sum += score;
    print("{:<20} {:.3f}\n", column.variant,
          prompts.empty() ? 0.0 : sum / static_cast<double>(prompts.size()));
  }
  print("{}: {} prompts\n", *out, prompts.size());
  return 0;
}

}  // namespace

constinit const Verb kPredictorLabel = {
    .name = "predictor label",
    .summary = "let every variant of a zoo answer prompts, and score the answers",
    .options = kOptions,
    .sections = "engine route log",
    .run = run,
};

}  // namespace ac::cli
