// Judge: what a gate says of a prompt, and how much the policy shall demand because of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/gate_learning.h"
#include "models/predictor/gates.h"
#include "runtime/route/drift.h"
#include "runtime/route/policy.h"

namespace ac {

struct Judgement {
  GateKind gate = GateKind::kPaper;
  Prediction prediction;
  // A variant will do where the full model is at most this much likelier to succeed. None: where
  // its own success reaches the confidence threshold, the paper's rule.
  std::optional<double> allowance{};
  // The same for a draft that has been written (draft_gate.h). None: drafts are not judged.
  std::optional<double> draft_allowance{};
  // The same for a cheaper variant's draft before it (a cascade). None: there is no cascade, as on
  // unknown ground.
  std::optional<double> cascade_allowance{};
  // What is taken off both while the prompts of late are unlike those learned from (drift.h).
  double alarm_margin = 0;
  double novelty = 0;     // share of the prompt's n-grams that the gate never learned from
  bool is_novel = false;  // so many that less is allowed than usually
};

struct Judge {
  std::vector<std::string> tiers;  // cheapest first, the last is the full model
  std::function<Judgement(std::string_view prompt, const RequestFacts& facts)>
      judge{};  // empty: none
  std::shared_ptr<const DraftGate> drafts{};  // nullptr: none
  DraftUse draft_use{};
  std::string usual_variant{};  // cheaper ones only draft before it; empty: any may answer
  std::optional<DriftBaseline> usual{};  // of the prompts learned from
};

struct JudgeOptions {
  bool paper = false;             // its gate and its rule, even where there is another
  std::optional<DraftUse> drafts{};  // judge what variants write, where the file can
  double target_success = 0.962;  // of the full model's
  double target_confidence = 0.9;
};

struct JudgeMade {
  Judge judge;
  std::optional<Guarantee> promised{};  // of the n-gram gate, and of the draft gate after it
};
// nullptr: a judge that says nothing. Where the target cannot be promised, no variant will do:
// every prompt counts as hard.
// `learning`: of gates->ngram, looked at with every judgement; nullptr: the gate as it was trained.
JudgeMade make_judge(std::shared_ptr<const Gates> gates, const JudgeOptions& options,
                     std::shared_ptr<const GateLearning> learning = nullptr);

}  // namespace ac
