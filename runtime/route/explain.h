// Why a prompt would go where it goes, for `route --explain`: what was read, what was predicted,
// what the policy made of it, and which of the pieces mattered.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/gates.h"
#include "runtime/core/json.h"
#include "runtime/route/policy.h"

namespace ac {

struct RouteExplanation {
  // What mattered most. The paper's gate: each piece that it read, in their order, with the success
  // of the cheapest tier minus what it is without this piece. The n-gram gate: the n-grams that say
  // most about the cheapest tier's gain over the full model, in logits, largest first.
  struct Piece {
    std::string text;  // as hashed: lower case, at most seven letters a piece
    double influence = 0;
  };
  struct Tier {
    std::string name;
    double success = 0;
  };
  Decision decision;
  std::vector<Piece> pieces;
  std::vector<Tier> tiers;    // cheapest first, the last is the full model
  int32_t n_parameters = 0;
};

// What `decision` was made from, `gates` and `prompt` being what made it. Without gates (nullptr)
// pieces and tiers stay empty.
RouteExplanation explain_route(const Gates* gates, std::string_view prompt, Decision decision);

std::vector<std::string> explanation_lines(const RouteExplanation& explanation);
OrderedJson explanation_to_json(const RouteExplanation& explanation);

}  // namespace ac
