// Scores of a model that knows some of the answers: counted by kind and skill, each judged once.
#include "runtime/eval/task_score.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace ac {
namespace {

// Answers what it was told to; tokens are the numbers of its prompts.
class ToldEngine final : public Engine {
 public:
  std::function<std::string(const std::string& prompt)> answer;
  int32_t n_longest = 1;  // tokens of a prompt
  FinishReason finish = FinishReason::kStop;

  const ModelConfig& config() const override { return config_; }
  const Tokenizer& tokenizer() const override { std::abort(); }
  const ChatTemplate* chat_template() const override { return nullptr; }
  int32_t n_context() const override { return 8; }
  std::string_view backend_name() const override { return "told"; }
  Result<std::vector<int32_t>> tokens_of_chat(
      const std::vector<ChatMessage>& messages) const override {
    prompts_.push_back(messages.at(0).content);
    std::vector<int32_t> tokens(static_cast<size_t>(n_longest), 0);
    tokens[0] = static_cast<int32_t>(prompts_.size()) - 1;
    return tokens;
  }
  std::vector<int32_t> tokens_of_text(std::string_view) const override { return {}; }
  Result<Generation> generate(std::span<const int32_t>, const GenerateOptions&) override {
    std::abort();
  }
  Result<std::vector<Generation>> generate_batch(
      std::span<const std::vector<int32_t>> prompts,
      std::span<const GenerateOptions> options) override {
    EXPECT_EQ(prompts.size(), options.size());
    std::vector<Generation> answers;
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(options[i].sampler.temperature, 0);
      Generation made;
      made.text = answer(prompts_[static_cast<size_t>(prompts[i][0])]);
      made.tokens = {1, 2, 3};
      made.finish = finish;
      answers.push_back(std::move(made));
    }
    return answers;
  }
  Result<std::vector<float>> logits(std::span<const int32_t>) override { std::abort(); }

 private:
  ModelConfig config_;
  mutable std::vector<std::string> prompts_;
};

TEST(TaskScore, CountsWhatIsRightByKindAndSkill) {
  constexpr int64_t kTasks = 90;  // more than are answered at once
  std::map<std::string, std::string> known;
  for (int kind = 0; kind < tasks::kTaskKinds; ++kind) {
    for (uint64_t seed = 10; seed < 10 + kTasks; ++seed) {
      const tasks::Task task =
          tasks::make_task(static_cast<tasks::TaskKind>(kind),
                           static_cast<tasks::Field>(seed % tasks::kFields),
                           tasks::Split::kEvaluation, seed);
      if (seed % 3 != 0) known[task.prompt] = task.answer;
    }
  }
  ToldEngine engine;
  engine.answer = [&](const std::string& prompt) {
    const auto it = known.find(prompt);
    return it == known.end() ? std::string("I do not know.") : it->second;
  };
  std::set<std::pair<int, uint64_t>> judged;
  const auto score = score_tasks(
      engine, {.first_seed = 10, .n_per_kind = kTasks},
      {.on_answer = [&](const tasks::Task& task, uint64_t seed, std::string_view,
                        const tasks::Verdict& verdict) {
        EXPECT_TRUE(judged.emplace(static_cast<int>(task.kind), seed).second);
        EXPECT_EQ(verdict.success, seed % 3 != 0);
      }});
  ASSERT_TRUE(score) << score.error().message;
  SuccessCount skills;
  for (const SuccessCount& kind : score->kinds) {
    EXPECT_EQ(kind.n, kTasks);
    EXPECT_EQ(kind.right, kTasks * 2 / 3);
  }
  for (const auto& [name, count] : score->skills) {
    skills.n += count.n;
    skills.right += count.right;
  }
  EXPECT_EQ(skills.n, score->all().n);
  EXPECT_EQ(skills.right, score->all().right);
  EXPECT_EQ(judged.size(), static_cast<size_t>(kTasks * tasks::kTaskKinds));
  EXPECT_EQ(score->n_tokens, 3 * score->all().n);
}

TEST(TaskScore, PromptsThatDoNotFitAreFailures) {
  ToldEngine engine;
  engine.n_longest = 8;
  engine.answer = [](const std::string&) -> std::string { std::abort(); };
  const auto score = score_tasks(
      engine, {.kind = tasks::TaskKind::kReview, .n_per_kind = 5}, TaskScoreOptions());
  ASSERT_TRUE(score) << score.error().message;
  EXPECT_EQ(score->all().n, 5);
  EXPECT_EQ(score->all().right, 0);
}

TEST(TaskScore, EndsWhenAsked) {
  ToldEngine engine;
  engine.finish = FinishReason::kCancelled;
  engine.answer = [](const std::string&) { return std::string(); };
  const auto score = score_tasks(engine, {.n_per_kind = 1}, TaskScoreOptions());
  ASSERT_FALSE(score);
  EXPECT_EQ(score.error().code, ErrorCode::kCancelled);
}

// Newcombe 1998, Statistics in Medicine 17, table I, method 3.
TEST(SuccessCount, WilsonInterval) {
  const Interval most = SuccessCount{.n = 263, .right = 81}.interval();
  EXPECT_NEAR(most.low, 0.2553, 5e-5);
  EXPECT_NEAR(most.high, 0.3662, 5e-5);
  const Interval none = SuccessCount{.n = 20, .right = 0}.interval();
  EXPECT_NEAR(none.low, 0.0, 1e-12);
  EXPECT_NEAR(none.high, 0.1611, 5e-5);
}

}  // namespace
}  // namespace ac
