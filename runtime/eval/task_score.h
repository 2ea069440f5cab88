// How often a model does the research tasks right: every answer greedy, judged by the task's own
// checker.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "models/tasks/task.h"
#include "runtime/core/cancel.h"
#include "runtime/core/interval.h"
#include "runtime/engine/session.h"

namespace ac {

struct TaskSample {
  tasks::Split split = tasks::Split::kEvaluation;
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
  int32_t max_tokens = 512;  // of an answer
  const CancelFlag* cancel = nullptr;
  std::function<void(const tasks::Task&, uint64_t seed, std::string_view answer,
                     const tasks::Verdict&)>
      on_answer{};
  std::function<void(int64_t done, int64_t total)> progress{};
};

// A prompt that does not fit the engine's context counts as a failure.
// Errors: those of the engine; kCancelled.
Result<TaskScore> score_tasks(Engine& engine, const TaskSample& sample,
                                         const TaskScoreOptions& options);

}  // namespace ac
