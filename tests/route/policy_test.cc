// The policy is a pure function: a table of every case, then every combination of its inputs
// against the rules as policy.h states them.
#include "runtime/route/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ac {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Two local variants: q4 (cheap) and q8 (best), with the given successes.
std::vector<Candidate> two(double q4, double q8) {
  return {{.id = "q4", .cost = 1, .success = q4}, {.id = "q8", .cost = 2, .success = q8}};
}

struct Case {
  const char* name;
  std::vector<Candidate> locals;
  PolicyInput input;
  const char* expected;  // "place variant reason degraded", or an error code
};

std::string decision(const PolicyInput& input) {
  const auto route = decide(input);
  if (!route.has_value()) return std::string(error_code_name(route.error().code));
  return fmt::format("{} {} {}{}", route->place == Place::kLocal ? "local" : "remote",
                     route->variant.empty() ? "-" : route->variant,
                     route_reason_name(route->reason), route->degraded ? " degraded" : "");
}

const PolicyInput kOnline = {
    .has_prediction = true, .remote_success = 0.95, .remote_configured = true};
PolicyInput with(PolicyInput input, auto change) {
  change(input);
  return input;
}

std::vector<Case> cases() {
  const auto offline = [](PolicyInput& in) { in.offline = true; };
  const auto unconfigured = [](PolicyInput& in) { in.remote_configured = false; };
  const auto down = [](PolicyInput& in) { in.remote_reachable = false; };
  const auto blind = [](PolicyInput& in) { in.has_prediction = false; };
  const auto tools = [](PolicyInput& in) { in.has_tools = true; };
  const auto gain = [](double allowance) {
    return [allowance](PolicyInput& in) { in.allowance = allowance; };
  };
  const auto pin = [](const char* what) { return [what](PolicyInput& in) { in.pinned = what; }; };
  const std::vector<Candidate> easy = two(0.9, 0.95), middling = two(0.5, 0.8),
                               hard = two(0.2, 0.4);
  return {
      {"easy", easy, kOnline, "local q4 confident"},
      {"exactly at the threshold", two(0.7, 0.7), kOnline, "local q4 confident"},
      {"just below", two(0.6999, 0.6999), kOnline, "remote q8 not_confident"},
      {"only the dearer is confident", middling, kOnline, "local q8 confident"},
      {"hard", hard, kOnline, "remote q8 not_confident"},
      {"nearly as good as the full model", hard, with(kOnline, gain(0.95 - 0.4)),
       "local q8 confident"},
      {"the allowance is for the full model alone", middling, with(kOnline, gain(0.95 - 0.5)),
       "local q8 confident"},
      {"the cheaper one is nearly as good", two(0.79, 0.8), with(kOnline, gain(0.95 - 0.79)),
       "local q4 confident"},
      {"nearly as good, but not good enough", two(0.79, 0.8), with(kOnline, gain(0.95 - 0.795)),
       "remote q8 not_confident"},
      {"hard for the full model too", two(0.2, 0.2), with(kOnline, [](PolicyInput& in) {
         in.remote_success = 0.2;
         in.allowance = 0;
       }), "local q4 confident"},
      {"easy, but the full model is better", easy, with(kOnline, gain(-0.01)),
       "remote q8 not_confident"},
      {"hard, offline", hard, with(kOnline, offline), "local q8 offline degraded"},
      {"hard, no remote", hard, with(kOnline, unconfigured), "local q8 offline degraded"},
      {"hard, remote down", hard, with(kOnline, down), "local q8 remote_down degraded"},
      {"hard, offline and down", hard, with(with(kOnline, offline), down),
       "local q8 offline degraded"},
      {"functions", easy, with(kOnline, tools), "remote q8 tools"},
      {"functions, remote down: tried", easy, with(with(kOnline, tools), down), "remote q8 tools"},
      {"functions, remote pinned", easy, with(with(kOnline, tools), pin("remote")),
       "remote q8 pinned"},
      {"functions, a variant pinned", easy, with(with(kOnline, tools), pin("q4")), "local q4 pinned"},
      {"functions, offline", easy, with(with(kOnline, tools), offline), "local q8 offline degraded"},
      {"functions, no remote", easy, with(with(kOnline, tools), unconfigured),
       "local q8 offline degraded"},
      {"functions, nothing local", {}, with(kOnline, tools), "remote - tools"},
      {"functions, nothing at all", {}, with(with(kOnline, tools), offline), "invalid_argument"},
      {"easy, offline", easy, with(kOnline, offline), "local q4 confident"},
      {"easy, remote down", easy, with(kOnline, down), "local q4 confident"},
      {"not a number", two(kNaN, kNaN), kOnline, "remote q8 not_confident"},
      {"threshold 0", two(0, 0), with(kOnline, [](PolicyInput& in) { in.threshold = 0; }),
       "local q4 confident"},
      {"threshold above 1", two(1, 1), with(kOnline, [](PolicyInput& in) { in.threshold = 1.01; }),
       "remote q8 not_confident"},

      {"no predictor", easy, with(kOnline, blind), "local q8 no_predictor"},
      {"no predictor, offline", easy, with(with(kOnline, blind), offline), "local q8 no_predictor"},

      {"no local", {}, kOnline, "remote - no_local"},
      {"no local, no predictor", {}, with(kOnline, blind), "remote - no_local"},
      {"no local, down: try", {}, with(kOnline, down), "remote - no_local"},
      {"no local, offline", {}, with(kOnline, offline), "invalid_argument"},
      {"nothing at all", {}, with(kOnline, unconfigured), "invalid_argument"},

      {"pin a variant", hard, with(kOnline, pin("q4")), "local q4 pinned"},
      {"pin a variant, no predictor", hard, with(with(kOnline, blind), pin("q4")),
       "local q4 pinned"},
      {"pin a variant, offline", hard, with(with(kOnline, offline), pin("q8")), "local q8 pinned"},
      {"pin an unknown variant", hard, with(kOnline, pin("q2")), "not_found"},
      {"pin nothing", hard, with(kOnline, pin("")), "not_found"},
      {"pin local, easy", easy, with(kOnline, pin("local")), "local q4 pinned"},
      {"pin local, hard: the best, as ordered", hard, with(kOnline, pin("local")),
       "local q8 pinned"},
      {"pin local, no predictor", easy, with(with(kOnline, blind), pin("local")),
       "local q8 pinned"},
      {"pin local, none there", {}, with(kOnline, pin("local")), "not_found"},
      {"pin remote, easy", easy, with(kOnline, pin("remote")), "remote q8 pinned"},
      {"pin remote, no local", {}, with(kOnline, pin("remote")), "remote - pinned"},
      {"pin remote, offline: refused", easy, with(with(kOnline, offline), pin("remote")),
       "invalid_argument"},
      {"pin remote, none configured", easy, with(with(kOnline, unconfigured), pin("remote")),
       "invalid_argument"},
      {"pin remote, down: try", easy, with(with(kOnline, down), pin("remote")), "remote q8 pinned"},
  };
}

