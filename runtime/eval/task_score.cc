#include "runtime/eval/task_score.h"

#include <algorithm>
#include <vector>

namespace ac {
namespace {

// Answers that are decoded together; more than an engine has slots wait inside it.
constexpr size_t kAtOnce = 64;

struct Asked {
  tasks::Task task;
  uint64_t seed = 0;
  std::vector<int32_t> prompt;
};

}  // namespace

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
  TaskScore score;
  int64_t done = 0;
  const int64_t total = sample.n_per_kind * (sample.kind ? 1 : tasks::kTaskKinds);
  const auto judge = [&](const Asked& asked, std::string_view answer) {
    const tasks::Verdict verdict = tasks::check(asked.task, answer);
    score.kinds[static_cast<size_t>(asked.task.kind)].add(verdict.success);
    score
        .skills[fmt::format("{} {}", tasks::kind_name(asked.task.kind),
                            tasks::skill_name(asked.task.truth))]
        .add(verdict.success);
    if (options.on_answer) options.on_answer(asked.task, asked.seed, answer, verdict);
    ++done;
  };
  std::vector<Asked> waiting;
  const auto answer_all = [&]() -> Status {
    std::vector<std::vector<int32_t>> prompts;
    for (const Asked& asked : waiting) prompts.push_back(asked.prompt);
    GenerateOptions generate;
    generate.sampler.temperature = 0;
    generate.max_tokens = options.max_tokens;
    generate.cancel = options.cancel;
    const std::vector<GenerateOptions> each(prompts.size(), generate);
    AC_TRY(const std::vector<Generation> answers, engine.generate_batch(prompts, each));
    for (size_t i = 0; i < answers.size(); ++i) {
      if (answers[i].finish == FinishReason::kCancelled) return Error{ErrorCode::kCancelled, ""};
      score.n_tokens += static_cast<int64_t>(answers[i].tokens.size());
      judge(waiting[i], answers[i].text);
    }
    waiting.clear();
    if (options.progress) options.progress(done, total);
    return {};
  };
  for (int kind = 0; kind < tasks::kTaskKinds; ++kind) {
    if (sample.kind && *sample.kind != static_cast<tasks::TaskKind>(kind)) continue;
    for (int64_t i = 0; i < sample.n_per_kind; ++i) {
      const uint64_t seed = sample.first_seed + static_cast<uint64_t>(i);
      const auto field = static_cast<tasks::Field>(seed % tasks::kFields);
      Asked asked{.task = tasks::make_task(static_cast<tasks::TaskKind>(kind), field, sample.split,
                                           seed),
                  .seed = seed,
                  .prompt = {}};
      AC_TRY(asked.prompt, engine.tokens_of_chat({{"user", asked.task.prompt}}));
      if (static_cast<int64_t>(asked.prompt.size()) >= engine.n_context()) {
        judge(asked, "");
        continue;
      }
      waiting.push_back(std::move(asked));
      if (waiting.size() == kAtOnce) AC_TRY_STATUS(answer_all());
    }
  }
  if (!waiting.empty()) AC_TRY_STATUS(answer_all());
  return score;
}

}  // namespace ac
