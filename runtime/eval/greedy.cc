#include "runtime/eval/greedy.h"

#include <algorithm>

namespace ac {
namespace {

// Answers that are decoded together; more than an engine has slots wait inside it.
constexpr size_t kAtOnce = 64;

}  // namespace

Result<std::vector<Generation>> answer_greedily(Engine& engine,
                                                std::span<const std::string> prompts,
                                                const GreedyOptions& options) {
  GenerateOptions generate;
  generate.sampler.temperature = 0;
  generate.max_tokens = options.max_tokens;
  generate.cancel = options.cancel;
  std::vector<Generation> answers(prompts.size());
  for (size_t from = 0; from < prompts.size(); from += kAtOnce) {
    const size_t to = std::min(from + kAtOnce, prompts.size());
    std::vector<size_t> which;
    std::vector<std::vector<int32_t>> tokens;
    for (size_t i = from; i < to; ++i) {
      AC_TRY(std::vector<int32_t> of_prompt, engine.tokens_of_chat({{"user", prompts[i]}}));
      if (static_cast<int64_t>(of_prompt.size()) >= engine.n_context()) continue;
      which.push_back(i);
      tokens.push_back(std::move(of_prompt));
    }
    std::vector<Generation> made;
    if (!tokens.empty()) {
      std::vector<GenerateOptions> each(tokens.size(), generate);
      for (size_t i = 0; i < each.size() && options.after_prefill; ++i) {
        each[i].after_prefill = [&options, prompt = which[i]](const PrefillState& state) {
          options.after_prefill(prompt, state);
          return true;
        };
      }
      AC_TRY(made, engine.generate_batch(tokens, each));
    }
    for (size_t i = 0; i < made.size(); ++i) {
      if (made[i].finish == FinishReason::kCancelled) return Error{ErrorCode::kCancelled, ""};
      answers[which[i]] = std::move(made[i]);
    }
    if (options.progress) {
      options.progress(static_cast<int64_t>(to), static_cast<int64_t>(prompts.size()));
    }
  }
  return answers;
}

}  // namespace ac
