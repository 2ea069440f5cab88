#include "models/train/task_documents.h"

#include <numeric>

#include "models/tasks/workflow.h"
#include "runtime/core/rng.h"

namespace ac {

tasks::TaskKind TaskDocuments::kind(double at) const {
  double left = at * std::accumulate(mix_.kinds.begin(), mix_.kinds.end(), 0.0);
  int last = 0;
  for (int i = 0; i < tasks::kTaskKinds; ++i) {
    const double counts = mix_.kinds[static_cast<size_t>(i)];
    if (counts <= 0) continue;
    last = i;
    if (left < counts) break;
    left -= counts;
  }
  return static_cast<tasks::TaskKind>(last);
}

Document TaskDocuments::document(uint64_t i) const {
  // Not i itself: the seeds of tasks are small numbers, and training must not be made of them.
  Rng rng(i ^ 0x7261696e00000000u);
  const tasks::TaskKind kind = this->kind(rng.uniform());
  const auto field = static_cast<tasks::Field>(rng.below(tasks::kFields));
  const auto wording =
      rng.uniform() < mix_.respelled ? tasks::Wording::kRespelled : tasks::Wording::kListed;
  const bool of_workflow = rng.uniform() < mix_.workflows;
  const uint64_t seed = rng.next();
  if (!of_workflow) {
    tasks::Task task = tasks::make_task(kind, field, split_, seed, wording);
    return {.prompt = std::move(task.prompt), .answer = std::move(task.answer)};
  }
  tasks::Workflow workflow = tasks::make_workflow(kind, field, split_, seed, wording);
  tasks::Task& task = workflow.steps[static_cast<size_t>(rng.below(workflow.steps.size()))].task;
  return {.prompt = std::move(task.prompt), .answer = std::move(task.answer)};
}

}  // namespace ac
