// Why a prompt would go where it goes, for `route --explain`: what was read, what was predicted,
// what the policy made of it, and which of the pieces mattered.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/predictor.h"
#include "runtime/core/clock.h"
#include "runtime/core/json.h"
#include "runtime/core/result.h"
#include "runtime/route/policy.h"

namespace ac {

struct RouteExplanation {
  struct Piece {
    std::string text;      // as hashed: lower case, at most seven letters
    double influence = 0;  // success of the cheapest tier, minus what it is without this piece
  };
  struct Tier {
    std::string name;
    double success = 0;
  };
  std::vector<Piece> pieces;  // in the order of the prompt, at most kPredictorTokens
  std::vector<Tier> tiers;    // cheapest first, the last is the full model
  std::vector<Candidate> candidates;
  double threshold = 0;
  Route route;
  int32_t n_parameters = 0;
  double microseconds = 0;  // features, prediction and policy; not the influences
};

// `rules` gives threshold, reachability and pin; its locals and prediction are filled in here.
// Without a predictor (nullptr) pieces and tiers stay empty. Errors: those of decide().
Result<RouteExplanation> explain_route(const Predictor* predictor, std::string_view prompt,
                                       std::span<const VariantCost> variants, PolicyInput rules,
                                       const Clock& clock = system_clock());

std::vector<std::string> explanation_lines(const RouteExplanation& explanation);
OrderedJson explanation_to_json(const RouteExplanation& explanation);

}  // namespace ac
