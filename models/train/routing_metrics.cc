#include "models/train/routing_metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "runtime/core/check.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

double sum_of(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value);
  return sum;
}

// Indices, highest score first.
std::vector<size_t> by_score(std::span<const float> scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [scores](size_t a, size_t b) { return scores[a] > scores[b]; });
  return order;
}

double share(size_t part, size_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

double retained_share(double earned, double strong_sum) {
  return strong_sum > 0 ? earned / strong_sum : 1.0;
}

double gain_of_weak(const Outcome& outcome, size_t i) {
  return static_cast<double>(outcome.weak[i]) - static_cast<double>(outcome.strong[i]);
}

// A rounding error of the sums must not decide whether a target is met.
bool reaches(double retained, double target) { return retained >= target - 1e-12; }

Interval middle_95(std::vector<double> values) {
  if (values.empty()) return {kNaN, kNaN};
  std::sort(values.begin(), values.end());
  const auto at = [&values](double quantile) {
    return values[static_cast<size_t>(quantile * static_cast<double>(values.size() - 1) + 0.5)];
  };
  return {at(0.025), at(0.975)};
}

}  // namespace

double mean_of(std::span<const float> values) {
  return values.empty() ? 0 : sum_of(values) / static_cast<double>(values.size());
}

Kept keep_at(std::span<const float> scores, const Outcome& outcome, double threshold) {
  Kept kept;
  kept.threshold = threshold;
  double earned = 0;
  size_t n_kept = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    const bool keeps = static_cast<double>(scores[i]) >= threshold;
    earned += static_cast<double>(keeps ? outcome.weak[i] : outcome.strong[i]);
    if (keeps) ++n_kept;
  }
  kept.cut = scores.empty() ? 0 : share(n_kept, scores.size());
  kept.retained = retained_share(earned, sum_of(outcome.strong));
  return kept;
}

Kept largest_cut(std::span<const float> scores, const Outcome& outcome, double target) {
  AC_CHECK(scores.size() == outcome.size() && outcome.weak.size() == outcome.strong.size());
  const double strong_sum = sum_of(outcome.strong);
  const std::vector<size_t> order = by_score(scores);
  Kept best;
  best.threshold = std::numeric_limits<double>::infinity();
  best.retained = 1;
  double earned = strong_sum;
  for (size_t i = 0; i < order.size(); ++i) {
    earned += gain_of_weak(outcome, order[i]);
    const float score = scores[order[i]];
    if (i + 1 < order.size() && scores[order[i + 1]] == score) continue;
    const double retained = retained_share(earned, strong_sum);
    if (reaches(retained, target)) {
      best = {static_cast<double>(score), share(i + 1, order.size()), retained};
    }
  }
  return best;
}

double random_cut(const Outcome& outcome, double target) {
  const double weak = mean_of(outcome.weak);
  const double strong = mean_of(outcome.strong);
  if (weak >= strong * target) return 1;
  return std::clamp((1 - target) * strong / (strong - weak), 0.0, 1.0);
}

double oracle_cut(const Outcome& outcome, double target) {
  std::vector<float> gain(outcome.size());
  for (size_t i = 0; i < gain.size(); ++i) gain[i] = outcome.weak[i] - outcome.strong[i];
  // The oracle may part equal gains, so it is not bound to thresholds.
  std::sort(gain.begin(), gain.end(), std::greater<>());
  const double strong_sum = sum_of(outcome.strong);
  double earned = strong_sum;
  size_t n_kept = 0;
  for (size_t i = 0; i < gain.size(); ++i) {
    earned += static_cast<double>(gain[i]);
    if (reaches(retained_share(earned, strong_sum), target)) n_kept = i + 1;
  }
  return gain.empty() ? 0 : share(n_kept, gain.size());
}

