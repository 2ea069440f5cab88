// tasks show|check|workflow: the research tasks that models are trained and measured on.
#include <array>
#include <nlohmann/json.hpp>

#include "models/tasks/workflow.h"
#include "runtime/cli/task_flags.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/json.h"

namespace ac::cli {
namespace {

using tasks::Task;

constexpr Option kSplitOption = {"--split", "train|calibration|evaluation",
                                 "whose phrasings, names and words (train)"};
constexpr Option kNumberOption = {"--n", "N", "how many, of seeds that follow (1)"};
constexpr std::array kShowOptions = {kKindOption, kFieldOption,  kSplitOption,     kSeedOption,
                                     kNumberOption, kRespelledOption, kTokensOption, kJsonOption};
constexpr std::array kCheckOptions = {kKindOption, kFieldOption, kSplitOption, kSeedOption};

Result<TaskRange> range_from(const Invocation& invocation) {
  return task_range(invocation, tasks::Split::kTrain, 1);
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
  AC_TRY(const TaskRange range, range_from(invocation));
  AC_TRY(const auto pieces, word_pieces(invocation));
  for (uint64_t seed = range.first; seed < range.first + range.n; ++seed) {
    const Task task = tasks::make_task(range.kind_at(seed), range.field_at(seed), range.split,
                                       seed, range.wording, pieces ? &*pieces : nullptr);
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
  AC_TRY(const TaskRange range, range_from(invocation));
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
  AC_TRY(const TaskRange range, range_from(invocation));
  AC_TRY(const auto pieces, word_pieces(invocation));
  for (uint64_t seed = range.first; seed < range.first + range.n; ++seed) {
    const tasks::Workflow flow =
        tasks::make_workflow(range.kind_at(seed), range.field_at(seed), range.split, seed,
                             range.wording, pieces ? &*pieces : nullptr);
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
