// Workflows answered step by step: each step's prompt quotes what was answered before, each answer
// is judged by its checker. A workflow succeeds when every step does.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/predictor/draft_signals.h"
#include "models/tasks/workflow.h"
#include "runtime/core/interval.h"
#include "runtime/core/result.h"

namespace ac {

// Where a prompt may be answered: a local variant, by its id, or the remote full model.
inline constexpr std::string_view kRemotePlace = "remote";

struct PlaceAnswer {
  std::string text;
  double seconds = 0;  // from the question to the end of the answer
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  double first_token_seconds = 0;  // from the question to the first piece of the answer
  double bit_ops_per_token = 0;    // MACs x weight bits / 16; 0: not known
  DraftSignals signals{};          // of a local variant
};
using AskPlace =
    std::function<Result<PlaceAnswer>(const std::string& place, const std::string& prompt)>;

// Answers are greedy, so the same place says the same to the same prompt: each is asked once, and
// its time is that of this one time.
class AnswerBook {
 public:
  explicit AnswerBook(AskPlace ask) : ask_(std::move(ask)) {}
  // Valid as long as the book. Errors: those of asking.
  Result<const PlaceAnswer*> answer(std::string_view place, const std::string& prompt);
  // From now on a prompt that is put to one of these places is put to all of them in turn: machines
  // are faster and slower from minute to minute, and times that are compared should be of one moment.
  void ask_together(std::vector<std::string> places) { together_ = std::move(places); }
  size_t n_asked() const { return answers_.size(); }

 private:
  Result<const PlaceAnswer*> ask(const std::string& place, const std::string& prompt);

  AskPlace ask_;
  std::vector<std::string> together_;
  std::map<std::pair<std::string, std::string>, PlaceAnswer> answers_;
};

// One step as a strategy sees it.
struct StepQuestion {
  const tasks::Workflow& workflow;
  size_t step = 0;
  const std::string& prompt;  // quotes what was answered before
  AnswerBook& book;
};
// Who is asked, one after the other; the last one's answer counts, all are paid.
struct StepPlan {
  std::vector<std::string> places;
  double decision_seconds = 0;  // of deciding, without the answers it may have looked at
  double stopped_seconds = 0;   // of variants that read the prompt and were not let answer
  double stopped_bit_ops = 0;
};
using Strategy = std::function<Result<StepPlan>(const StepQuestion& question)>;

struct StepPrices {
  double usd_per_million_prompt_tokens = 0;  // of the remote
  double usd_per_million_completion_tokens = 0;
  double local_usd_per_second = 0;
};

struct StepRun {
  std::vector<std::string> places;
  bool success = false;
  double seconds = 0;  // deciding and all places
  double decision_seconds = 0;
  // What is paid for.
  int64_t remote_prompt_tokens = 0;
  int64_t remote_completion_tokens = 0;
  double local_seconds = 0;
  double usd = 0;      // at the prices of the run
  double bit_ops = 0;  // of all tokens that were read and written, here and remotely
};
double price_of(const StepRun& step, const StepPrices& prices);
struct WorkflowRun {
  bool success = false;
  std::vector<StepRun> steps;
  double usd() const;
  double bit_ops() const;
};

// Errors: those of the strategy and of asking.
Result<WorkflowRun> run_workflow(const tasks::Workflow& workflow, const Strategy& strategy,
                                 const StepPrices& prices, AnswerBook& book);

// Some workflows of every kind and field in turn, of seeds that follow.
std::vector<tasks::Workflow> workflows_of(tasks::Split split, uint64_t first_seed, size_t n);

// What runs of the same workflows by one strategy come to.
struct StrategyScore {
  SuccessCount workflows, steps;
  double usd = 0, bit_ops = 0;
  double p50_seconds = 0, p90_seconds = 0;  // of steps
  double p99_decision_seconds = 0;
  double remote_share = 0;  // of steps that asked the remote
  std::map<std::string, double> answered_by;  // share of steps whose answer a place gave
};
StrategyScore score_of(std::span<const WorkflowRun> runs);

// The middle 95 % of what `runs` save beside `others`, as a share of what `full` takes, over
// resamples of the workflows. All three are runs of the same workflows, in one order.
Interval saving_interval(std::span<const WorkflowRun> runs, std::span<const WorkflowRun> others,
                         std::span<const WorkflowRun> full, double (WorkflowRun::*taken)() const,
                         uint64_t seed);

}  // namespace ac
