#include "models/train/adamw.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/core/check.h"

namespace ac {

AdamW::AdamW(const AdamWOptions& options, std::vector<bool> decays)
    : options_(options),
      decays_(std::move(decays)),
      mean_(decays_.size(), 0.0f),
      square_(decays_.size(), 0.0f) {}

void AdamW::step(std::span<float> parameters, std::span<const float> gradient,
                 float learning_rate) {
  AC_CHECK(parameters.size() == decays_.size() && gradient.size() == decays_.size());
  beta1_power_ *= static_cast<double>(options_.beta1);
  beta2_power_ *= static_cast<double>(options_.beta2);
  const auto mean_scale = static_cast<float>(1.0 / (1.0 - beta1_power_));
  const auto square_scale = static_cast<float>(1.0 / (1.0 - beta2_power_));
  for (size_t i = 0; i < parameters.size(); ++i) {
    const float g = gradient[i];
    mean_[i] += (1.0f - options_.beta1) * (g - mean_[i]);
    square_[i] += (1.0f - options_.beta2) * (g * g - square_[i]);
    const float step =
        mean_[i] * mean_scale / (std::sqrt(square_[i] * square_scale) + options_.epsilon);
    const float decay = decays_[i] ? options_.weight_decay * parameters[i] : 0.0f;
    parameters[i] -= learning_rate * (step + decay);
  }
}

float cosine_learning_rate(int64_t step, int64_t n_warm_up, int64_t n_steps, float peak,
                           float floor) {
  if (step < n_warm_up) {
    return peak * static_cast<float>(step + 1) / static_cast<float>(n_warm_up);
  }
  const double span = static_cast<double>(std::max<int64_t>(1, n_steps - n_warm_up));
  const double done = std::min(1.0, static_cast<double>(step - n_warm_up) / span);
  const double share = 0.5 * (1.0 + std::cos(std::numbers::pi * done));
  return floor + (peak - floor) * static_cast<float>(share);
}

double clip_gradient(std::span<float> gradient, double longest) {
  double square = 0;
  for (const float g : gradient) square += static_cast<double>(g) * static_cast<double>(g);
  const double length = std::sqrt(square);
  if (length > longest) {
    const auto scale = static_cast<float>(longest / length);
    for (float& g : gradient) g *= scale;
  }
  return length;
}

}  // namespace ac
