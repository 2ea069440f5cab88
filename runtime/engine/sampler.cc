#include "runtime/engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace ac {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

Status check_range(std::string_view name, double value, double min, double max) {
  if (value >= min && value <= max) return {};
  return fail(ErrorCode::kInvalidArgument, "{} is {}, expected {} to {}", name, value, min, max);
}

// Eight maxima beside each other: without them a compiler may not reorder the comparisons, and a
// vocabulary of 150,000 is walked one by one. What is not a number never wins.
float largest(std::span<const float> values) {
  std::array<float, 8> best;
  best.fill(kNever);
  size_t i = 0;
  for (; i + best.size() <= values.size(); i += best.size()) {
    for (size_t lane = 0; lane < best.size(); ++lane) {
      best[lane] = values[i + lane] > best[lane] ? values[i + lane] : best[lane];
    }
  }
  for (; i < values.size(); ++i) best[0] = values[i] > best[0] ? values[i] : best[0];
  return *std::max_element(best.begin(), best.end());
}

int32_t first_of(std::span<const float> values, float wanted) {
  const auto it = std::find(values.begin(), values.end(), wanted);
  return it == values.end() ? 0 : static_cast<int32_t>(it - values.begin());
}

// e^x for x <= 0 to 2e-7 relative, in operations that vectorise: 2^n from the exponent's bits times
// a polynomial (Taylor's of e^r, |r| <= ln2 / 2). Below -87 and for what is not a number: 0.
float fast_exp(float x) {
  const float bounded = x > -87.0f ? x : -87.0f;
  const float n = static_cast<float>(static_cast<int32_t>(bounded * 1.44269504f - 0.5f));
  const float r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const auto bits = static_cast<uint32_t>(static_cast<int32_t>(n) + 127) << 23;
  return x > -87.0f ? p * std::bit_cast<float>(bits) : 0.0f;
}

// log(sum(exp(values))).
double log_sum_exp(std::span<const float> values, float top) {
  if (top == kNever) return static_cast<double>(kNever);
  std::array<float, 8> sums{};
  double total = 0;
  size_t i = 0;
  while (i + sums.size() <= values.size()) {
    // Every few thousand values into a double, so that a large vocabulary loses no digits.
    const size_t end = std::min(values.size(), i + 4096);
    for (; i + sums.size() <= end; i += sums.size()) {
      for (size_t lane = 0; lane < sums.size(); ++lane)
        sums[lane] += fast_exp(values[i + lane] - top);
    }
    for (float& sum : sums) {
      total += static_cast<double>(sum);
      sum = 0;
    }
  }
  for (; i < values.size(); ++i) total += static_cast<double>(fast_exp(values[i] - top));
  return static_cast<double>(top) + std::log(total);
}

bool better(const std::pair<float, int32_t>& a, const std::pair<float, int32_t>& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

}  // namespace

Status check_sampler_options(const SamplerOptions& options) {
  const double largest_int = std::numeric_limits<int32_t>::max();
  AC_TRY_STATUS(check_range("temperature", static_cast<double>(options.temperature), 0, 100));
  AC_TRY_STATUS(check_range("top_k", options.top_k, 0, largest_int));
  AC_TRY_STATUS(check_range("top_p", static_cast<double>(options.top_p), 0, 1));
  AC_TRY_STATUS(check_range("min_p", static_cast<double>(options.min_p), 0, 1));
  AC_TRY_STATUS(
      check_range("repeat_penalty", static_cast<double>(options.repeat_penalty), 0.01, 100));
  AC_TRY_STATUS(
      check_range("presence_penalty", static_cast<double>(options.presence_penalty), -100, 100));
  AC_TRY_STATUS(
      check_range("frequency_penalty", static_cast<double>(options.frequency_penalty), -100, 100));
  AC_TRY_STATUS(check_range("penalty_window", options.penalty_window, 0, largest_int));
  for (const auto& [id, bias] : options.logit_bias) {
    AC_TRY_STATUS(check_range("a logit_bias token", id, 0, largest_int));
    if (std::isnan(bias) || bias == -kNever) {
      return fail(ErrorCode::kInvalidArgument, "logit_bias of token {} is {}, expected a number",
                  id, bias);
    }
  }
  return {};
}

Sampler::Sampler(SamplerOptions options) : options_(std::move(options)), rng_(options_.seed) {}

