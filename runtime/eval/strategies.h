// Strategies for workflows: whom to ask, step by step.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/predictor/gates.h"
#include "runtime/eval/workflow_run.h"

namespace ac {

// The remote, whatever is asked.
Strategy always_remote();
// The cheapest variant with this chance, else the remote. The same seed tosses the same coins.
Strategy at_random(std::string cheapest, double local_share, uint64_t seed);
// The cheapest place whose answer passes the step's check; the remote where none does.
Strategy oracle(std::vector<std::string> variants);
// The paper's network and its rule: the cheapest variant with this predicted success.
// `variants` cheapest first, each the name of a tier.
Strategy paper_gate(std::shared_ptr<const Gates> gates, std::vector<std::string> variants,
                    double threshold);
// The n-gram gate at an allowance (guarantee.h); `verified`: a draft that check_draft doubts goes
// to the remote too. REQUIRES: gates->ngram.
Strategy default_gate(std::shared_ptr<const Gates> gates, std::vector<std::string> variants,
                      double allowance, bool verified);

// What the draft gate makes of drafts, at an allowance of its own; with `by_workflow` as the router
// does for steps of a workflow: a further risk weighs what the steps so far are worth, and no later
// step goes to a cheaper variant. REQUIRES: gates->ngram, gates->draft.
struct DraftPlan {
  DraftUse use{};
  bool by_workflow = false;
};
Strategy draft_gate(std::shared_ptr<const Gates> gates, std::vector<std::string> variants,
                    const Allowed& allowed, DraftPlan plan);

// The last of the settings up to which workflows keep the share `retain` of the full model's
// success, with `confidence`: learn-then-test on workflows that nothing else was chosen on. None:
// nothing can be promised. `run_at(allowed)` runs them all. Errors: those of running.
Result<std::optional<Allowed>> certain_setting(
    std::span<const WorkflowRun> full, double retain, double confidence,
    std::span<const Allowed> settings,
    const std::function<Result<std::vector<WorkflowRun>>(const Allowed& allowed)>& run_at);

}  // namespace ac
