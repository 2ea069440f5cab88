// The kernels of training against double loops, on every instruction set and odd lengths.
#include "cpu/kernels/train_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "tests/cpu/isa_fixture.h"

namespace ac::cpu {
namespace {

constexpr size_t kLengths[] = {1, 7, 16, 31, 64, 100, 257};
constexpr float kGuard = 12345.0f;

std::vector<float> normal(size_t n, uint64_t seed, double scale = 1) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(scale * rng.normal());
  return values;
}

double d(float value) { return static_cast<double>(value); }

double log_sum(const std::vector<double>& z) {
  double sum = 0;
  for (const double value : z) sum += std::exp(value);
  return std::log(sum);
}

class TrainKernelsTest : public IsaTest {
 protected:
  const TrainKernels& kernels() const { return *isa_->train; }
};

TEST_F(TrainKernelsTest, RmsNormGradient) {
  constexpr float kEpsilon = 1e-3f;
  for (const size_t n : kLengths) {
    for (const bool weighted : {false, true}) {
      for (const bool adds : {false, true}) {
        const size_t groups = 3;
        const auto x = normal(n * groups, 1), weight = normal(n, 2), dy = normal(n * groups, 3);
        auto dx = adds ? normal(n * groups, 4) : std::vector<float>(n * groups, kGuard);
        dx.push_back(kGuard);
        const auto before = dx;
        auto d_weight = normal(n, 5);
        const auto weight_before = d_weight;
        kernels().rms_norm_grad({.x = x.data(),
                                 .weight = weighted ? weight.data() : nullptr,
                                 .dy = dy.data(),
                                 .dx = dx.data(),
                                 .d_weight = weighted ? d_weight.data() : nullptr,
                                 .group = n,
                                 .n_groups = groups,
                                 .epsilon = kEpsilon,
                                 .adds = adds});
        std::vector<double> expected_weight(weight_before.begin(), weight_before.end());
        for (size_t g = 0; g < groups; ++g) {
          double square = 0, along = 0;
          for (size_t i = 0; i < n; ++i) square += d(x[g * n + i]) * d(x[g * n + i]);
          const double f = 1 / std::sqrt(square / static_cast<double>(n) + d(kEpsilon));
          const auto u = [&](size_t i) {
            return d(dy[g * n + i]) * (weighted ? d(weight[i]) : 1.0);
          };
          for (size_t i = 0; i < n; ++i) along += u(i) * d(x[g * n + i]) * f;
          for (size_t i = 0; i < n; ++i) {
            const double h = d(x[g * n + i]) * f;
            const double slope = f * (u(i) - h * along / static_cast<double>(n));
            const double base = adds ? d(before[g * n + i]) : 0;
            // n roundings in each of two sums, of terms near 1; f is up to 30 for one element.
            EXPECT_NEAR(d(dx[g * n + i]), base + slope,
                        static_cast<double>(n + 20) * 0x1p-23 * (1 + f * (2 + std::abs(along))));
            expected_weight[i] += d(dy[g * n + i]) * h;
          }
        }
        for (size_t i = 0; i < n; ++i) {
          EXPECT_NEAR(d(d_weight[i]), weighted ? expected_weight[i] : d(weight_before[i]),
                      weighted ? 64 * 0x1p-23 * (1 + std::abs(expected_weight[i])) : 0);
        }
        EXPECT_EQ(dx.back(), kGuard);
      }
    }
  }
}

// Slopes of the activations by differences of the double formula.
TEST_F(TrainKernelsTest, GatedGradients) {
  const auto silu = [](double x) { return x / (1 + std::exp(-x)); };
  const auto gelu = [](double x) {
    return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
  };
  for (const size_t n : kLengths) {
    const auto gate = normal(n, 6, 3), up = normal(n, 7), dy = normal(n, 8);
    for (const bool is_silu : {true, false}) {
      std::vector<float> d_gate(n + 1, kGuard), d_up(n + 1, kGuard);
      (is_silu ? kernels().gated_silu_grad : kernels().gated_gelu_tanh_grad)(
          gate.data(), up.data(), dy.data(), d_gate.data(), d_up.data(), n);
      for (size_t i = 0; i < n; ++i) {
        const auto f = [&](double x) { return is_silu ? silu(x) : gelu(x); };
        const double x = d(gate[i]), h = 1e-5;
        const double slope = (f(x + h) - f(x - h)) / (2 * h);
        EXPECT_NEAR(d(d_gate[i]), d(dy[i]) * d(up[i]) * slope,
                    4e-6 * (1 + std::abs(d(dy[i]) * d(up[i]))));
        EXPECT_NEAR(d(d_up[i]), d(dy[i]) * f(x), 2e-6 * (1 + std::abs(d(dy[i]) * f(x))));
      }
      EXPECT_EQ(d_gate.back(), kGuard);
      EXPECT_EQ(d_up.back(), kGuard);
    }
  }
}

TEST_F(TrainKernelsTest, SoftcapGradientDotAndSquares) {
  for (const size_t n : kLengths) {
    const auto y = normal(n, 9), start = normal(n, 10);
    auto dx = start;
    kernels().softcap_grad(y.data(), dx.data(), 4.0f, n);
    double dot = 0, squares = 0, magnitude = 0;
    for (size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(d(dx[i]), d(start[i]) * (1 - d(y[i]) * d(y[i]) / 16), 1e-6 * (1 + std::abs(d(start[i]))));
      dot += d(y[i]) * d(start[i]);
      magnitude += std::abs(d(y[i]) * d(start[i]));
      squares += d(y[i]) * d(y[i]);
    }
    const double unit = static_cast<double>(n + 4) * 0x1p-24;
    EXPECT_NEAR(d(kernels().dot(y.data(), start.data(), n)), dot, unit * magnitude);
    EXPECT_NEAR(d(kernels().sum_of_squares(y.data(), n)), squares, unit * squares);
  }
}

TEST_F(TrainKernelsTest, SoftmaxRowsAndTheirGradient) {
  constexpr float kScale = 0.7f;
  for (const float cap : {0.0f, 2.0f}) {
    for (const size_t n : kLengths) {
      for (const size_t begin : {size_t{0}, n / 3}) {
        const size_t end = n - n / 5;
        const auto raw = normal(n, 11, 2), dp = normal(n, 12);
        std::vector<double> bent;
        for (size_t i = begin; i < end; ++i) {
          const double s = d(raw[i]) * d(kScale);
          bent.push_back(cap > 0 ? d(cap) * std::tanh(s / d(cap)) : s);
        }
        const double expected_log = log_sum(bent);
        auto scores = raw;
        ScoreRow row{.scores = scores.data(), .begin = begin, .end = end, .n = n, .scale = kScale, .softcap = cap};
        const float log = kernels().softmax_row(row);
        EXPECT_NEAR(d(log), expected_log, 4e-6 * (1 + std::abs(expected_log)));
        double row_dot = 0;
        for (size_t i = 0; i < n; ++i) {
          const bool seen = i >= begin && i < end;
          const double p = seen ? std::exp(bent[i - begin] - expected_log) : 0;
          EXPECT_NEAR(d(scores[i]), p, seen ? 4e-6 * p + 1e-9 : 0) << i << " of " << n;
          row_dot += p * d(dp[i]);
        }
        auto again = raw, slopes = dp;
        row.scores = again.data();
        kernels().softmax_row_grad(row, log, slopes.data(), static_cast<float>(row_dot));
        for (size_t i = 0; i < n; ++i) {
          const bool seen = i >= begin && i < end;
          EXPECT_NEAR(d(again[i]), d(scores[i]), seen ? 1e-5 : 0);
          double slope = 0;
          if (seen) {
            const double b = bent[i - begin], p = std::exp(b - expected_log);
            slope = p * (d(dp[i]) - row_dot) * d(kScale) * (cap > 0 ? 1 - b * b / (d(cap) * d(cap)) : 1);
          }
          EXPECT_NEAR(d(slopes[i]), slope, seen ? 2e-5 : 0);
        }
      }
    }
  }
}

TEST_F(TrainKernelsTest, Losses) {
  for (const size_t n : kLengths) {
    const auto z = normal(n, 13, 3), teacher = normal(n, 14, 3);
    const std::vector<double> zd(z.begin(), z.end()), td(teacher.begin(), teacher.end());
    const double log_z = log_sum(zd), log_t = log_sum(td);
    const size_t target = n / 2;
    const float weight = 0.3f;
    // Logits up to 10: a few roundings of 10 * 2^-24 each, beside those of the sum.
    const double tolerance = (static_cast<double>(n) + 40) * 0x1p-23;
    EXPECT_NEAR(d(kernels().cross_entropy(z.data(), n, target)), log_z - zd[target], 10 * tolerance);
    auto slopes = z;
    EXPECT_NEAR(d(kernels().cross_entropy_row(slopes.data(), n, target, weight)), log_z - zd[target],
                10 * tolerance);
    for (size_t i = 0; i < n; ++i) {
      const double p = std::exp(zd[i] - log_z);
      EXPECT_NEAR(d(slopes[i]), d(weight) * (p - (i == target ? 1 : 0)), tolerance);
    }
    slopes = z;
    auto q = teacher;
    double divergence = 0;
    for (size_t i = 0; i < n; ++i) {
      divergence += std::exp(td[i] - log_t) * ((td[i] - log_t) - (zd[i] - log_z));
    }
    EXPECT_NEAR(d(kernels().divergence_row(slopes.data(), q.data(), n, weight)), divergence,
                10 * tolerance);
    for (size_t i = 0; i < n; ++i) {
      const double t = std::exp(td[i] - log_t);
      EXPECT_NEAR(d(q[i]), t, tolerance);
      EXPECT_NEAR(d(slopes[i]), d(weight) * (std::exp(zd[i] - log_z) - t), tolerance);
    }
  }
}

TEST_F(TrainKernelsTest, AdamW) {
  for (const size_t n : kLengths) {
    auto p = normal(n, 15), m = normal(n, 16, 0.1), v = normal(n, 17, 0.1);
    for (float& value : v) value = value * value;
    const auto g = normal(n, 18), p0 = p, m0 = m, v0 = v;
    kernels().adamw({.parameters = p.data(),
                     .gradient = g.data(),
                     .mean = m.data(),
                     .square = v.data(),
                     .n = n,
                     .gradient_scale = 0.5f,
                     .beta1 = 0.9f,
                     .beta2 = 0.95f,
                     .epsilon = 1e-8f,
                     .mean_scale = 1.5f,
                     .square_scale = 2.0f,
                     .learning_rate = 0.01f,
                     .decay = 0.1f});
    for (size_t i = 0; i < n; ++i) {
      const double gradient = 0.5 * d(g[i]);
      const double mean = d(m0[i]) + 0.1 * (gradient - d(m0[i]));
      const double square = d(v0[i]) + 0.05 * (gradient * gradient - d(v0[i]));
      EXPECT_NEAR(d(m[i]), mean, 1e-6);
      EXPECT_NEAR(d(v[i]), square, 1e-6);
      const double step = 1.5 * mean / (std::sqrt(2 * square) + 1e-8);
      EXPECT_NEAR(d(p[i]), d(p0[i]) - 0.01 * (step + 0.1 * d(p0[i])), 2e-6 * (1 + std::abs(step)));
    }
  }
}

}  // namespace
}  // namespace ac::cpu
