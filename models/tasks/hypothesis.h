// Hypothesis generation: from signed relations in prose to the predicted effect along a chain, the
// link that nobody has measured, and the experiment that would decide.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/tasks/draw.h"
#include "models/tasks/made.h"
#include "models/tasks/mentions.h"

namespace ac::tasks {

enum class HypothesisSkill {
  kPredict,     // relations and a question
  kContinue,    // an earlier prediction and more relations
  kFromReview,  // a synthesis of studies gives the first sign
  kExperiment,  // an earlier prediction; only the experiment, with what it should show
};

// What the material says of two quantities.
struct Relation {
  std::string from, to;
  int sign = kRises;   // kRises: raising the one raises the other; kFalls: lowers it
  bool aside = false;  // off the chain
};

struct HypothesisTruth {
  HypothesisSkill skill = HypothesisSkill::kPredict;
  std::vector<std::string> chain;   // from what is changed to what is asked about
  std::vector<int> directions;      // kRises or kFalls, one for each of the chain
  int untested = 0;                 // the link from chain[untested] to the next
  std::vector<Relation> relations;  // in the order of the material; that of a review first
  std::vector<std::string> others;  // quantities of relations off the chain
  int link_sign() const {
    return directions[static_cast<size_t>(untested)] *
           directions[static_cast<size_t>(untested) + 1];
  }
};

Made<HypothesisTruth> make_hypothesis(Draw& draw);

// The makers that workflows use.
struct ChainPlan {
  std::vector<std::string> chain;
  int start = kRises;  // what happens to chain[0]
  int first_sign = 0;  // kFromReview: of the first link; 0: drawn
  double level = 0.5;
  std::vector<std::string> spare;  // quantities for distractors
};
Made<HypothesisTruth> make_prediction(Draw& draw, const ChainPlan& plan);
// `material`: the earlier prediction, whose last quantity is plan.chain[0].
Made<HypothesisTruth> make_continuation(Draw& draw, const ChainPlan& plan,
                                        const std::string& material);
// `material`: a synthesis about the effect of plan.chain[0] on plan.chain[1].
Made<HypothesisTruth> make_from_review(Draw& draw, const ChainPlan& plan,
                                       const std::string& material);
// `material`: the answer to `predicted`.
Made<HypothesisTruth> make_experiment(Draw& draw, const HypothesisTruth& predicted,
                                      const std::string& material);

std::string hypothesis_answer(const HypothesisTruth& truth);

// Other wordings pass when they carry the chain in order with every direction, the prediction, the
// untested link, and an experiment that varies the one end and measures the other; links and relations
// beside the chain may be stated too ("A lowers B") and must be right; nothing else.
Verdict check_hypothesis(const HypothesisTruth& truth, std::string_view answer);

}  // namespace ac::tasks
