// How often a model does the research tasks right: every answer greedy, judged by the task's own
// checker; or prompts of somebody's own, by comparing lines.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "models/compress/calibration_text.h"
#include "models/tasks/task.h"
#include "runtime/core/interval.h"
#include "runtime/eval/greedy.h"

namespace ac {

struct TaskSample {
  tasks::Split split = tasks::Split::kEvaluation;
  tasks::Wording wording = tasks::Wording::kListed;
  std::optional<tasks::TaskKind> kind{};  // none: all
  uint64_t first_seed = 0;
  int64_t n_per_kind = 100;  // of seeds that follow; fields take turns
};

struct TaskScore {
  std::array<SuccessCount, tasks::kTaskKinds> kinds{};
  std::map<std::string, SuccessCount, std::less<>> skills{};  // "citation format"
  int64_t n_tokens = 0;                                       // of all answers
  SuccessCount all() const;
};

struct TaskScoreOptions {
  GreedyOptions answering{};
  std::function<void(const tasks::Task&, uint64_t seed, std::string_view answer,
                     const tasks::Verdict&)>
      on_answer{};
};

// A prompt that does not fit the engine's context counts as a failure. Errors: as answer_greedily.
Result<TaskScore> score_tasks(Engine& engine, const TaskSample& sample,
                              const TaskScoreOptions& options);

struct DocumentScoreOptions {
  GreedyOptions answering{};
  std::function<void(const TextDocument&, std::string_view answer, bool right)> on_answer{};
};
// Prompts with the one answer that is right, line by line. Errors: as answer_greedily;
// kInvalidArgument for a document without a prompt.
Result<SuccessCount> score_documents(Engine& engine, std::span<const TextDocument> documents,
                                     const DocumentScoreOptions& options);

}  // namespace ac
