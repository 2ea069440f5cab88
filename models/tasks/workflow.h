// Workflows: 2 to 6 tasks of which later ones use the answers to earlier ones.
//
// A later prompt quotes what was actually answered before; its checker knows what should have been.
// A workflow succeeds when every step does. Each step by itself is a task of one of the four kinds,
// with the same skills as single tasks.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/tasks/task.h"

namespace ac::tasks {

struct Step {
  // task.prompt quotes the canonical earlier answers: what to train on.
  Task task;
  // The prompt with gaps: text, then the answer to an earlier step, text, ... `after` -1: the end.
  struct Piece {
    std::string text;
    int after = -1;  // the step whose answer follows the text
  };
  std::vector<Piece> pieces;
};

struct Workflow {
  std::string name;                     // "bibliography", "two-tables", ...
  TaskKind kind = TaskKind::kCitation;  // the kind that most of it is
  Field field = Field::kBiology;
  Split split = Split::kTrain;
  std::vector<Step> steps;
};
inline constexpr size_t kFewestSteps = 2;
inline constexpr size_t kMostSteps = 6;

Workflow make_workflow(TaskKind kind, Field field, Split split, uint64_t seed,
                       Wording wording = Wording::kListed, const WordPieces* made_of = nullptr);

// The prompt of `step` when the steps before it were answered so. Answers are cut to 4 KiB,
// trimmed. REQUIRES: step < steps.size(), earlier.size() >= step.
std::string prompt_of(const Workflow& workflow, size_t step, std::span<const std::string> earlier);

inline Verdict check_step(const Workflow& workflow, size_t step, std::string_view answer) {
  return check(workflow.steps[step].task, answer);
}

}  // namespace ac::tasks
