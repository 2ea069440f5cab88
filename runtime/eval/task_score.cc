#include "runtime/eval/task_score.h"

#include <string>
#include <vector>

#include "models/predictor/compare_text.h"

namespace ac {

SuccessCount TaskScore::all() const {
  SuccessCount sum;
  for (const SuccessCount& kind : kinds) {
    sum.n += kind.n;
    sum.right += kind.right;
  }
  return sum;
}

Result<TaskScore> score_tasks(Engine& engine, const TaskSample& sample,
                              const TaskScoreOptions& options) {
  std::optional<tasks::WordPieces> pieces;
  if (sample.wording == tasks::Wording::kRespelled) pieces.emplace(engine.tokenizer().vocabulary());
  std::vector<tasks::Task> asked;
  std::vector<uint64_t> seeds;
  std::vector<std::string> prompts;
  for (int kind = 0; kind < tasks::kTaskKinds; ++kind) {
    if (sample.kind && *sample.kind != static_cast<tasks::TaskKind>(kind)) continue;
    for (int64_t i = 0; i < sample.n_per_kind; ++i) {
      const uint64_t seed = sample.first_seed + static_cast<uint64_t>(i);
      const auto field = static_cast<tasks::Field>(seed % tasks::kFields);
      asked.push_back(
          tasks::make_task(static_cast<tasks::TaskKind>(kind), field, sample.split, seed,
                           sample.wording, pieces ? &*pieces : nullptr));
      seeds.push_back(seed);
      prompts.push_back(asked.back().prompt);
    }
  }
  AC_TRY(const std::vector<Generation> answers, answer_greedily(engine, prompts, options.answering));
  TaskScore score;
  for (size_t i = 0; i < asked.size(); ++i) {
    const tasks::Task& task = asked[i];
    const tasks::Verdict verdict = tasks::check(task, answers[i].text);
    score.n_tokens += static_cast<int64_t>(answers[i].tokens.size());
    score.kinds[static_cast<size_t>(task.kind)].add(verdict.success);
    score
        .skills[fmt::format("{} {}", tasks::kind_name(task.kind), tasks::skill_name(task.truth))]
        .add(verdict.success);
    if (options.on_answer) options.on_answer(task, seeds[i], answers[i].text, verdict);
  }
  return score;
}

Result<SuccessCount> score_documents(Engine& engine, std::span<const TextDocument> documents,
                                     const DocumentScoreOptions& options) {
  std::vector<std::string> prompts;
  for (const TextDocument& document : documents) {
    if (document.prompt.empty()) {
      return fail(ErrorCode::kInvalidArgument, "document {}: no prompt", prompts.size() + 1);
    }
    prompts.push_back(document.prompt);
  }
  AC_TRY(const std::vector<Generation> answers, answer_greedily(engine, prompts, options.answering));
  SuccessCount count;
  for (size_t i = 0; i < documents.size(); ++i) {
    const bool right = same_lines(answers[i].text, documents[i].text);
    count.add(right);
    if (options.on_answer) options.on_answer(documents[i], answers[i].text, right);
  }
  return count;
}

}  // namespace ac