namespace {

constexpr size_t kSteps = 10;

// The share of the gap between both models that is recovered when the strong one takes the lowest
// scores: at k / kSteps of the prompts, k = 0 .. kSteps. Empty where there is no gap.
std::vector<double> recovered_curve(std::span<const float> scores, const Outcome& outcome) {
  AC_CHECK(scores.size() == outcome.size());
  const double weak = sum_of(outcome.weak);
  const double gap = sum_of(outcome.strong) - weak;
  if (gap == 0 || scores.empty()) return {};
  // earned[k]: the strong model takes the k lowest scores. Equal scores share what they gain, so
  // that their order in the file does not matter.
  const std::vector<size_t> order = by_score(scores);
  const size_t n = order.size();
  std::vector<double> earned(n + 1);
  earned[0] = weak;
  for (size_t from = 0; from < n;) {
    size_t to = from;
    double gain = 0;
    const float score = scores[order[n - 1 - from]];
    while (to < n && scores[order[n - 1 - to]] == score) {
      gain -= gain_of_weak(outcome, order[n - 1 - to]);
      ++to;
    }
    for (size_t k = from; k < to; ++k) {
      earned[k + 1] = earned[from] + gain * share(k + 1 - from, to - from);
    }
    from = to;
  }
  std::vector<double> curve;
  for (size_t step = 0; step <= kSteps; ++step) {
    const double at = static_cast<double>(step) / kSteps * static_cast<double>(n);
    const auto k = std::min(static_cast<size_t>(at), n - 1);
    const double between = at - static_cast<double>(k);
    curve.push_back((earned[k] + between * (earned[k + 1] - earned[k]) - weak) / gap);
  }
  return curve;
}

}  // namespace

double apgr(std::span<const float> scores, const Outcome& outcome) {
  const std::vector<double> curve = recovered_curve(scores, outcome);
  if (curve.empty()) return kNaN;
  double area = 0;
  for (size_t step = 0; step < kSteps; ++step) area += 0.5 * (curve[step] + curve[step + 1]) / kSteps;
  return area;
}

double call_share(std::span<const float> scores, const Outcome& outcome, double recovered) {
  const std::vector<double> curve = recovered_curve(scores, outcome);
  for (size_t step = 0; step < curve.size(); ++step) {
    if (curve[step] < recovered) continue;
    if (step == 0) return 0;
    const double between = (recovered - curve[step - 1]) / (curve[step] - curve[step - 1]);
    return (static_cast<double>(step - 1) + between) / kSteps;
  }
  return kNaN;
}

double area_under_roc(std::span<const float> predicted, std::span<const float> label) {
  const std::vector<size_t> order = by_score(predicted);
  double above = 0;  // positives with a higher score
  double area = 0;
  size_t n_positive = 0;
  for (size_t from = 0; from < order.size();) {
    size_t to = from, tied_positive = 0;
    while (to < order.size() && predicted[order[to]] == predicted[order[from]]) {
      if (label[order[to]] >= 0.5f) ++tied_positive;
      ++to;
    }
    const auto tied_negative = static_cast<double>(to - from - tied_positive);
    area += tied_negative * (above + 0.5 * static_cast<double>(tied_positive));
    above += static_cast<double>(tied_positive);
    n_positive += tied_positive;
    from = to;
  }
  const size_t n_negative = order.size() - n_positive;
  if (n_positive == 0 || n_negative == 0) return kNaN;
  return area / (static_cast<double>(n_positive) * static_cast<double>(n_negative));
}

double calibration_error(std::span<const float> predicted, std::span<const float> label) {
  constexpr size_t kBins = 10;
  std::array<double, kBins> difference{};
  for (size_t i = 0; i < predicted.size(); ++i) {
    const auto p = static_cast<double>(predicted[i]);
    const auto bin = std::min(kBins - 1, static_cast<size_t>(std::max(0.0, p) * kBins));
    difference[bin] += p - static_cast<double>(label[i]);
  }
  double sum = 0;
  for (const double of_bin : difference) sum += std::abs(of_bin);
  return predicted.empty() ? 0 : sum / static_cast<double>(predicted.size());
}

double brier_score(std::span<const float> predicted, std::span<const float> label) {
  double sum = 0;
  for (size_t i = 0; i < predicted.size(); ++i) {
    const double error = static_cast<double>(predicted[i]) - static_cast<double>(label[i]);
    sum += error * error;
  }
  return predicted.empty() ? 0 : sum / static_cast<double>(predicted.size());
}

BootstrapIntervals bootstrap_intervals(std::span<const float> scores, const Outcome& outcome,
                                       double target, int n_resamples, uint64_t seed) {
  Rng rng(seed);
  const size_t n = scores.size();
  std::vector<float> score(n), weak(n), strong(n);
  std::vector<double> areas, cuts;
  for (int b = 0; b < n_resamples && n > 0; ++b) {
    for (size_t i = 0; i < n; ++i) {
      const auto pick = static_cast<size_t>(rng.below(n));
      score[i] = scores[pick];
      weak[i] = outcome.weak[pick];
      strong[i] = outcome.strong[pick];
    }
    const Outcome resampled{weak, strong};
    const double area = apgr(score, resampled);
    if (!std::isnan(area)) areas.push_back(area);
    cuts.push_back(largest_cut(score, resampled, target).cut);
  }
  return {middle_95(std::move(areas)), middle_95(std::move(cuts))};
}

}  // namespace ac
