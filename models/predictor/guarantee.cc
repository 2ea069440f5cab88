#include "models/predictor/guarantee.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/core/check.h"

namespace ac {
namespace {

// From one that accepts next to nothing to one that accepts next to everything. Fixed: a list that
// depended on the labels would void the guarantee.
constexpr double kStrictest = -0.3, kStep = 0.005;
constexpr size_t kAllowances = 181;  // up to 0.6
constexpr double kCascadeStep = 0.01;
constexpr size_t kCascades = 10;  // up to 0.1: beyond, more drafts are thrown away than are saved

constexpr std::array<Allowed, kAllowances + kCascades> kSettings = [] {
  std::array<Allowed, kAllowances + kCascades> settings{};
  for (size_t i = 0; i < kAllowances; ++i) {
    settings[i].allowance = kStrictest + kStep * static_cast<double>(i);
  }
  for (size_t i = 0; i < kCascades; ++i) {
    settings[kAllowances + i] = {.allowance = settings[kAllowances - 1].allowance,
                                 .cascade = kCascadeStep * static_cast<double>(i + 1)};
  }
  return settings;
}();

// A bet that could lose everything on one row is not made.
constexpr double kLargestBet = 0.9;
// Before a row is seen the deviation is taken to be that of a gate that errs on one prompt in ten.
constexpr double kFirstVariance = 0.02, kFirstRows = 10;

}  // namespace

std::span<const Allowed> tried_settings(bool cascade) {
  return std::span(kSettings).first(cascade ? kSettings.size() : kAllowances);
}

size_t usual_tier(const CalibrationTable& table, std::span<const size_t> tiers) {
  std::vector<double> success;
  for (const size_t tier : tiers) {
    double sum = 0;
    for (size_t row = 0; row < table.n_rows(); ++row) sum += table.outcome(row, tier).earned;
    success.push_back(sum / static_cast<double>(std::max<size_t>(1, table.n_rows())));
  }
  return variant_to_ask(std::span<const double>(success));
}

size_t accepted_tier(std::span<const float> predicted, double allowance) {
  const size_t full = predicted.size() - 1;
  const size_t asked = variant_to_ask(predicted.first(full));
  if (asked == full) return full;
  return static_cast<double>(predicted[full] - predicted[asked]) <= allowance ? asked : full;
}

// z lies in [-1, retain]; x = (retain - z) / (1 + retain) in [0, 1] has mean retain / (1 + retain)
// where z has mean 0. The capital grows by 1 + bet * (x - mean) with each row, a bet being chosen
// from the rows before it; were the true mean smaller, it would grow on average with no bet, and
// would reach 1 / (1 - confidence) with at most the chance 1 - confidence (Ville).
RetentionTest::RetentionTest(double retain, double confidence, size_t n_rows)
    : retain_(retain),
      mean_(retain / (1 + retain)),
      enough_(1 / (1 - confidence)),
      bet_scale_(2 * std::log(enough_) / static_cast<double>(n_rows)),
      sum_(kFirstRows * mean_),
      squares_(kFirstRows * (mean_ * mean_ + kFirstVariance)),
      n_(kFirstRows) {
  AC_CHECK(retain > 0 && retain <= 1 && confidence > 0 && confidence < 1 && n_rows > 0);
}

void RetentionTest::add(double full, double earned) {
  const double z = full - earned - (1 - retain_) * full;
  const double x = (retain_ - z) / (1 + retain_);
  const double centre = sum_ / n_;
  const double variance = std::max(1e-6, squares_ / n_ - centre * centre);
  const double bet = std::min(kLargestBet / mean_, std::sqrt(bet_scale_ / variance));
  capital_ *= 1 + bet * (x - mean_);
  certain_ = certain_ || capital_ >= enough_;
  sum_ += x;
  squares_ += x * x;
  n_ += 1;
}

Guarantee guarantee_of_rule(
    size_t n_rows, double retain, double confidence, std::span<const Allowed> settings,
    const std::function<RuleOutcome(size_t row, const Allowed& allowed)>& outcome) {
  Guarantee out;
  out.retain = retain;
  out.confidence = confidence;
  out.n_rows = n_rows;
  if (n_rows == 0) return out;
  for (const Allowed& allowed : settings) {
    RetentionTest test(retain, confidence, n_rows);
    double all_earned = 0, all_full = 0;
    size_t n_kept = 0;
    for (size_t row = 0; row < n_rows; ++row) {
      const RuleOutcome of_row = outcome(row, allowed);
      test.add(of_row.full, of_row.earned);
      all_earned += of_row.earned;
      all_full += of_row.full;
      n_kept += of_row.kept ? 1 : 0;
    }
    if (!test.certain()) break;
    out.allowance = allowed.allowance;
    out.cascade = allowed.cascade;
    out.kept = static_cast<double>(n_kept) / static_cast<double>(n_rows);
    out.retained = all_full > 0 ? all_earned / all_full : 1;
  }
  return out;
}

Guarantee guarantee(const CalibrationTable& table, double retain, double confidence) {
  const size_t n_tiers = table.n_tiers;
  return guarantee_of_rule(
      table.n_rows(), retain, confidence, tried_settings(false),
      [&](size_t row, const Allowed& allowed) -> RuleOutcome {
        const std::span<const float> predicted(&table.predicted[row * n_tiers], n_tiers);
        return table.outcome(row, accepted_tier(predicted, allowed.allowance));
      });
}

}  // namespace ac