TEST(Policy, Table) {
  for (const Case& one : cases()) {
    PolicyInput input = one.input;
    input.locals = one.locals;
    EXPECT_EQ(decision(input), one.expected) << one.name;
  }
}

TEST(Policy, ConfidenceIsThatOfWhatWasChosen) {
  const auto confidence = [](const std::vector<Candidate>& locals, PolicyInput input) {
    input.locals = locals;
    return decide(input).value().confidence;
  };
  EXPECT_EQ(confidence(two(0.9, 0.95), kOnline), 0.9);
  EXPECT_EQ(confidence(two(0.1, 0.2), kOnline), 0.95);
  EXPECT_EQ(confidence(two(0.1, 0.2), with(kOnline, [](auto& in) { in.offline = true; })), 0.2);
  EXPECT_EQ(confidence(two(0.1, 0.2), with(kOnline, [](auto& in) { in.pinned = "q4"; })), 0.1);
  EXPECT_EQ(confidence(two(0.9, 0.9), with(kOnline, [](auto& in) { in.has_prediction = false; })),
            0.0);
  EXPECT_EQ(confidence(two(0.9, 0.9), with(kOnline,
                                           [](auto& in) {
                                             in.has_prediction = false;
                                             in.pinned = "remote";
                                           })),
            0.0);
}

