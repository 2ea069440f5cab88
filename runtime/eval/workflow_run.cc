#include "runtime/eval/workflow_run.h"

#include <algorithm>
#include <numeric>

#include "runtime/core/at_share.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

std::vector<double> sorted(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace

double price_of(const StepRun& step, const StepPrices& prices) {
  return prices.local_usd_per_second * step.local_seconds +
         1e-6 * (prices.usd_per_million_prompt_tokens *
                     static_cast<double>(step.remote_prompt_tokens) +
                 prices.usd_per_million_completion_tokens *
                     static_cast<double>(step.remote_completion_tokens));
}

Result<const PlaceAnswer*> AnswerBook::answer(std::string_view place, const std::string& prompt) {
  const bool together = std::find(together_.begin(), together_.end(), place) != together_.end();
  for (size_t i = 0; together && i < together_.size(); ++i) {
    AC_TRY([[maybe_unused]] const PlaceAnswer* answer, ask(together_[i], prompt));
  }
  return ask(std::string(place), prompt);
}

Result<const PlaceAnswer*> AnswerBook::ask(const std::string& place, const std::string& prompt) {
  auto key = std::make_pair(place, prompt);
  const auto known = answers_.find(key);
  if (known != answers_.end()) return &known->second;
  AC_TRY(PlaceAnswer answer, ask_(place, prompt));
  return &answers_.emplace(std::move(key), std::move(answer)).first->second;
}

double WorkflowRun::usd() const {
  return std::accumulate(steps.begin(), steps.end(), 0.0,
                         [](double sum, const StepRun& step) { return sum + step.usd; });
}

double WorkflowRun::bit_ops() const {
  return std::accumulate(steps.begin(), steps.end(), 0.0,
                         [](double sum, const StepRun& step) { return sum + step.bit_ops; });
}

Result<WorkflowRun> run_workflow(const tasks::Workflow& workflow, const Strategy& strategy,
                                 const StepPrices& prices, AnswerBook& book) {
  WorkflowRun run{.success = true, .steps = {}};
  std::vector<std::string> earlier;
  for (size_t i = 0; i < workflow.steps.size(); ++i) {
    const std::string prompt = tasks::prompt_of(workflow, i, earlier);
    AC_TRY(StepPlan plan,
           strategy({.workflow = workflow, .step = i, .prompt = prompt, .book = book}));
    AC_CHECK(!plan.places.empty());
    StepRun step{.places = std::move(plan.places), .decision_seconds = plan.decision_seconds};
    step.seconds = plan.decision_seconds + plan.stopped_seconds;
    step.local_seconds = plan.stopped_seconds;
    step.bit_ops = plan.stopped_bit_ops;
    std::string text;
    for (const std::string& place : step.places) {
      AC_TRY(const PlaceAnswer* answer, book.answer(place, prompt));
      step.seconds += answer->seconds;
      step.bit_ops += answer->bit_ops_per_token *
                      static_cast<double>(answer->prompt_tokens + answer->completion_tokens);
      if (place == kRemotePlace) {
        step.remote_prompt_tokens += answer->prompt_tokens;
        step.remote_completion_tokens += answer->completion_tokens;
      } else {
        step.local_seconds += answer->seconds;
      }
      text = answer->text;
    }
    step.usd = price_of(step, prices);
    step.success = tasks::check_step(workflow, i, text).success;
    run.success = run.success && step.success;
    earlier.push_back(std::move(text));
    run.steps.push_back(std::move(step));
  }
  return run;
}

std::vector<tasks::Workflow> workflows_of(tasks::Split split, uint64_t first_seed, size_t n) {
  std::vector<tasks::Workflow> workflows;
  for (uint64_t i = 0; i < n; ++i) {
    const auto kind = static_cast<tasks::TaskKind>(i % tasks::kTaskKinds);
    const auto field = static_cast<tasks::Field>(i / tasks::kTaskKinds % tasks::kFields);
    workflows.push_back(tasks::make_workflow(kind, field, split, first_seed + i));
  }
  return workflows;
}

StrategyScore score_of(std::span<const WorkflowRun> runs) {
  StrategyScore score;
  std::vector<double> seconds, decisions;
  int64_t n_remote = 0;
  for (const WorkflowRun& run : runs) {
    score.workflows.add(run.success);
    score.usd += run.usd();
    score.bit_ops += run.bit_ops();
    for (const StepRun& step : run.steps) {
      score.steps.add(step.success);
      seconds.push_back(step.seconds);
      decisions.push_back(step.decision_seconds);
      score.answered_by[step.places.back()] += 1;
      n_remote +=
          std::find(step.places.begin(), step.places.end(), kRemotePlace) != step.places.end();
    }
  }
  seconds = sorted(std::move(seconds));
  score.p50_seconds = at_share(seconds, 0.5);
  score.p90_seconds = at_share(seconds, 0.9);
  score.p99_decision_seconds = at_share(sorted(std::move(decisions)), 0.99);
  for (auto& [place, share] : score.answered_by) share /= static_cast<double>(score.steps.n);
  if (score.steps.n > 0) {
    score.remote_share = static_cast<double>(n_remote) / static_cast<double>(score.steps.n);
  }
  return score;
}

Interval saving_interval(std::span<const WorkflowRun> runs, std::span<const WorkflowRun> others,
                         std::span<const WorkflowRun> full, double (WorkflowRun::*taken)() const,
                         uint64_t seed) {
  AC_CHECK(runs.size() == full.size() && others.size() == full.size());
  constexpr int kResamples = 1000;
  Rng rng(seed);
  std::vector<double> savings;
  for (int sample = 0; sample < kResamples && !runs.empty(); ++sample) {
    double saved = 0, of_full = 0;
    for (size_t i = 0; i < runs.size(); ++i) {
      const auto pick = static_cast<size_t>(rng.below(runs.size()));
      saved += (others[pick].*taken)() - (runs[pick].*taken)();
      of_full += (full[pick].*taken)();
    }
    if (of_full > 0) savings.push_back(saved / of_full);
  }
  savings = sorted(std::move(savings));
  return {at_share(savings, 0.025), at_share(savings, 0.975)};
}

}  // namespace ac
