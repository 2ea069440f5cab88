// Scores of a model that knows some of the answers: counted by kind and skill, each judged once.
#include "runtime/eval/task_score.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/eval/told_engine.h"

namespace ac {
namespace {

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

TEST(DocumentScore, ComparesLines) {
  ToldEngine engine;
  engine.answer = [](const std::string& prompt) { return prompt == "a" ? " one \n\ntwo\n" : "one two"; };
  const std::vector<TextDocument> documents = {{.text = "one\ntwo", .prompt = "a"},
                                               {.text = "one\ntwo", .prompt = "b"}};
  std::vector<bool> verdicts;
  const auto count =
      score_documents(engine, documents, {.on_answer = [&](const TextDocument&, std::string_view,
                                                           bool right) { verdicts.push_back(right); }});
  ASSERT_TRUE(count) << count.error().message;
  EXPECT_EQ(verdicts, (std::vector<bool>{true, false}));
  EXPECT_EQ(count->n, 2);
  EXPECT_EQ(count->right, 1);
}

TEST(DocumentScore, WantsPrompts) {
  ToldEngine engine;
  const auto count = score_documents(engine, std::vector<TextDocument>{{.text = "only"}}, {});
  ASSERT_FALSE(count);
  EXPECT_EQ(count.error().code, ErrorCode::kInvalidArgument);
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