TEST(Policy, LongPrompts) {
  const auto decided = [](int64_t n_tokens, std::vector<int64_t> contexts, auto change) {
    std::vector<Candidate> locals = two(0.9, 0.95);
    for (size_t i = 0; i < locals.size(); ++i) locals[i].n_context = contexts[i];
    PolicyInput input = kOnline;
    input.locals = locals;
    input.n_tokens_needed = n_tokens;
    change(input);
    return decision(input);
  };
  const auto same = [](PolicyInput&) {};
  const auto offline = [](PolicyInput& in) { in.offline = true; };
  EXPECT_EQ(decided(512, {512, 512}, same), "local q4 confident");
  EXPECT_EQ(decided(513, {512, 4096}, same), "local q8 confident");
  EXPECT_EQ(decided(513, {4096, 512}, same), "local q4 confident");
  EXPECT_EQ(decided(513, {0, 512}, same), "local q4 confident") << "0 is no limit";
  EXPECT_EQ(decided(513, {512, 512}, same), "remote - context");
  EXPECT_EQ(decided(513, {512, 512}, [](auto& in) { in.has_prediction = false; }),
            "remote - context");
  EXPECT_EQ(decided(513, {512, 512}, [](auto& in) { in.remote_reachable = false; }),
            "remote - context");
  EXPECT_EQ(decided(513, {512, 512}, offline), "context_full");
  EXPECT_EQ(decided(513, {512, 512}, [](auto& in) { in.remote_configured = false; }),
            "context_full");
  EXPECT_EQ(decided(513, {512, 4096}, [](auto& in) { in.pinned = "q4"; }), "context_full");
  EXPECT_EQ(decided(513, {512, 512}, [](auto& in) { in.pinned = "local"; }), "context_full");
  EXPECT_EQ(decided(513, {512, 4096}, [](auto& in) { in.pinned = "local"; }), "local q8 pinned");
  // Hard, offline, and the best one is too short: the best of those that fit.
  EXPECT_EQ(decided(513, {4096, 512},
                    [&](auto& in) {
                      in.offline = true;
                      in.threshold = 0.99;
                    }),
            "local q4 offline degraded");
}

TEST(Policy, MessagesSayWhatIsThere) {
  const std::vector<Candidate> locals = two(0.5, 0.5);
  PolicyInput input = kOnline;
  input.locals = locals;
  input.pinned = "q2";
  EXPECT_THAT(decide(input).error().message, HasSubstr("no variant 'q2'; there are: q4, q8"));
  input.pinned = "remote";
  input.offline = true;
  EXPECT_THAT(decide(input).error().message, HasSubstr("offline = yes"));
  input.pinned.reset();
  input.locals = {};
  EXPECT_THAT(decide(input).error().message, HasSubstr("no local variant, and offline = yes"));
}

// All combinations of the inputs; each statement of policy.h as a property.
TEST(Policy, EveryCombinationKeepsTheRules) {
  const std::vector<std::vector<Candidate>> sets = {
      {}, two(0.9, 0.95), two(0.5, 0.8), two(0.2, 0.4)};
  const std::vector<std::optional<std::string>> pins = {std::nullopt, "local", "remote",
                                                        "q4",         "q8",    "zebra"};
  int n_seen = 0;
  for (const auto& locals : sets) {
    for (const auto& pinned : pins) {
      for (int bits = 0; bits < 32; ++bits) {
        PolicyInput input;
        input.locals = locals;
        input.pinned = pinned;
        input.has_prediction = bits & 1;
        input.remote_configured = bits & 2;
        input.offline = bits & 4;
        input.remote_reachable = bits & 8;
        input.threshold = bits & 16 ? 0.7 : 0.45;
        input.remote_success = 0.97;
        const bool usable = input.remote_configured && !input.offline && input.remote_reachable;
        const auto route = decide(input);
        ++n_seen;
        SCOPED_TRACE(fmt::format("{} locals, pin {}, bits {}", locals.size(),
                                 pinned.value_or("none"), bits));
        if (!route.has_value()) {
          // An error needs a pin that cannot be obeyed, or nothing to answer with.
          const bool no_way = locals.empty() && (!input.remote_configured || input.offline);
          EXPECT_TRUE(pinned.has_value() || no_way);
          continue;
        }
        if (route->place == Place::kRemote) {
          EXPECT_TRUE(input.remote_configured);
          EXPECT_FALSE(input.offline) << "offline means that nothing leaves";
          EXPECT_FALSE(route->degraded);
          if (!input.remote_reachable) {
            EXPECT_TRUE(locals.empty() || pinned == "remote") << "a dead remote needs a reason";
          }
          EXPECT_EQ(route->variant, locals.empty() ? "" : "q8") << "the fall-back is the best";
        } else {
          EXPECT_TRUE(route->variant == "q4" || route->variant == "q8");
        }
        EXPECT_EQ(route->reason == RouteReason::kPinned, pinned.has_value());
        if (route->degraded) {
          EXPECT_FALSE(usable);
          EXPECT_EQ(route->variant, "q8");
          EXPECT_TRUE(input.has_prediction);
        }
        if (route->reason == RouteReason::kConfident) {
          EXPECT_GE(route->confidence, input.threshold);
        }
        if (pinned == "remote") {
          EXPECT_EQ(route->place, Place::kRemote);
        }
        if (pinned == "local" || pinned == "q4" || pinned == "q8") {
          EXPECT_EQ(route->place, Place::kLocal);
        }
      }
    }
  }
  EXPECT_EQ(n_seen, 4 * 6 * 32);
}

