// Learning from use: labels move one head, a little, and can be taken back by leaving them out.
#include "models/predictor/gate_learning.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/core/rng.h"

namespace ac {
namespace {

NgramGate gate_of(float small = 0, float full = 2) {
  NgramGate::Parts parts;
  parts.tiers = {"small", "full"};
  parts.weights.resize(kNgramBuckets * 2);
  parts.bias = {small, full};
  parts.seen.assign(kSeenBits / 32, 0);
  parts.calibration.n_tiers = 2;
  return NgramGate::create(std::move(parts)).value();
}

UseLabel label_of(std::string_view prompt, double success, double weight = 1) {
  NgramReader reader;
  return {.tier = "small", .success = success, .weight = weight,
          .features = reader.read(prompt).entries};
}

double success_of(const NgramGate& gate, std::string_view prompt, size_t tier = 0) {
  NgramReader reader;
  return static_cast<double>(gate.predict(reader.read(prompt)).success[tier]);
}

TEST(GateLearning, PromptsOfAKindAreLearned) {
  GateLearning learning(gate_of());
  Rng rng(4);
  const auto prompt_of = [&](bool easy) {
    return fmt::format("{} of sample {}", easy ? "list the parts" : "prove the bound",
                       rng.below(1000));
  };
  for (int i = 0; i < 300; ++i) {
    const bool easy = rng.uniform() < 0.5;
    EXPECT_TRUE(learning.learn(label_of(prompt_of(easy), easy ? 1 : 0)));
  }
  EXPECT_EQ(learning.n_labels(), 300u);
  EXPECT_GT(success_of(learning.gate(), prompt_of(true)), 0.75);
  EXPECT_LT(success_of(learning.gate(), prompt_of(false)), 0.25);
  // The other head is as it was.
  EXPECT_FLOAT_EQ(static_cast<float>(success_of(learning.gate(), prompt_of(true), 1)),
                  static_cast<float>(success_of(gate_of(), "anything", 1)));
}

TEST(GateLearning, OneLabelAloneMovesLittle) {
  GateLearning learning(gate_of());
  learning.learn(label_of("a question", 0, 1000));
  EXPECT_NEAR(success_of(learning.gate(), "a question"), 0.5, 0.1);
  EXPECT_LT(success_of(learning.gate(), "a question"), 0.5);
}

TEST(GateLearning, TheSameLabelsGiveTheSameBits) {
  GateLearning once(gate_of()), again(gate_of());
  for (GateLearning* learning : {&once, &again}) {
    for (int i = 0; i < 20; ++i) {
      learning->learn(label_of(fmt::format("prompt {}", i), i % 3 == 0 ? 1 : 0.25));
    }
  }
  EXPECT_EQ(once.gate().parts().weights, again.gate().parts().weights);
  EXPECT_EQ(once.gate().parts().bias, again.gate().parts().bias);
}

TEST(GateLearning, BadLabelsChangeNothing) {
  GateLearning learning(gate_of());
  UseLabel other = label_of("x", 1);
  other.tier = "medium";
  EXPECT_FALSE(learning.learn(other));
  EXPECT_FALSE(learning.learn(label_of("x", NAN)));
  EXPECT_FALSE(learning.learn(label_of("x", 2)));
  EXPECT_FALSE(learning.learn(label_of("x", 1, 0)));
  UseLabel wild = label_of("x", 1);
  wild.features[0].value = INFINITY;
  EXPECT_FALSE(learning.learn(wild));
  wild.features[0] = {kNgramBuckets, 1};
  EXPECT_FALSE(learning.learn(wild));
  EXPECT_EQ(learning.gate().parts().weights, gate_of().parts().weights);
  EXPECT_EQ(learning.n_labels(), 0u);
}

TEST(GateLearning, IdsTellGatesApart) {
  EXPECT_EQ(gate_id(gate_of()), gate_id(gate_of()));
  EXPECT_NE(gate_id(gate_of()), gate_id(gate_of(0, 2.5f)));
}

}  // namespace
}  // namespace ac
