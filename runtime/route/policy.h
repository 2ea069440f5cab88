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
  kConfident,     // a variant will do
  kNotConfident,  // none does: the full model is the safety net
  kPinned,        // the user named the variant or the place
  kOffline,       // a hard prompt, but offline = yes or no remote configured: answered locally
  kRemoteDown,    // a hard prompt, but the remote could not be reached
  kNoPredictor,   // the zoo has no predictor: the best local variant
  kContext,       // the prompt is too long for every local variant
  kNoLocal,       // there is no local variant at all
  kDoubted,       // a local draft failed its checks
  kBudget,        // a hard prompt, but no more may be spent: answered locally
  kTools,         // functions to call: that is the full model's business
  kKeptHere,      // a hard prompt that may not leave this machine: answered locally
};
std::string_view route_reason_name(RouteReason reason);

// A local variant as the policy sees it.
struct Candidate {
  std::string id;         // never "local" or "remote": those words pin a place
  double cost = 0;        // relative: MACs x weight bits / 16 per token
  double success = 0;     // predicted, of the tier it belongs to
  int64_t n_context = 0;  // tokens that fit, prompt and answer; 0: not limited
};

struct PolicyInput {
  std::span<const Candidate> locals{};  // cheapest first, the best last; may be empty
  bool has_prediction = false;
  double remote_success = 0;    // predicted, of the full model
  double threshold = 0.7;       // of confidence
  // The best variant will do where the full model is at most this much likelier to succeed
  // (Judgement); then the threshold is not looked at.
  std::optional<double> allowance{};
  // What a question to the remote has to gain to be worth its price; 0: the price does not matter.
  double worth_gain = 0;
  double least_cost = 0;        // variants cheaper than this will not do (sticky workflows, cascades)
  int64_t n_tokens_needed = 0;  // prompt and room for an answer; 0: fits, or not known
  bool remote_configured = false;
  bool offline = false;
  std::string_view kept_here{};  // why this prompt may not leave; empty: it may
  bool remote_reachable = true;         // as last seen; only a failed call makes it false
  bool may_spend = true;                // the budget has room for the question
  bool has_tools = false;               // functions may be called
  std::optional<std::string> pinned{};  // a variant's id, "local" or "remote"
};

struct Route {
  Place place = Place::kLocal;
  std::string variant;  // local variant to run, or to fall back to; empty when there is none
  RouteReason reason = RouteReason::kConfident;
  double confidence = 0;  // predicted success of what was chosen; 0 without a prediction
  bool degraded = false;  // the full model was wanted and could not be had
};

// What judged a prompt.
enum class GateKind { kNone, kPaper, kNgram };

// A route with what it was decided from.
struct Decision {
  Route route;
  std::vector<Candidate> candidates;     // local variants, cheapest first
  GateKind gate = GateKind::kNone;
  std::optional<Prediction> prediction;  // none without a predictor
  double threshold = 0;                  // of confidence
  std::optional<double> allowance;       // as in PolicyInput
  std::optional<double> draft_allowance{};  // as in Judgement
  std::optional<double> cascade_allowance{};
  std::string cascade{};                 // the variant that drafts first; empty: none
  double worth_gain = 0;                 // as in PolicyInput
  std::string alarm{};                   // why less is allowed for a while; empty: it is not
  double novelty = 0;                    // as in Judgement
  bool is_novel = false;
  int64_t n_tokens_needed = 0;           // as in PolicyInput
  std::string kept_here{};               // as in PolicyInput
  bool must_stay = false;                // by a rule, whoever asks
  double predict_seconds = 0;            // features, prediction and policy
};

// The rules, first match wins. With a threshold the variant that "will do" is the cheapest whose
// success reaches it. With an allowance it is the one that is nearly as good as the best
// (variant_to_ask), where the full model's success is at most the allowance higher. Either will do
// where the full model would gain less than worth_gain; none that is cheaper than least_cost.
// "Fits" looks at n_context alone; "best" is the last of those that fit; the remote is usable when
// configured, not offline, reachable and within the budget.
//
//   pinned = a variant's id   that variant                                        pinned
//   pinned = "local"          the one that will do, else the best                 pinned
//   pinned = "remote"         remote                                              pinned
//   functions may be called   remote; where it may not be asked, as for a hard
//                             prompt                                              tools
//   no local variant          remote                                              no_local
//   none fits                 remote                                              context
//   no prediction             the best local one: nothing says the prompt is hard,
//                             and only a hard prompt leaves the machine           no_predictor
//   one will do               that one                                            confident
//   remote usable             remote                                              not_confident
//   down                      the best local one, degraded                        remote_down
//   no money                  the best local one, degraded                        budget
//   may not leave             the best local one, degraded                        kept_here
//   else                      the best local one, degraded                        offline
//
// A pin is an order: it is obeyed or it is an error, never answered by something else; hence
// "remote" while offline, or with none configured, is an error and not a degraded answer. Where
// only the remote may answer, one that was last seen down is tried again: the client's own error
// then says more than the policy could. A success that is not a number will not do.
//
// Errors: kNotFound (a pinned variant that does not exist; "local" without any), kInvalidArgument
// (neither a local variant nor a usable remote; "remote" while offline, with none configured, over the
// budget or for what may not leave),
// kContextFull (the prompt fits no local variant, or not the pinned one, and no remote may answer).
Result<Route> decide(const PolicyInput& input);

// What candidates_for needs to know of a variant.
struct VariantCost {
  std::string id;
  double cost = 0;        // as in Candidate
  int64_t n_context = 0;  // as in Candidate
};

// Gives each variant the prediction of a tier. Variants are ordered by cost (equal costs keep their
// order). A variant named like a tier takes that tier's. For the rest: the last tier is the full
// model, so the L = n_tiers - 1 others are spread evenly over the V variants: variant r of V
// belongs to tier floor(r * L / V). With more variants than tiers neighbours share one; with fewer
// the lower tier of each stretch is taken, the cautious side. A dearer variant is never predicted
// to be worse than a cheaper one: successes are a running maximum. An empty prediction gives
// successes of 0. REQUIRES: as many tiers as predicted successes, or no prediction.
std::vector<Candidate> candidates_for(std::span<const std::string> tiers,
                                      const Prediction& prediction,
                                      std::span<const VariantCost> variants);
// Predicted success of the full model, the last tier; 0 for an empty prediction.
double full_model_success(const Prediction& prediction);

}  // namespace ac