// --- candidates_for

std::vector<std::string> shown(const std::vector<Candidate>& candidates) {
  std::vector<std::string> texts;
  for (const Candidate& candidate : candidates) {
    texts.push_back(fmt::format("{} {:.2f}", candidate.id, candidate.success));
  }
  return texts;
}

const std::vector<std::string> kTwoTiers = {"small", "full"};
const std::vector<std::string> kThreeTiers = {"small", "mid", "full"};

TEST(CandidatesFor, AsManyVariantsAsLocalTiers) {
  const std::vector<VariantCost> variants = {{"q8", 2.0}, {"q4", 1.0}};
  EXPECT_THAT(shown(candidates_for(kThreeTiers, {{0.3f, 0.6f, 0.9f}}, variants)),
              ElementsAre("q4 0.30", "q8 0.60"));
}

TEST(CandidatesFor, MoreVariantsThanTiers) {
  const std::vector<VariantCost> variants = {{"a", 1}, {"b", 2}, {"c", 3}, {"d", 4}, {"e", 5}};
  EXPECT_THAT(shown(candidates_for(kThreeTiers, {{0.3f, 0.6f, 0.9f}}, variants)),
              ElementsAre("a 0.30", "b 0.30", "c 0.30", "d 0.60", "e 0.60"));
  EXPECT_THAT(shown(candidates_for(kTwoTiers, {{0.3f, 0.9f}}, variants)),
              ElementsAre("a 0.30", "b 0.30", "c 0.30", "d 0.30", "e 0.30"));
}

TEST(CandidatesFor, FewerVariantsThanTiersTakeTheCautiousSide) {
  const std::vector<std::string> tiers = {"a", "b", "c", "d", "full"};
  const std::vector<VariantCost> variants = {{"q4", 1}, {"q8", 2}};
  EXPECT_THAT(shown(candidates_for(tiers, {{0.1f, 0.2f, 0.3f, 0.4f, 0.9f}}, variants)),
              ElementsAre("q4 0.10", "q8 0.30"));
}

TEST(CandidatesFor, ADearerVariantIsNeverPredictedWorse) {
  const std::vector<VariantCost> variants = {{"q4", 1}, {"q8", 2}};
  EXPECT_THAT(shown(candidates_for(kThreeTiers, {{0.8f, 0.5f, 0.9f}}, variants)),
              ElementsAre("q4 0.80", "q8 0.80"));
}

TEST(CandidatesFor, ANameDecides) {
  const std::vector<VariantCost> variants = {{"mid", 1}, {"q8", 2}, {"full", 3}};
  EXPECT_THAT(shown(candidates_for(kThreeTiers, {{0.3f, 0.6f, 0.9f}}, variants)),
              ElementsAre("mid 0.60", "q8 0.60", "full 0.90"));
}

