// A threshold with a guarantee: "at least 96.2 % of the full model's success, with 90 %
// confidence".
//
// Learn then Test (Angelopoulos et al. 2021, arXiv:2110.01052) over the allowance e of the gate:
// the variant v that is worth asking (variant_to_ask) answers where p_full - p_v <= e, else the full
// model does. For each e of a fixed
// list, strictest first, the hypothesis "it keeps less than the share r of the full model's
// success" is tested on held-out labels until one cannot be rejected; the last e that was rejected
// is taken, and the chance that any hypothesis was rejected wrongly is at most 1 - confidence,
// whatever the labels' distribution, as long as what comes later is drawn from the same one.
//
// A rule with a cascade (draft_gate.h) has more to give away once no allowance keeps a prompt from
// its variant any more: after the last allowance the list goes on with how much the cascade's drafts
// may lose. So success is spent first on what saves most, and on compute what is left of it.
//
// What is tested is the mean of  z = full - earned - (1 - r) full  <= 0  with full and earned in
// [0, 1]; the test is by betting (Waudby-Smith and Ramdas 2023, arXiv:2010.09686), valid for any
// number of labels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace ac {

// What a rule makes of one prompt.
struct RuleOutcome {
  double full = 0, earned = 0;  // success of the full model, and of what answered; in [0, 1]
  bool kept = false;            // it does not go to the full model
};

// Labels that the gate did not learn from, with what it predicted for them.
struct CalibrationTable {
  size_t n_tiers = 0;
  std::vector<float> predicted;  // [n_rows, n_tiers], the last tier is the full model
  std::vector<float> earned;     // [n_rows, n_tiers], in [0, 1]
  size_t n_rows() const { return n_tiers == 0 ? 0 : predicted.size() / n_tiers; }
  // Where `tier` answers.
  RuleOutcome outcome(size_t row, size_t tier) const {
    const float* const of_row = &earned[row * n_tiers];
    return {static_cast<double>(of_row[n_tiers - 1]), static_cast<double>(of_row[tier]),
            tier + 1 < n_tiers};
  }
};

// How much less likely to succeed a cheaper variant may be and still be asked. Every variant costs
// next to nothing beside the full model, so the allowance, which is spent to avoid that one, would
// be wasted on the difference between two of them.
inline constexpr double kNearlyAsGood = 0.02;

// Of variants with these chances of success, cheapest first, the one that is asked: the first that
// comes within kNearlyAsGood of the best. success.size() where none is a number.
template <class Number>
size_t variant_to_ask(std::span<const Number> success) {
  double best = -1;
  for (const Number chance : success) {
    if (static_cast<double>(chance) > best) best = static_cast<double>(chance);
  }
  const auto near = [best](Number chance) {
    return best >= 0 && static_cast<double>(chance) >= best - kNearlyAsGood;
  };
  return static_cast<size_t>(std::find_if(success.begin(), success.end(), near) -
                             success.begin());
}

// Of these tiers, cheapest first, the place of the one that would be asked if prompts said nothing:
// the cheapest that is nearly as good as the best on the labels. 0 without labels. REQUIRES: not
// empty, tiers < table.n_tiers.
size_t usual_tier(const CalibrationTable& table, std::span<const size_t> tiers);

// The tier of a row that answers at this allowance: n_tiers - 1 is the full model.
size_t accepted_tier(std::span<const float> predicted, double allowance);

// A setting of a rule: what it may give away, as a difference of success to the full model's.
struct Allowed {
  double allowance = 0;             // where a variant answers instead of the full model
  std::optional<double> cascade{};  // where a cheaper variant's draft does; none: no cascade
};
// The settings that are tried, strictest first.
std::span<const Allowed> tried_settings(bool cascade);

// The test of one setting. Rows are added in an order that has nothing to do with their labels.
class RetentionTest {
 public:
  // REQUIRES: 0 < retain <= 1, 0 < confidence < 1, n_rows that will be added > 0.
  RetentionTest(double retain, double confidence, size_t n_rows);
  void add(double full, double earned);
  // True once the rows so far rule out, with the confidence, that less than `retain` is kept.
  bool certain() const { return certain_; }

 private:
  double retain_, mean_, enough_, bet_scale_;
  double capital_ = 1;
  double sum_, squares_, n_;  // of what was seen, with a beginning that stands for nothing seen
  bool certain_ = false;
};

struct Guarantee {
  double retain = 0;
  double confidence = 0;
  std::optional<double> allowance;  // none: no allowance can be promised
  std::optional<double> cascade{};  // as in Allowed
  // On the labels, at the allowance; 0 and 1 where there is none.
  double kept = 0;      // share of rows that do not go to the full model
  double retained = 1;  // share of the full model's success
  size_t n_rows = 0;
};
Guarantee guarantee(const CalibrationTable& table, double retain, double confidence);

// The same for any rule, with the settings of tried_settings. Rows are taken in their order.
Guarantee guarantee_of_rule(
    size_t n_rows, double retain, double confidence, std::span<const Allowed> settings,
    const std::function<RuleOutcome(size_t row, const Allowed& allowed)>& outcome);

}  // namespace ac
