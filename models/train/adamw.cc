#include "models/train/adamw.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "runtime/core/check.h"

namespace ac {
namespace {

// What one chunk of work takes. The sum of squares of a gradient is one f32 sum for each kSumFloats,
// then doubles.
constexpr size_t kChunkFloats = size_t{1} << 15;
constexpr size_t kSumFloats = size_t{1} << 10;

std::vector<DecayRange> ranges_of(const std::vector<bool>& decays) {
  std::vector<DecayRange> ranges;
  for (size_t i = 0; i < decays.size(); ++i) {
    if (ranges.empty() || ranges.back().decays != decays[i]) {
      ranges.push_back({.begin = i, .end = i, .decays = decays[i]});
    }
    ++ranges.back().end;
  }
  return ranges;
}

}  // namespace

AdamW::AdamW(const AdamWOptions& options, const std::vector<bool>& decays)
    : AdamW(options, ranges_of(decays)) {}

AdamW::AdamW(const AdamWOptions& options, std::vector<DecayRange> ranges)
    : options_(options), ranges_(std::move(ranges)) {
  size_t end = 0;
  for (const DecayRange& range : ranges_) {
    AC_CHECK(range.begin == end && range.end >= end);
    end = range.end;
  }
  mean_.assign(end, 0.0f);
  square_.assign(end, 0.0f);
}

void AdamW::count_step() {
  ++n_steps_;
  beta1_power_ *= static_cast<double>(options_.beta1);
  beta2_power_ *= static_cast<double>(options_.beta2);
}

void AdamW::resume_at(int64_t n_steps) {
  n_steps_ = 0;
  beta1_power_ = beta2_power_ = 1;
  while (n_steps_ < n_steps) count_step();
}

void AdamW::step(std::span<float> parameters, std::span<const float> gradient,
                 float learning_rate) {
  AC_CHECK(parameters.size() == mean_.size() && gradient.size() == mean_.size());
  count_step();
  const auto mean_scale = static_cast<float>(1.0 / (1.0 - beta1_power_));
  const auto square_scale = static_cast<float>(1.0 / (1.0 - beta2_power_));
  for (const DecayRange& range : ranges_) {
    if (range.is_left_alone) continue;
    for (size_t i = range.begin; i < range.end; ++i) {
      const float g = gradient[i];
      mean_[i] += (1.0f - options_.beta1) * (g - mean_[i]);
      square_[i] += (1.0f - options_.beta2) * (g * g - square_[i]);
      const float step =
          mean_[i] * mean_scale / (std::sqrt(square_[i] * square_scale) + options_.epsilon);
      const float decay = range.decays ? options_.weight_decay * parameters[i] : 0.0f;
      parameters[i] -= learning_rate * (step + decay);
    }
  }
}

void AdamW::step(const cpu::Isa& isa, cpu::ThreadTeam& team, std::span<float> parameters,
                 std::span<float> gradient, float learning_rate, float gradient_scale) {
  AC_CHECK(parameters.size() == mean_.size() && gradient.size() == mean_.size());
  count_step();
  const size_t n = mean_.size();
  const auto run = [&](int32_t chunk, int32_t) {
    const size_t begin = static_cast<size_t>(chunk) * kChunkFloats;
    const size_t end = std::min(n, begin + kChunkFloats);
    auto range = std::ranges::upper_bound(ranges_, begin, {}, &DecayRange::end);
    for (size_t from = begin; from < end; ++range) {
      const size_t to = std::min(end, range->end);
      if (range->is_left_alone) {
        from = to;
        continue;
      }
      isa.train->adamw({.parameters = &parameters[from],
                        .gradient = &gradient[from],
                        .mean = &mean_[from],
                        .square = &square_[from],
                        .n = to - from,
                        .gradient_scale = gradient_scale,
                        .beta1 = options_.beta1,
                        .beta2 = options_.beta2,
                        .epsilon = options_.epsilon,
                        .mean_scale = static_cast<float>(1.0 / (1.0 - beta1_power_)),
                        .square_scale = static_cast<float>(1.0 / (1.0 - beta2_power_)),
                        .learning_rate = learning_rate,
                        .decay = range->decays ? options_.weight_decay : 0.0f});
      from = to;
    }
    std::memset(&gradient[begin], 0, (end - begin) * sizeof(float));
  };
  team.for_each_chunk(static_cast<int32_t>((n + kChunkFloats - 1) / kChunkFloats), run);
}

double gradient_length(const cpu::Isa& isa, cpu::ThreadTeam& team,
                       std::span<const float> gradient) {
  const size_t n_chunks = (gradient.size() + kChunkFloats - 1) / kChunkFloats;
  std::vector<double> sums(n_chunks, 0.0);
  team.for_each_chunk(static_cast<int32_t>(n_chunks), [&](int32_t chunk, int32_t) {
    const size_t begin = static_cast<size_t>(chunk) * kChunkFloats;
    const size_t end = std::min(gradient.size(), begin + kChunkFloats);
    double& sum = sums[static_cast<size_t>(chunk)];
    for (size_t i = begin; i < end; i += kSumFloats) {
      sum += static_cast<double>(isa.train->sum_of_squares(&gradient[i], std::min(kSumFloats, end - i)));
    }
  });
  double square = 0;
  for (const double sum : sums) square += sum;
  return std::sqrt(square);
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
