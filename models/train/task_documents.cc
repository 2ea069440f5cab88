#include "models/train/task_documents.h"

#include <numeric>

#include "models/tasks/workflow.h"

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

tasks::Task TaskDocuments::task(tasks::TaskKind kind, tasks::Field field, tasks::Wording wording,
                                Rng& rng) const {
  const bool wants_difference =
      kind == tasks::TaskKind::kDataToText && rng.uniform() < mix_.differences;
  const bool wants_list = kind == tasks::TaskKind::kCitation && rng.uniform() < mix_.lists;
  while (true) {
    tasks::Task task = tasks::make_task(kind, field, split_, rng.next(), wording, pieces());
    const bool is_wanted =
        wants_difference ? asks_for_difference(std::get<tasks::TableTruth>(task.truth))
        : wants_list     ? std::get<tasks::CitationTruth>(task.truth).skill !=
                           tasks::CitationSkill::kFormat
                         : true;
    if (is_wanted) return task;
  }
}

tasks::Task TaskDocuments::task_of_length(Length wanted, tasks::TaskKind kind, tasks::Field field,
                                          tasks::Wording wording, Rng& rng) const {
  constexpr int kOthers = 3;
  const auto length = [](const tasks::Task& task) {
    return task.prompt.size() + task.answer.size();
  };
  tasks::Task best = task(kind, field, wording, rng);
  for (int i = 0; i < kOthers; ++i) {
    tasks::Task other = task(kind, field, wording, rng);
    if (skill_name(other.truth) != skill_name(best.truth)) continue;
    const bool is_better = wanted == Length::kShortest ? length(other) < length(best)
                                                       : length(other) > length(best);
    if (is_better) best = std::move(other);
  }
  return best;
}

tasks::Task TaskDocuments::single_task(tasks::TaskKind kind, tasks::Field field,
                                       tasks::Wording wording, Rng& rng) const {
  const double at = rng.uniform();
  if (at < mix_.shortest) return task_of_length(Length::kShortest, kind, field, wording, rng);
  if (at >= 1 - mix_.longest) return task_of_length(Length::kLongest, kind, field, wording, rng);
  return task(kind, field, wording, rng);
}

Document TaskDocuments::document(uint64_t i) const {
  // Not i itself: the seeds of tasks are small numbers, and training must not be made of them.
  Rng rng(i ^ 0x7261696e00000000u);
  const tasks::TaskKind kind = this->kind(rng.uniform());
  const auto field = static_cast<tasks::Field>(rng.below(tasks::kFields));
  const auto wording =
      rng.uniform() < mix_.respelled ? tasks::Wording::kRespelled : tasks::Wording::kListed;
  const bool of_workflow = rng.uniform() < mix_.workflows;
  if (!of_workflow) {
    tasks::Task task = single_task(kind, field, wording, rng);
    return {.prompt = std::move(task.prompt), .answer = std::move(task.answer)};
  }
  tasks::Workflow workflow = tasks::make_workflow(kind, field, split_, rng.next(), wording, pieces());
  tasks::Task& task = workflow.steps[static_cast<size_t>(rng.below(workflow.steps.size()))].task;
  return {.prompt = std::move(task.prompt), .answer = std::move(task.answer)};
}

}  // namespace ac
