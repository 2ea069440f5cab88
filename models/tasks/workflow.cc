#include "models/tasks/workflow.h"

#include "models/tasks/text.h"
#include "models/tasks/workflow_plans.h"

namespace ac::tasks {
namespace {

std::vector<Step::Piece> pieces_of(std::string_view prompt) {
  std::vector<Step::Piece> pieces;
  std::string text;
  for (size_t i = 0; i < prompt.size(); ++i) {
    if (prompt[i] != kAnswerMark) {
      text += prompt[i];
      continue;
    }
    ++i;
    AC_CHECK(i < prompt.size());
    pieces.push_back({std::move(text), prompt[i] - '0'});
    text.clear();
  }
  pieces.push_back({std::move(text), -1});
  return pieces;
}

}  // namespace

std::string prompt_of(const Workflow& workflow, size_t step, std::span<const std::string> earlier) {
  constexpr size_t kMostBytes = 4 << 10;
  AC_CHECK(step < workflow.steps.size() && earlier.size() >= step);
  std::string text;
  for (const Step::Piece& piece : workflow.steps[step].pieces) {
    text += piece.text;
    if (piece.after >= 0) {
      text +=
          trim(std::string_view(earlier[static_cast<size_t>(piece.after)]).substr(0, kMostBytes));
    }
  }
  return text;
}

Workflow make_workflow(TaskKind kind, Field field, Split split, uint64_t seed, Wording wording,
                       const WordPieces* made_of) {
  constexpr uint64_t kSalt = 200;
  Draw draw(seed, kSalt + static_cast<uint64_t>(kind), field, split, wording, made_of);
  Plan plan;
  switch (kind) {
    case TaskKind::kCitation:
      plan = plan_bibliography(draw);
      break;
    case TaskKind::kDataToText:
      plan = plan_tables(draw);
      break;
    case TaskKind::kReview:
      plan = plan_review(draw);
      break;
    case TaskKind::kHypothesis:
      plan = plan_prediction(draw);
      break;
  }
  AC_CHECK(plan.steps.size() >= kFewestSteps && plan.steps.size() <= kMostSteps);
  Workflow workflow{std::move(plan.name), kind, field, split, {}};
  std::vector<std::string> answers;
  for (Task& task : plan.steps) {
    std::vector<Step::Piece> pieces = pieces_of(task.prompt);
    for (const Step::Piece& piece : pieces)
      AC_CHECK(piece.after < static_cast<int>(answers.size()));
    answers.push_back(task.answer);
    workflow.steps.push_back({std::move(task), std::move(pieces)});
    Step& step = workflow.steps.back();
    step.task.prompt = prompt_of(workflow, workflow.steps.size() - 1, answers);
  }
  return workflow;
}

}  // namespace ac::tasks
