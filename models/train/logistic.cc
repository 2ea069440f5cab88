#include "models/train/logistic.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "runtime/core/check.h"

namespace ac {
namespace {

constexpr size_t kMemory = 8;  // pairs of steps and changes of gradient
constexpr int kMaxHalvings = 30;

double sigmoid(double z) { return 1 / (1 + std::exp(-z)); }

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// The loss at `at` [n_columns + 1], the bias last, and its gradient.
class Loss {
 public:
  Loss(const SparseRows& rows, std::span<const uint32_t> which, std::span<const float> labels,
       double penalty)
      : rows_(rows), which_(which), labels_(labels), penalty_(penalty) {}

  double at(std::span<const double> x, std::span<double> gradient) const {
    const size_t n = rows_.n_columns;
    const std::span<const double> weights = x.first(n);
    double loss = 0.5 * penalty_ * dot(weights, weights);
    for (size_t i = 0; i < n; ++i) gradient[i] = penalty_ * x[i];
    gradient[n] = 0;
    for (const uint32_t row : which_) {
      double z = x[n];
      for (size_t k = rows_.begin[row]; k < rows_.begin[row + 1]; ++k) {
        z += x[rows_.columns[k]] * static_cast<double>(rows_.values[k]);
      }
      const auto y = static_cast<double>(labels_[row]);
      loss += cross_entropy(z, y);
      const double slope = sigmoid(z) - y;
      gradient[n] += slope;
      for (size_t k = rows_.begin[row]; k < rows_.begin[row + 1]; ++k) {
        gradient[rows_.columns[k]] += slope * static_cast<double>(rows_.values[k]);
      }
    }
    return loss;
  }

 private:
  const SparseRows& rows_;
  std::span<const uint32_t> which_;
  std::span<const float> labels_;
  double penalty_;
};

struct Pair {
  std::vector<double> step, change;
  double curvature = 0;  // step . change, positive
};

// The two-loop recursion: an approximate inverse Hessian times the gradient, downhill.
std::vector<double> direction_of(const std::deque<Pair>& pairs, std::span<const double> gradient) {
  std::vector<double> direction(gradient.begin(), gradient.end());
  std::vector<double> shares(pairs.size());
  for (size_t i = pairs.size(); i-- > 0;) {
    shares[i] = dot(pairs[i].step, direction) / pairs[i].curvature;
    for (size_t j = 0; j < direction.size(); ++j) direction[j] -= shares[i] * pairs[i].change[j];
  }
  if (!pairs.empty()) {
    const Pair& last = pairs.back();
    const double scale = last.curvature / dot(last.change, last.change);
    for (double& value : direction) value *= scale;
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const double share = shares[i] - dot(pairs[i].change, direction) / pairs[i].curvature;
    for (size_t j = 0; j < direction.size(); ++j) direction[j] += share * pairs[i].step[j];
  }
  for (double& value : direction) value = -value;
  return direction;
}

}  // namespace

double cross_entropy(double z, double y) {
  return std::max(z, 0.0) - z * y + std::log1p(std::exp(-std::abs(z)));
}

double LogisticModel::logit(const SparseRows& rows, size_t row) const {
  double z = bias;
  for (size_t k = rows.begin[row]; k < rows.begin[row + 1]; ++k) {
    z += weights[rows.columns[k]] * static_cast<double>(rows.values[k]);
  }
  return z;
}

LogisticModel fit_logistic(const SparseRows& rows, std::span<const uint32_t> which,
                           std::span<const float> labels, const LogisticOptions& options,
                           const LogisticModel& start) {
  AC_CHECK(start.weights.empty() || start.weights.size() == rows.n_columns);
  const size_t n = rows.n_columns + 1;
  std::vector<double> x(n, 0), gradient(n), next(n), next_gradient(n);
  std::copy(start.weights.begin(), start.weights.end(), x.begin());
  x.back() = start.bias;
  const Loss loss(rows, which, labels, options.penalty);
  double value = loss.at(x, gradient);
  std::deque<Pair> pairs;
  for (int iteration = 0; iteration < options.max_iterations; ++iteration) {
    const std::vector<double> direction = direction_of(pairs, gradient);
    const double slope = dot(direction, gradient);
    if (!(slope < 0)) break;  // nothing left to gain
    // The first step has no scale yet: at most a length of one.
    double length = pairs.empty() ? 1 / std::max(1.0, std::sqrt(-slope)) : 1;
    double next_value = 0;
    int halvings = 0;
    for (; halvings < kMaxHalvings; ++halvings, length *= 0.5) {
      for (size_t i = 0; i < n; ++i) next[i] = x[i] + length * direction[i];
      next_value = loss.at(next, next_gradient);
      if (next_value <= value + 1e-4 * length * slope) break;
    }
    if (halvings == kMaxHalvings) break;
    Pair pair{.step = next, .change = next_gradient};
    for (size_t i = 0; i < n; ++i) pair.step[i] -= x[i];
    for (size_t i = 0; i < n; ++i) pair.change[i] -= gradient[i];
    pair.curvature = dot(pair.step, pair.change);
    if (pair.curvature > 0) pairs.push_back(std::move(pair));
    if (pairs.size() > kMemory) pairs.pop_front();
    const double gained = value - next_value;
    std::swap(x, next);
    std::swap(gradient, next_gradient);
    value = next_value;
    if (gained < options.tolerance * std::abs(value)) break;
  }
  LogisticModel model;
  model.bias = x.back();
  x.pop_back();
  model.weights = std::move(x);
  return model;
}

Calibration calibrate(std::span<const double> logits, std::span<const float> labels) {
  constexpr double kPull = 2.0, kMinScale = 0.05, kMost = 20.0;
  AC_CHECK(logits.size() == labels.size());
  double a = 1, b = 0;
  for (int step = 0; step < 30; ++step) {
    double g_a = kPull * (a - 1), g_b = kPull * b, h_aa = kPull, h_ab = 0, h_bb = kPull;
    for (size_t i = 0; i < logits.size(); ++i) {
      const double z = logits[i];
      const double p = sigmoid(a * z + b);
      const double error = p - static_cast<double>(labels[i]);
      const double slope = p * (1 - p);
      g_a += error * z;
      g_b += error;
      h_aa += slope * z * z;
      h_ab += slope * z;
      h_bb += slope;
    }
    const double det = h_aa * h_bb - h_ab * h_ab;  // positive: the pull makes the Hessian definite
    a -= (h_bb * g_a - h_ab * g_b) / det;
    b -= (h_aa * g_b - h_ab * g_a) / det;
    a = std::clamp(a, kMinScale, kMost);
    b = std::clamp(b, -kMost, kMost);
  }
  return {a, b};
}

}  // namespace ac
