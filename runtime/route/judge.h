// Judge: what a gate says of a prompt, and how much the policy shall demand because of it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/gates.h"
#include "runtime/route/policy.h"

namespace ac {

struct Judgement {
  GateKind gate = GateKind::kPaper;
  Prediction prediction;
  // A variant will do where the full model is at most this much likelier to succeed. None: where
  // its own success reaches the confidence threshold, the paper's rule.
  std::optional<double> allowance{};
  double novelty = 0;     // share of the prompt's n-grams that the gate never learned from
  bool is_novel = false;  // so many that less is allowed than usually
};

struct Judge {
  std::vector<std::string> tiers;  // cheapest first, the last is the full model
  std::function<Judgement(std::string_view prompt, const RequestFacts& facts)>
      judge;  // empty: none
};

struct JudgeOptions {
  bool paper = false;             // its gate and its rule, even where there is another
  double target_success = 0.962;  // of the full model's
  double target_confidence = 0.9;
};

struct JudgeMade {
  Judge judge;
  std::optional<Guarantee> promised;  // of the n-gram gate
};
// nullptr: a judge that says nothing. Where the target cannot be promised, no variant will do:
// every prompt counts as hard.
JudgeMade make_judge(std::shared_ptr<const Gates> gates, const JudgeOptions& options);

}  // namespace ac
