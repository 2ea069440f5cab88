// Policy: the pure function from (prediction, rules, budget, reachability) to a route.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/predictor.h"

namespace ac {

enum class Place { kLocal, kRemote };

// Why a prompt went where it went; one word each in receipts and `route --explain`.
enum class RouteReason {
  kConfident,      // the smallest variant whose predicted success reaches the threshold
  kNotConfident,   // none does: the full model is the safety net
  kPinned,         // the user named the variant or the place
  kOffline,        // a hard prompt, but offline = yes or no remote configured: answered locally
  kRemoteDown,     // a hard prompt, but the remote could not be reached
  kNoPredictor,    // the zoo has no predictor: the best variant
  kContext,        // the prompt is too long for the local variants
};
std::string_view route_reason_name(RouteReason reason);

// A local variant as the policy sees it; tier i of the prediction belongs to tiers[i].
struct Candidate {
  std::string id;
  double cost = 0;        // relative: MACs x weight bits / 16 per token
  double success = 0;     // predicted, of the tier it belongs to
};

struct PolicyInput {
  std::span<const Candidate> locals;     // cheapest first, may be empty
  bool has_prediction = false;
  double threshold = 0.7;                // of confidence
  bool remote_configured = false;
  bool offline = false;
  bool remote_reachable = true;
  std::optional<std::string> pinned;     // a variant's id, "local" or "remote"
};

struct Route {
  Place place = Place::kLocal;
  std::string variant;     // local variant to run, or to fall back to
  RouteReason reason = RouteReason::kConfident;
  double confidence = 0;   // predicted success of what was chosen
  bool degraded = false;   // the full model was wanted and could not be had
};

// Errors: kNotFound (a pinned variant that does not exist), kInvalidArgument (neither a local variant
// nor a remote).
Result<Route> decide(const PolicyInput& input);

}  // namespace ac
