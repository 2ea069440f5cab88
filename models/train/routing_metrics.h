// How good a router is, from its scores and what both models would have earned. Pure functions.
//
// One pair of models: keeping prompt i on the weak one earns weak[i], sending it to the strong one
// earns strong[i], both in [0, 1]. A router gives each prompt a score; the highest scores stay on
// the weak model. "Retained" is what the mixture earns as a share of what the strong model alone
// earns. "Cut" is the share of prompts kept on the weak model: the saving when a local answer costs
// nothing beside a remote one. All spans have the same length.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/core/interval.h"

namespace ac {

struct Outcome {
  std::span<const float> weak;
  std::span<const float> strong;
  size_t size() const { return weak.size(); }
};

struct Kept {
  double threshold = 0;  // prompts with score >= threshold stay on the weak model
  double cut = 0;        // share of prompts kept
  double retained = 0;   // share of the strong model's success kept; 1 where that is 0
};

Kept keep_at(std::span<const float> scores, const Outcome& outcome, double threshold);
// The largest cut of any threshold that retains at least `target`; equal scores go together.
// Nothing kept (threshold above every score) where no threshold does.
Kept largest_cut(std::span<const float> scores, const Outcome& outcome, double target);
// The expected cut of a router that tosses a coin: (1 - target) * A_s / (A_s - A_w), at most 1.
double random_cut(const Outcome& outcome, double target);
// The cut of a router that knows both outcomes: prompts sorted by what they lose.
double oracle_cut(const Outcome& outcome, double target);
// Average performance gap recovered, after RouteLLM (Ong et al. 2024, arXiv:2406.18665): accuracy
// over the share of strong calls in ten steps, linear between them, by trapezoids, as a share of
// the gap. Random is 0.5. NaN where both models earn the same.
double apgr(std::span<const float> scores, const Outcome& outcome);
// Call-performance threshold, from the same curve: the share of prompts that the strong model must
// take to recover this share of the gap. NaN where both models earn the same.
double call_share(std::span<const float> scores, const Outcome& outcome, double recovered);

// Area under the ROC curve for label >= 0.5; ties count half. NaN where all labels are on one side.
double area_under_roc(std::span<const float> predicted, std::span<const float> label);
// Expected calibration error over ten bins of equal width.
double calibration_error(std::span<const float> predicted, std::span<const float> label);
double brier_score(std::span<const float> predicted, std::span<const float> label);
double mean_of(std::span<const float> values);

// The middle 95 % of APGR and of largest_cut over bootstrap resamples of the prompts; NaN resamples
// are left out. The same seed gives the same interval.
struct BootstrapIntervals {
  Interval apgr;
  Interval cut;
};
BootstrapIntervals bootstrap_intervals(std::span<const float> scores, const Outcome& outcome,
                                       double target, int n_resamples, uint64_t seed);

}  // namespace ac
