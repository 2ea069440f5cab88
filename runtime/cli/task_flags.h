// The flags that say which research tasks are meant, as the verbs about tasks share them.
#pragma once

#include <cstdint>
#include <optional>

#include "models/tasks/task.h"
#include "runtime/cli/verb.h"

namespace ac::cli {

inline constexpr Option kKindOption = {"--kind", "citation|data-to-text|review|hypothesis",
                                       "all in turn when not given"};
inline constexpr Option kFieldOption = {"--field", "biology|chemistry|physics|social",
                                        "all in turn when not given"};
inline constexpr Option kRespelledOption = {
    "--respelled", "", "with made-up names and subject words, as in training"};
inline constexpr Option kTokensOption = {"--tokens-of", "FILE",
                                         "with --respelled: words made of this model's tokens"};
inline constexpr Option kSeedOption = {"--seed", "N", "the first seed (0)"};
inline constexpr Option kJsonOption = {"--json", "", "a JSON object a line"};

// Which tasks are meant: where kind or field is open, they take turns from seed to seed.
struct TaskRange {
  std::optional<tasks::TaskKind> kind;
  std::optional<tasks::Field> field;
  tasks::Split split = tasks::Split::kTrain;
  tasks::Wording wording = tasks::Wording::kListed;
  uint64_t first = 0;
  uint64_t n = 1;

  tasks::TaskKind kind_at(uint64_t seed) const {
    return kind.value_or(static_cast<tasks::TaskKind>(seed % tasks::kTaskKinds));
  }
  tasks::Field field_at(uint64_t seed) const {
    return field.value_or(static_cast<tasks::Field>(seed / tasks::kTaskKinds % tasks::kFields));
  }
};

// From --kind, --field, --split, --seed, --n and --respelled, as far as they are given.
// Errors: kInvalidArgument with the known names.
Result<TaskRange> task_range(const Invocation& invocation, tasks::Split split, int64_t n);

// Of the model that --tokens-of names. Errors: kInvalidArgument (without --respelled), those of a file.
Result<std::optional<tasks::WordPieces>> word_pieces(const Invocation& invocation);

}  // namespace ac::cli