TEST(CandidatesFor, NothingToGoBy) {
  const std::vector<VariantCost> variants = {{"q8", 2.0, 512}, {"q4", 1.0}, {"q5", 1.0}};
  const auto candidates = candidates_for({}, Prediction{}, variants);
  EXPECT_THAT(shown(candidates), ElementsAre("q4 0.00", "q5 0.00", "q8 0.00"));
  EXPECT_EQ(candidates[2].n_context, 512);
  EXPECT_TRUE(candidates_for(kTwoTiers, {{0.3f, 0.9f}}, {}).empty());
  EXPECT_EQ(full_model_success(Prediction{}), 0.0);
  EXPECT_FLOAT_EQ(static_cast<float>(full_model_success({{0.3f, 0.9f}})), 0.9f);
}

TEST(CandidatesFor, NeverFallsAsCostRises) {
  for (size_t n_tiers = 2; n_tiers <= 8; ++n_tiers) {
    for (size_t n_variants = 1; n_variants <= 12; ++n_variants) {
      std::vector<std::string> tiers;
      Prediction prediction;
      for (size_t t = 0; t < n_tiers; ++t) {
        tiers.push_back("tier" + std::to_string(t));
        prediction.success.push_back(static_cast<float>((t * 5) % 7) / 7.0f);
      }
      std::vector<VariantCost> variants;
      for (size_t v = 0; v < n_variants; ++v) {
        variants.push_back({"v" + std::to_string(v), static_cast<double>((v * 7) % 12), 0});
      }
      const auto candidates = candidates_for(tiers, prediction, variants);
      ASSERT_EQ(candidates.size(), n_variants);
      for (size_t i = 1; i < n_variants; ++i) {
        EXPECT_LE(candidates[i - 1].cost, candidates[i].cost);
        EXPECT_LE(candidates[i - 1].success, candidates[i].success);
      }
    }
  }
}

TEST(RouteReasons, EveryOneHasItsName) {
  std::vector<std::string> names;
  for (int i = 0; i <= static_cast<int>(RouteReason::kKeptHere); ++i) {
    names.emplace_back(route_reason_name(static_cast<RouteReason>(i)));
  }
  EXPECT_THAT(names, ElementsAre("confident", "not_confident", "pinned", "offline", "remote_down",
                                 "no_predictor", "context", "no_local", "doubted", "budget", "tools",
                                 "kept_here"));
}

std::vector<Candidate> three() {
  return {{"small", 1, 0.6, 0}, {"medium", 2, 0.7, 0}, {"large", 4, 0.85, 0}};
}

TEST(Policy, WithoutMoneyTheBestLocalOneAnswers) {
  const std::vector<Candidate> locals = three();
  PolicyInput input{.locals = locals,
                    .has_prediction = true,
                    .remote_success = 0.95,
                    .threshold = 0.9,
                    .remote_configured = true,
                    .may_spend = false};
  const Route route = decide(input).value();
  EXPECT_EQ(route.variant, "large");
  EXPECT_EQ(route.reason, RouteReason::kBudget);
  EXPECT_TRUE(route.degraded);
  input.pinned = "remote";
  EXPECT_THAT(decide(input).error().message, HasSubstr("budget"));
}

TEST(Policy, AGainBelowItsPriceIsNotBought) {
  const std::vector<Candidate> locals = three();
  PolicyInput input{.locals = locals,
                    .has_prediction = true,
                    .remote_success = 0.95,
                    .allowance = 0.01,
                    .worth_gain = 0.2,
                    .remote_configured = true};
  EXPECT_EQ(decide(input)->variant, "large");
  input.worth_gain = 0.3;  // nor is a worse variant asked for it
  EXPECT_EQ(decide(input)->variant, "large");
  input.worth_gain = 0.05;
  EXPECT_EQ(decide(input)->place, Place::kRemote);
}

TEST(Policy, CheaperThanTheLeastWillNotDo) {
  const std::vector<Candidate> locals = three();
  const PolicyInput input{.locals = locals,
                          .has_prediction = true,
                          .remote_success = 0.95,
                          .threshold = 0.5,
                          .least_cost = 2,
                          .remote_configured = true};
  EXPECT_EQ(decide(input)->variant, "medium");
}

}  // namespace
}  // namespace ac
