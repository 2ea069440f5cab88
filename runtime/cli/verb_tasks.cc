// tasks show|check|workflow: the research tasks that models are trained and measured on.
#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>

#include "models/tasks/workflow.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"
#include "runtime/core/nearest.h"

namespace ac::cli {
namespace {

using tasks::Field;
using tasks::Split;
using tasks::Task;
using tasks::TaskKind;

constexpr int64_t kMostAtOnce = 1'000'000;

constexpr Option kKindOption = {"--kind", "citation|data-to-text|review|hypothesis",
                                "all in turn when not given"};
constexpr Option kFieldOption = {"--field", "biology|chemistry|physics|social",
                                 "all in turn when not given"};
constexpr Option kSplitOption = {"--split", "train|calibration|evaluation",
                                 "whose phrasings, names and words (train)"};
constexpr Option kSeedOption = {"--seed", "N", "the first seed (0)"};
constexpr Option kNumberOption = {"--n", "N", "how many, of seeds that follow (1)"};
constexpr Option kJsonOption = {"--json", "", "a JSON object a line"};
constexpr Option kRespelledOption = {"--respelled", "",
                                     "with made-up names and subject words, as in training"};
constexpr std::array kShowOptions = {kKindOption,   kFieldOption,     kSplitOption, kSeedOption,
                                     kNumberOption, kRespelledOption, kJsonOption};
constexpr std::array kCheckOptions = {kKindOption, kFieldOption, kSplitOption, kSeedOption};

template <class T>
Result<std::optional<T>> named(const Invocation& invocation, std::string_view flag, int n,
                               std::string_view (*name_of)(T)) {
  const auto text = invocation.value(flag);
  if (!text) return std::optional<T>();
  std::vector<std::string_view> names;
  for (int i = 0; i < n; ++i) {
    names.push_back(name_of(static_cast<T>(i)));
    if (names.back() == *text) return std::optional<T>(static_cast<T>(i));
  }
  return usage_error(invocation.verb(),
                     fmt::format("{} is '{}', expected {}{}", flag, *text, fmt::join(names, "|"),
                                 did_you_mean(*text, names)));
}

// Which tasks are meant: where kind or field is open, they take turns from seed to seed.
struct Range {
  std::optional<TaskKind> kind;
  std::optional<Field> field;
  Split split = Split::kTrain;
  tasks::Wording wording = tasks::Wording::kListed;
  uint64_t first = 0;
  uint64_t n = 1;

  TaskKind kind_at(uint64_t seed) const {
    return kind.value_or(static_cast<TaskKind>(seed % tasks::kTaskKinds));
  }
  Field field_at(uint64_t seed) const {
    return field.value_or(static_cast<Field>(seed / tasks::kTaskKinds % tasks::kFields));
  }
};

Result<Range> range_from(const Invocation& invocation) {
  Range range;
  AC_TRY(range.kind, named<TaskKind>(invocation, "--kind", tasks::kTaskKinds, tasks::kind_name));
  AC_TRY(range.field, named<Field>(invocation, "--field", tasks::kFields, tasks::field_name));
  AC_TRY(const auto split, named<Split>(invocation, "--split", tasks::kSplits, tasks::split_name));
  range.split = split.value_or(Split::kTrain);
  if (invocation.has("--respelled")) range.wording = tasks::Wording::kRespelled;
  AC_TRY(const int64_t seed, invocation.integer("--seed", 0, 0, INT64_MAX - kMostAtOnce));
  AC_TRY(const int64_t n, invocation.integer("--n", 1, 1, kMostAtOnce));
  range.first = static_cast<uint64_t>(seed);
  range.n = static_cast<uint64_t>(n);
  return range;
}

OrderedJson to_json(const Task& task) {
  return OrderedJson{{"kind", tasks::kind_name(task.kind)},
                     {"skill", tasks::skill_name(task.truth)},
                     {"field", tasks::field_name(task.field)},
                     {"split", tasks::split_name(task.split)},
                     {"difficulty", task.difficulty.level},
                     {"items", task.difficulty.items},
                     {"hops", task.difficulty.hops},
                     {"distractors", task.difficulty.distractors},
                     {"prompt", task.prompt},
                     {"answer", task.answer}};
}

void print_task(const std::string& title, const Task& task) {
  print("=== {}: {} ({}), {}, {}, difficulty {:.2f}\n{}\n--- answer\n{}\n\n", title,
        tasks::kind_name(task.kind), tasks::skill_name(task.truth), tasks::field_name(task.field),
        tasks::split_name(task.split), task.difficulty.level, task.prompt, task.answer);
}

Result<int> show(const Invocation& invocation) {
  AC_TRY(const Range range, range_from(invocation));
  for (uint64_t seed = range.first; seed < range.first + range.n; ++seed) {
    const Task task = tasks::make_task(range.kind_at(seed), range.field_at(seed), range.split,
                                       seed, range.wording);
    if (invocation.has("--json")) {
      OrderedJson object = to_json(task);
      object["seed"] = seed;
      output().write_line(json_line(object));
    } else {
      print_task(fmt::format("seed {}", seed), task);
    }
    if (!output().usable()) break;
  }
  return 0;
}

Result<int> check(const Invocation& invocation) {
  constexpr uint64_t kAnswerBytes = 1u << 20;
  AC_TRY(const Range range, range_from(invocation));
  AC_TRY(const std::string answer, read_stdin(kAnswerBytes));
  const Task task = tasks::make_task(range.kind_at(range.first), range.field_at(range.first),
                                     range.split, range.first);
  const tasks::Verdict verdict = tasks::check(task, answer);
  if (verdict.success) {
    output().write_line("right");
    return 0;
  }
  output().write_untrusted("wrong: " + verdict.reason + "\n");
  return 1;
}

Result<int> workflow(const Invocation& invocation) {
  AC_TRY(const Range range, range_from(invocation));
  for (uint64_t seed = range.first; seed < range.first + range.n; ++seed) {
    const tasks::Workflow flow = tasks::make_workflow(range.kind_at(seed), range.field_at(seed),
                                                      range.split, seed, range.wording);
    if (invocation.has("--json")) {
      OrderedJson object{{"seed", seed}, {"name", flow.name}, {"steps", OrderedJson::array()}};
      for (const tasks::Step& step : flow.steps) object["steps"].push_back(to_json(step.task));
      output().write_line(json_line(object));
    } else {
      for (size_t i = 0; i < flow.steps.size(); ++i) {
        print_task(fmt::format("{} {}, step {} of {}", flow.name, seed, i + 1, flow.steps.size()),
                   flow.steps[i].task);
      }
    }
    if (!output().usable()) break;
  }
  return 0;
}

}  // namespace

constinit const Verb kTasksShow = {
    .name = "tasks show",
    .summary = "research tasks with their canonical answers",
    .options = kShowOptions,
    .run = show,
};
constinit const Verb kTasksCheck = {
    .name = "tasks check",
    .summary = "judge an answer on standard input to one task: exit code 0 or 1",
    .options = kCheckOptions,
    .run = check,
};
constinit const Verb kTasksWorkflow = {
    .name = "tasks workflow",
    .summary = "workflows of 2 to 6 tasks, with canonical answers in later prompts",
    .options = kShowOptions,
    .run = workflow,
};

}  // namespace ac::cli
