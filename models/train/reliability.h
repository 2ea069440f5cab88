// The reliability diagram: how often what was predicted came true, bin by bin.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "models/predictor/guarantee.h"
#include "runtime/core/interval.h"

namespace ac {

struct ReliabilityBin {
  double predicted = 0;  // means of its rows
  double earned = 0;
  Interval interval;  // of earned: 95 %, Wilson's, as if every row were right or wrong
  size_t n = 0;
};
// Ten bins of equal width; empty ones are left out. As many predictions as successes, in [0, 1].
std::vector<ReliabilityBin> reliability_bins(std::span<const float> predicted,
                                             std::span<const float> earned);

struct TierReliability {
  std::string tier;
  double calibration_error = 0;  // routing_metrics.h
  std::vector<ReliabilityBin> bins;
};
// Of every tier, on rows that the gate did not learn from.
std::vector<TierReliability> reliability_of(const CalibrationTable& table,
                                            std::span<const std::string> tiers);

// A square for each tier; on the diagonal what is predicted comes true.
std::string reliability_svg(std::span<const TierReliability> tiers, std::string_view title);

}  // namespace ac
