// The research tasks as documents: single tasks and steps of workflows, the four kinds in given
// shares, fields in turn. There is no end to them; document i is made from i.
#pragma once

#include <array>
#include <optional>

#include "models/tasks/task.h"
#include "models/train/sequences.h"
#include "runtime/core/rng.h"

namespace ac {

struct TaskMix {
  std::array<double, tasks::kTaskKinds> kinds = {1, 1, 1, 1};  // what each counts
  double workflows = 0.25;  // share of documents that are a step of one
  double respelled = 0.6;   // share whose words are made up (tasks/respelling.h)
  // Share of the single data-to-text tasks that ask for a difference. Of themselves a quarter do,
  // and subtracting takes more practice than all that copying.
  double differences = 0.5;
  // Share of the single citation tasks that are about a list of entries: to be put in order, or one
  // of them to be cited in the text. Of themselves a fifth are.
  double lists = 0;
  // Share of the single tasks that are the shortest of four that ask for the same skill. What is hard
  // is the same in a short task (a sign, a difference, the value of a row), and there are more of
  // them to a token.
  double shortest = 0;
  // Share of them that are the longest of four: many rows, studies, authors or links. With shortest,
  // at most 1.
  double longest = 0;
};

class TaskDocuments final : public DocumentSource {
 public:
  // REQUIRES: some kind counts more than 0.
  TaskDocuments(tasks::Split split, const TaskMix& mix) : split_(split), mix_(mix) {}

  uint64_t size() const override { return 0; }
  Document document(uint64_t i) const override;
  void learn_tokens(std::span<const std::string> tokens) override { pieces_.emplace(tokens); }

 private:
  tasks::TaskKind kind(double at) const;
  tasks::Task task(tasks::TaskKind kind, tasks::Field field, tasks::Wording wording,
                   Rng& rng) const;
  enum class Length { kShortest, kLongest };
  tasks::Task task_of_length(Length wanted, tasks::TaskKind kind, tasks::Field field,
                             tasks::Wording wording, Rng& rng) const;
  tasks::Task single_task(tasks::TaskKind kind, tasks::Field field, tasks::Wording wording,
                          Rng& rng) const;

  const tasks::WordPieces* pieces() const { return pieces_ ? &*pieces_ : nullptr; }

  tasks::Split split_;
  TaskMix mix_;
  std::optional<tasks::WordPieces> pieces_;
};

}  // namespace ac
