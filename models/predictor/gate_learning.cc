#include "models/predictor/gate_learning.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace ac {
namespace {

constexpr double kRate = 0.05;
// As if this much had been seen before: the first labels move little.
constexpr double kRateOffset = 1;
// One label alone never counts as more than this many.
constexpr double kMostWeight = 20;
constexpr float kMostValue = 1e3f;

}  // namespace

GateLearning::GateLearning(const NgramGate& trained)
    : gate_(trained), squares_((kNgramBuckets + 1) * trained.tiers().size(), 0.0f) {}

bool GateLearning::learn(const UseLabel& label) {
  const auto tiers = gate_.tiers();
  const auto found = std::find(tiers.begin(), tiers.end(), label.tier);
  const bool good_features = std::ranges::all_of(label.features, [](const auto& entry) {
    return entry.bucket < kNgramBuckets && std::fabs(entry.value) <= kMostValue;
  });
  if (found == tiers.end() || !good_features || !(label.success >= 0 && label.success <= 1) ||
      !(label.weight > 0)) {
    return false;
  }
  const auto tier = static_cast<size_t>(found - tiers.begin());
  const size_t n_tiers = tiers.size();
  NgramFeatures features;
  features.entries = label.features;
  const auto predicted = static_cast<double>(gate_.predict(features).success[tier]);
  const double error = (predicted - label.success) * std::min(label.weight, kMostWeight);
  const auto step_of = [&](size_t row, float value) {
    const double gradient = error * static_cast<double>(value);
    float& squares = squares_[row * n_tiers + tier];
    squares += static_cast<float>(gradient * gradient);
    return static_cast<float>(-kRate * gradient /
                              std::sqrt(kRateOffset + static_cast<double>(squares)));
  };
  steps_.clear();
  for (const NgramFeatures::Entry& entry : label.features) {
    steps_.push_back({entry.bucket, step_of(entry.bucket, entry.value)});
  }
  gate_.adjust(tier, steps_, step_of(kNgramBuckets, 1));
  ++n_labels_;
  return true;
}

std::string gate_id(const NgramGate& gate) {
  uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&hash](uint32_t word) { hash = (hash ^ word) * 0x100000001b3u; };
  for (const std::string& tier : gate.tiers()) {
    for (const char c : tier) add(static_cast<unsigned char>(c));
    add(0);
  }
  for (const auto* values : {&gate.parts().weights, &gate.parts().bias}) {
    for (const float value : *values) add(std::bit_cast<uint32_t>(value));
  }
  return fmt::format("{:016x}", hash);
}

}  // namespace ac
