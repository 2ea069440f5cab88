// Why a prompt would go where it goes, for `route --explain`: what was read, what was predicted,
// what the policy made of it, and which of the pieces mattered.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/predictor.h"
#include "runtime/core/json.h"
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
  Decision decision;
  std::vector<Piece> pieces;  // in the order of the prompt, at most kPredictorTokens
  std::vector<Tier> tiers;    // cheapest first, the last is the full model
  int32_t n_parameters = 0;
};

// What `decision` was made from, `predictor` and `prompt` being what made it. Without a predictor
// (nullptr) pieces and tiers stay empty.
RouteExplanation explain_route(const Predictor* predictor, std::string_view prompt,
                               Decision decision);

std::vector<std::string> explanation_lines(const RouteExplanation& explanation);
OrderedJson explanation_to_json(const RouteExplanation& explanation);

}  // namespace ac
