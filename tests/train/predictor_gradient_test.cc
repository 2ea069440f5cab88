// Every parameter's gradient against central finite differences, in double.
#include "models/train/predictor_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/core/rng.h"

namespace ac {
namespace {

struct Case {
  int n_tiers;
  int n_tokens;
  int stride;  // 1: every parameter; the other shapes look at every seventh, to save time
};

class PredictorGradient : public ::testing::TestWithParam<Case> {};

std::vector<double> random_parameters(int n_tiers, Rng& rng) {
  std::vector<double> parameters(static_cast<size_t>(predictor::offsets_for(n_tiers).total));
  for (const predictor::ParameterBlock& block : predictor::parameter_blocks(n_tiers)) {
    const bool is_gain = block.kind == predictor::ParameterBlock::Kind::kGain;
    for (int i = 0; i < block.size(); ++i) {
      parameters[static_cast<size_t>(block.offset + i)] =
          0.5 * (2 * rng.uniform() - 1) + (is_gain ? 1.0 : 0.0);
    }
  }
  return parameters;
}

// A loss with a different slope for each logit, curved so that the slope depends on the forward
// pass.
double loss_of(const predictor::Tape<double>& tape, int n_tiers) {
  double loss = 0;
  for (int i = 0; i < n_tiers; ++i) {
    loss += (i + 1) * std::log1p(std::exp(tape.logits[i])) - 0.3 * tape.logits[i];
  }
  return loss;
}

TEST_P(PredictorGradient, MatchesFiniteDifferences) {
  const int n_tiers = GetParam().n_tiers;
  const int n_tokens = GetParam().n_tokens;
  const int stride = GetParam().stride;
  Rng rng(static_cast<uint64_t>(100 * n_tiers + n_tokens));
  std::vector<double> parameters = random_parameters(n_tiers, rng);
  PromptFeatures features;
  features.n_tokens = n_tokens;
  for (int t = 0; t < n_tokens; ++t) {
    // Few rows, so that one row serves several pieces and both halves of one piece.
    features.buckets[static_cast<size_t>(t)] =
        static_cast<uint16_t>(1 + rng.below(5) + 256 * (1 + rng.below(5)));
  }

  predictor::Tape<double> tape;
  predictor::forward(parameters.data(), n_tiers, features, tape);
  std::vector<double> d_logits(static_cast<size_t>(n_tiers));
  for (int i = 0; i < n_tiers; ++i) {
    d_logits[static_cast<size_t>(i)] = (i + 1) * predictor::sigmoid(tape.logits[i]) - 0.3;
  }
  std::vector<double> gradient(parameters.size(), 0.0);
  predictor::backward(parameters.data(), n_tiers, features, tape, d_logits.data(), gradient.data());

  // A central difference of step h errs by h^2 / 6 times the third derivative, and by the rounding
  // of the loss, 1e-16 / h. Squared ReLU's third derivative is zero but at its corner, where one
  // unit adds at most h times its slope. With h = 1e-5 all stay below 1e-6 for slopes of order one.
  const double h = 1e-5;
  double largest = 0;
  size_t n_nonzero = 0;
  const auto difference = [&](size_t i) {
    const double kept = parameters[i];
    parameters[i] = kept + h;
    predictor::forward(parameters.data(), n_tiers, features, tape);
    const double above = loss_of(tape, n_tiers);
    parameters[i] = kept - h;
    predictor::forward(parameters.data(), n_tiers, features, tape);
    const double below = loss_of(tape, n_tiers);
    parameters[i] = kept;
    return (above - below) / (2 * h);
  };
  for (const predictor::ParameterBlock& block : predictor::parameter_blocks(n_tiers)) {
    for (int j = 0; j < block.size(); j += stride) {
      const auto i = static_cast<size_t>(block.offset + j);
      const double expected = difference(i);
      ASSERT_NEAR(gradient[i], expected, 1e-6 * std::max(1.0, std::abs(expected)))
          << block.name << "[" << j << "]";
      largest = std::max(largest, std::abs(expected));
      if (expected != 0) ++n_nonzero;
    }
  }
  EXPECT_GT(largest, 0.1) << "a loss that nothing moves tests nothing";
  EXPECT_GT(n_nonzero,
            3000u / static_cast<size_t>(
                        stride));  // the rest are rows of the tables that the prompt does not touch
}

INSTANTIATE_TEST_SUITE_P(Shapes, PredictorGradient,
                         ::testing::Values(Case{2, 15, 1}, Case{3, 7, 7}, Case{2, 1, 7},
                                           Case{8, 4, 7}),
                         [](const auto& shape) {
                           return "tiers" + std::to_string(shape.param.n_tiers) + "tokens" +
                                  std::to_string(shape.param.n_tokens);
                         });

TEST(PredictorGradientOfNothing, AnEmptyPromptMovesRowZero) {
  Rng rng(5);
  const std::vector<double> parameters = random_parameters(2, rng);
  predictor::Tape<double> tape;
  predictor::forward(parameters.data(), 2, PromptFeatures{}, tape);
  const double d_logits[2] = {1, -1};
  std::vector<double> gradient(parameters.size(), 0.0);
  predictor::backward(parameters.data(), 2, PromptFeatures{}, tape, d_logits, gradient.data());
  for (int d = 0; d < predictor::kDModel; ++d) {
    // Both halves of bucket 0 are row 0; the place is counted once.
    EXPECT_DOUBLE_EQ(gradient[static_cast<size_t>(d)],
                     2 * gradient[static_cast<size_t>(predictor::offsets_for(2).position + d)]);
  }
}

}  // namespace
}  // namespace ac
