// The four chores of a researcher as checkable tasks: made from a seed, answered by anybody, judged
// exactly. README.md shows one of each.
//
// The same (kind, field, split, seed) gives the same task on every platform. Splits differ in
// phrasings, names, words and seeds: what a model learned by heart on one does not help on another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "models/tasks/citation.h"
#include "models/tasks/draw.h"
#include "models/tasks/hypothesis.h"
#include "models/tasks/made.h"
#include "models/tasks/review.h"
#include "models/tasks/table.h"

namespace ac::tasks {

enum class TaskKind { kCitation, kDataToText, kReview, kHypothesis };
inline constexpr int kTaskKinds = 4;

std::string_view kind_name(TaskKind kind);  // "citation", "data-to-text", "review", "hypothesis"
std::optional<TaskKind> kind_from_name(std::string_view name);
std::optional<Field> field_from_name(std::string_view name);
std::optional<Split> split_from_name(std::string_view name);

// What the checker compares with; its alternative says the kind.
using Truth = std::variant<CitationTruth, TableTruth, ReviewTruth, HypothesisTruth>;

struct Task {
  TaskKind kind = TaskKind::kCitation;
  Field field = Field::kBiology;
  Split split = Split::kTrain;
  std::string prompt;
  std::string answer;  // canonical: what a model is trained to say
  Difficulty difficulty;
  Truth truth;
};

Task make_task(TaskKind kind, Field field, Split split, uint64_t seed,
               Wording wording = Wording::kListed, const WordPieces* pieces = nullptr);

// Never fails on any bytes. Whitespace around the answer does not count.
Verdict check(const Truth& truth, std::string_view answer);
inline Verdict check(const Task& task, std::string_view answer) {
  return check(task.truth, answer);
}

// The part of the kind that a task trains: "format", "bibliography", "predict", ...
std::string_view skill_name(const Truth& truth);

template <class T>
Task as_task(const Draw& draw, Made<T> made) {
  Task task;
  task.truth = std::move(made.truth);
  task.kind = static_cast<TaskKind>(task.truth.index());
  task.field = draw.field();
  task.split = draw.split();
  task.prompt = std::move(made.prompt);
  task.answer = std::move(made.answer);
  task.difficulty = made.difficulty;
  return task;
}

}  // namespace ac::tasks
