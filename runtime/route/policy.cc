#include "runtime/route/policy.h"

#include <algorithm>
#include <vector>

#include "models/predictor/guarantee.h"

namespace ac {
namespace {

enum class RemoteState { kUsable, kNotConfigured, kOffline, kKeptHere, kNoMoney, kDown };

RemoteState remote_state(const PolicyInput& input) {
  if (!input.remote_configured) return RemoteState::kNotConfigured;
  if (input.offline) return RemoteState::kOffline;
  if (!input.kept_here.empty()) return RemoteState::kKeptHere;
  if (!input.may_spend) return RemoteState::kNoMoney;
  return input.remote_reachable ? RemoteState::kUsable : RemoteState::kDown;
}

bool may_try(RemoteState state) {
  return state == RemoteState::kUsable || state == RemoteState::kDown;
}

bool fits(const Candidate& candidate, const PolicyInput& input) {
  return candidate.n_context <= 0 || input.n_tokens_needed <= candidate.n_context;
}

const Candidate* best_fitting(const PolicyInput& input) {
  for (size_t i = input.locals.size(); i-- > 0;) {
    if (fits(input.locals[i], input)) return &input.locals[i];
  }
  return nullptr;
}

bool usable(const Candidate& candidate, const PolicyInput& input) {
  return fits(candidate, input) && candidate.cost >= input.least_cost;
}

bool will_do(const Candidate& candidate, const PolicyInput& input) {
  const double gain = input.remote_success - candidate.success;
  if (input.worth_gain > 0 && gain <= input.worth_gain) return true;
  if (!input.allowance) return candidate.success >= input.threshold;
  return gain <= *input.allowance;
}

const Candidate* one_that_will_do(const PolicyInput& input) {
  if (!input.has_prediction) return nullptr;
  if (!input.allowance) {
    for (const Candidate& candidate : input.locals) {
      if (usable(candidate, input) && will_do(candidate, input)) return &candidate;
    }
    return nullptr;
  }
  std::vector<const Candidate*> asked;
  std::vector<double> success;
  for (const Candidate& candidate : input.locals) {
    if (!usable(candidate, input)) continue;
    asked.push_back(&candidate);
    success.push_back(candidate.success);
  }
  const size_t one = variant_to_ask(std::span<const double>(success));
  return one < asked.size() && will_do(*asked[one], input) ? asked[one] : nullptr;
}

Route local(const Candidate& candidate, RouteReason reason, const PolicyInput& input) {
  Route route;
  route.place = Place::kLocal;
  route.variant = candidate.id;
  route.reason = reason;
  route.confidence = input.has_prediction ? candidate.success : 0;
  return route;
}

Route degraded(const Candidate& candidate, RemoteState state, const PolicyInput& input) {
  const auto reason = state == RemoteState::kDown       ? RouteReason::kRemoteDown
                      : state == RemoteState::kNoMoney  ? RouteReason::kBudget
                      : state == RemoteState::kKeptHere ? RouteReason::kKeptHere
                                                        : RouteReason::kOffline;
  Route route = local(candidate, reason, input);
  route.degraded = true;
  return route;
}

// `fall_back` may be null.
Route remote(const Candidate* fall_back, RouteReason reason, const PolicyInput& input) {
  Route route;
  route.place = Place::kRemote;
  if (fall_back != nullptr) route.variant = fall_back->id;
  route.reason = reason;
  route.confidence = input.has_prediction ? input.remote_success : 0;
  return route;
}

std::string_view why_no_remote(RemoteState state, const PolicyInput& input) {
  if (state == RemoteState::kKeptHere) return input.kept_here;
  if (state == RemoteState::kNoMoney) return "the budget has no room for it";
  return state == RemoteState::kOffline ? "offline = yes" : "no remote is configured";
}

Error too_long(const PolicyInput& input, std::string_view ending) {
  int64_t longest = 0;
  for (const Candidate& candidate : input.locals) longest = std::max(longest, candidate.n_context);
  return fail(ErrorCode::kContextFull,
              "the prompt and its answer need {} tokens; the local variants hold at most {}{}",
              input.n_tokens_needed, longest, ending);
}

// Only the remote could answer.
Result<Route> remote_or_nothing(RouteReason reason, const PolicyInput& input) {
  const RemoteState state = remote_state(input);
  if (may_try(state)) return remote(nullptr, reason, input);
  if (!input.locals.empty()) return too_long(input, fmt::format(", and {}", why_no_remote(state, input)));
  return fail(ErrorCode::kInvalidArgument, "nothing to answer with: no local variant, and {}",
              why_no_remote(state, input));
}

Result<Route> decide_pinned(const PolicyInput& input) {
  const std::string& pinned = *input.pinned;
  const Candidate* best = best_fitting(input);
  if (pinned == "remote") {
    const RemoteState state = remote_state(input);
    if (may_try(state)) return remote(best, RouteReason::kPinned, input);
    return fail(ErrorCode::kInvalidArgument, "the remote was asked for by name, but {}",
                why_no_remote(state, input));
  }
  if (pinned == "local") {
    if (input.locals.empty()) return fail(ErrorCode::kNotFound, "there is no local variant");
    if (best == nullptr) return too_long(input, "");
    const Candidate* confident = one_that_will_do(input);
    return local(confident != nullptr ? *confident : *best, RouteReason::kPinned, input);
  }
  std::string known;
  for (const Candidate& candidate : input.locals) {
    if (candidate.id == pinned) {
      if (fits(candidate, input)) return local(candidate, RouteReason::kPinned, input);
      return fail(ErrorCode::kContextFull,
                  "the prompt and its answer need {} tokens; variant '{}' holds {}",
                  input.n_tokens_needed, pinned, candidate.n_context);
    }
    known += (known.empty() ? "" : ", ") + candidate.id;
  }
  return fail(ErrorCode::kNotFound, "no variant '{}'; there are: {}", pinned,
              known.empty() ? "none" : known);
}

// Functions are the full model's business: a local variant is held to their form where that one may not
// be asked, or by name.
Result<Route> decide_with_tools(const PolicyInput& input) {
  if (input.pinned) return decide_pinned(input);
  const RemoteState state = remote_state(input);
  const Candidate* best = best_fitting(input);
  if (may_try(state)) return remote(best, RouteReason::kTools, input);
  if (best == nullptr) return remote_or_nothing(RouteReason::kTools, input);
  return degraded(*best, state, input);
}

}  // namespace

std::string_view route_reason_name(RouteReason reason) {
  switch (reason) {
    case RouteReason::kConfident:
      return "confident";
    case RouteReason::kNotConfident:
      return "not_confident";
    case RouteReason::kPinned:
      return "pinned";
    case RouteReason::kOffline:
      return "offline";
    case RouteReason::kRemoteDown:
      return "remote_down";
    case RouteReason::kNoPredictor:
      return "no_predictor";
    case RouteReason::kContext:
      return "context";
    case RouteReason::kNoLocal:
      return "no_local";
    case RouteReason::kDoubted:
      return "doubted";
    case RouteReason::kBudget:
      return "budget";
    case RouteReason::kTools:
      return "tools";
    case RouteReason::kKeptHere:
      return "kept_here";
  }
  return "unknown";
}

Result<Route> decide(const PolicyInput& input) {
  if (input.has_tools) return decide_with_tools(input);
  if (input.pinned) return decide_pinned(input);
  if (input.locals.empty()) return remote_or_nothing(RouteReason::kNoLocal, input);
  const Candidate* best = best_fitting(input);
  if (best == nullptr) return remote_or_nothing(RouteReason::kContext, input);
  if (!input.has_prediction) return local(*best, RouteReason::kNoPredictor, input);
  if (const Candidate* confident = one_that_will_do(input)) {
    return local(*confident, RouteReason::kConfident, input);
  }
  const RemoteState state = remote_state(input);
  if (state == RemoteState::kUsable) return remote(best, RouteReason::kNotConfident, input);
  return degraded(*best, state, input);
}

std::vector<Candidate> candidates_for(std::span<const std::string> tiers,
                                      const Prediction& prediction,
                                      std::span<const VariantCost> variants) {
  const std::span<const float> success = prediction.success;
  AC_CHECK(success.empty() || success.size() == tiers.size());
  std::vector<Candidate> candidates;
  candidates.reserve(variants.size());
  for (const VariantCost& variant : variants) {
    candidates.push_back({variant.id, variant.cost, 0, variant.n_context});
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.cost < b.cost; });
  if (success.empty()) return candidates;
  const size_t n_local_tiers = std::max<size_t>(1, success.size() - 1);
  double most = 0;
  for (size_t r = 0; r < candidates.size(); ++r) {
    const auto named = std::find(tiers.begin(), tiers.end(), candidates[r].id);
    const size_t tier = named != tiers.end() ? static_cast<size_t>(named - tiers.begin())
                                             : r * n_local_tiers / candidates.size();
    most = std::max(most, static_cast<double>(success[tier]));
    candidates[r].success = most;
  }
  return candidates;
}

double full_model_success(const Prediction& prediction) {
  return prediction.success.empty() ? 0 : static_cast<double>(prediction.success.back());
}

}  // namespace ac
