// Workflows: steps, prompts made from answers, determinism.
#include "models/tasks/workflow.h"

#include <gtest/gtest.h>

#include <set>

namespace ac::tasks {
namespace {

template <class Visit>
void for_each(uint64_t n_seeds, const Visit& visit) {
  for (int split = 0; split < kSplits; ++split) {
    for (int kind = 0; kind < kTaskKinds; ++kind) {
      for (int field = 0; field < kFields; ++field) {
        for (uint64_t seed = 0; seed < n_seeds; ++seed) {
          visit(make_workflow(static_cast<TaskKind>(kind), static_cast<Field>(field),
                              static_cast<Split>(split), seed));
        }
      }
    }
  }
}

TEST(Workflow, CanonicalAnswersPassEveryStep) {
  std::set<size_t> lengths;
  for_each(80, [&](const Workflow& flow) {
    ASSERT_GE(flow.steps.size(), kFewestSteps);
    ASSERT_LE(flow.steps.size(), kMostSteps);
    lengths.insert(flow.steps.size());
    std::vector<std::string> answers;
    bool uses_earlier = false;
    for (size_t step = 0; step < flow.steps.size(); ++step) {
      const Task& task = flow.steps[step].task;
      EXPECT_EQ(prompt_of(flow, step, answers), task.prompt);
      EXPECT_EQ(task.prompt.find('\x01'), std::string::npos);
      const Verdict verdict = check_step(flow, step, task.answer);
      EXPECT_TRUE(verdict.success) << verdict.reason << "\n" << task.prompt << "\n" << task.answer;
      uses_earlier = uses_earlier || flow.steps[step].pieces.size() > 1;
      answers.push_back(task.answer);
    }
    EXPECT_TRUE(uses_earlier) << flow.name;
  });
  EXPECT_EQ(lengths, (std::set<size_t>{2, 3, 4, 5, 6}));
}

TEST(Workflow, LaterPromptsQuoteWhatWasReallyAnswered) {
  for_each(10, [&](const Workflow& flow) {
    std::vector<std::string> answers;
    for (size_t step = 0; step < flow.steps.size(); ++step) {
      answers.push_back(
          "  answer \x01"
          "0 number " +
          std::to_string(step) + "\n");
    }
    for (size_t step = 0; step < flow.steps.size(); ++step) {
      const std::string prompt = prompt_of(flow, step, answers);
      for (const Step::Piece& piece : flow.steps[step].pieces) {
        if (piece.after < 0) continue;
        ASSERT_LT(static_cast<size_t>(piece.after), step);
        // Trimmed, and what it contains is not filled in again.
        EXPECT_NE(prompt.find("answer \x01"
                              "0 number " +
                              std::to_string(piece.after)),
                  std::string::npos);
      }
    }
  });
}

TEST(Workflow, AnswersOfAnyLengthFit) {
  const Workflow flow =
      make_workflow(TaskKind::kHypothesis, Field::kPhysics, Split::kEvaluation, 3);
  const std::vector<std::string> answers(kMostSteps, std::string(1 << 20, 'x'));
  EXPECT_LT(prompt_of(flow, flow.steps.size() - 1, answers).size(), size_t{32} << 10);
}

TEST(Workflow, IsTheSameEveryTime) {
  for_each(3, [&](const Workflow& flow) {
    for (const Step& step : flow.steps) EXPECT_EQ(step.task.split, flow.split);
  });
  const auto text = [] {
    std::string all;
    for_each(2, [&](const Workflow& flow) {
      for (const Step& step : flow.steps) all += step.task.prompt + step.task.answer;
    });
    return all;
  };
  EXPECT_EQ(text(), text());
}

// All names that a plan can have come up, in every field.
TEST(Workflow, PlansVary) {
  std::set<std::string> names;
  for_each(40, [&](const Workflow& flow) { names.insert(flow.name); });
  EXPECT_EQ(names, (std::set<std::string>{"format-and-cite", "bibliography", "table-then-compare",
                                          "tables-compared", "review", "review-to-hypothesis",
                                          "predict-and-test"}));
}

}  // namespace
}  // namespace ac::tasks