void Sampler::adjust(std::span<const int32_t> history) {
  const auto n_vocab = work_.size();
  for (const auto& [id, bias] : options_.logit_bias) {
    if (id >= 0 && static_cast<size_t>(id) < n_vocab) work_[static_cast<size_t>(id)] += bias;
  }
  const size_t window = std::min(history.size(), static_cast<size_t>(options_.penalty_window));
  recent_.assign(history.end() - static_cast<ptrdiff_t>(window), history.end());
  std::sort(recent_.begin(), recent_.end());
  for (size_t begin = 0; begin < recent_.size();) {
    size_t end = begin;
    while (end < recent_.size() && recent_[end] == recent_[begin]) ++end;
    const int32_t id = recent_[begin];
    const auto count = static_cast<float>(end - begin);
    begin = end;
    if (id < 0 || static_cast<size_t>(id) >= n_vocab) continue;
    float& logit = work_[static_cast<size_t>(id)];
    logit = logit > 0 ? logit / options_.repeat_penalty : logit * options_.repeat_penalty;
    logit -= options_.presence_penalty + count * options_.frequency_penalty;
  }
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const int32_t> history) {
  const bool penalises = options_.repeat_penalty != 1 || options_.presence_penalty != 0 ||
                         options_.frequency_penalty != 0;
  if (penalises || !options_.logit_bias.empty()) {
    work_.assign(logits.begin(), logits.end());
    adjust(penalises ? history : std::span<const int32_t>());
    logits = work_;
  }
  const float top = largest(logits);
  if (options_.temperature <= 0 || top == kNever || top == -kNever) return first_of(logits, top);
  return draw(logits, top);
}

int32_t Sampler::draw(std::span<const float> logits, float top) {
  // Weights relative to the best token; what cannot be told from zero takes no part.
  candidates_.clear();
  double total = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float weight = fast_exp((logits[i] - top) / options_.temperature);
    if (!(weight > 0) || weight < options_.min_p) continue;
    candidates_.emplace_back(weight, static_cast<int32_t>(i));
    total += static_cast<double>(weight);
  }
  const auto k = static_cast<size_t>(options_.top_k);
  if (k > 0 && k < candidates_.size()) {
    const auto middle = candidates_.begin() + static_cast<ptrdiff_t>(k);
    std::nth_element(candidates_.begin(), middle, candidates_.end(), better);
    candidates_.erase(middle, candidates_.end());
    total = 0;
    for (const auto& candidate : candidates_) total += static_cast<double>(candidate.first);
  }
  if (options_.top_p < 1) {
    // Tokens too light to matter even all together need not be sorted: their sum is below 1 -
    // top_p.
    const double p = static_cast<double>(options_.top_p);
    const double light = 0.5 * (1 - p) * total / static_cast<double>(candidates_.size());
    std::erase_if(candidates_, [&](const auto& c) { return static_cast<double>(c.first) < light; });
    std::sort(candidates_.begin(), candidates_.end(), better);
    double mass = 0;
    size_t n = 0;
    while (n < candidates_.size() && (n == 0 || mass < p * total)) {
      mass += static_cast<double>(candidates_[n++].first);
    }
    candidates_.resize(n);
    total = mass;
  } else {
    // One order for every machine.
    std::sort(candidates_.begin(), candidates_.end(),
              [](const auto& a, const auto& b) { return a.second < b.second; });
  }
  double left = rng_.uniform() * total;
  for (const auto& [weight, id] : candidates_) {
    left -= static_cast<double>(weight);
    if (left < 0) return id;
  }
  return candidates_.back().second;
}

float log_probability(std::span<const float> logits, int32_t token) {
  if (token < 0 || static_cast<size_t>(token) >= logits.size()) return kNever;
  const float logit = logits[static_cast<size_t>(token)];
  if (logit == kNever) return kNever;
  return static_cast<float>(static_cast<double>(logit) - log_sum_exp(logits, largest(logits)));
}

float entropy(std::span<const float> logits) {
  const double sum = log_sum_exp(logits, largest(logits));
  double total = 0;
  for (const float logit : logits) {
    const double log_p = static_cast<double>(logit) - sum;
    if (std::isfinite(log_p)) total -= std::exp(log_p) * log_p;
  }
  return static_cast<float>(total);
}

std::vector<std::pair<int32_t, float>> top_log_probabilities(std::span<const float> logits,
                                                             int32_t n) {
  std::vector<std::pair<float, int32_t>> order;
  order.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!std::isnan(logits[i])) order.emplace_back(logits[i], static_cast<int32_t>(i));
  }
  const size_t kept = std::min(order.size(), static_cast<size_t>(std::max(n, 0)));
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(kept), order.end(),
                    better);
  const double sum = log_sum_exp(logits, largest(logits));
  std::vector<std::pair<int32_t, float>> best;
  for (size_t i = 0; i < kept; ++i) {
    best.emplace_back(order[i].second,
                      static_cast<float>(static_cast<double>(order[i].first) - sum));
  }
  return best;
}

}  // namespace ac
