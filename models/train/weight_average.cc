#include "models/train/weight_average.h"

#include <algorithm>

#include "runtime/core/check.h"

namespace ac {

void WeightAverage::add(std::span<const float> weights) {
  n_seen_ = std::min(n_seen_ + 1, n_steps_);
  values_.resize(weights.size());
  const auto share = static_cast<float>(1.0 / static_cast<double>(n_seen_));
  for (size_t i = 0; i < weights.size(); ++i) values_[i] += (weights[i] - values_[i]) * share;
}

void WeightAverage::go_on_from(std::span<const float> values, int64_t n_seen) {
  values_.assign(values.begin(), values.end());
  n_seen_ = std::min(n_seen, n_steps_);
}

void WeightAverage::swap(std::span<float> weights) {
  AC_CHECK(weights.size() == values_.size());
  std::ranges::swap_ranges(values_, weights);
}

}  // namespace ac
