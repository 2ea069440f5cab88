// Recovery by distillation: what was cut comes nearer to the base again, the better student is kept,
// errors are messages.
#include "models/compress/recover.h"

#include <gtest/gtest.h>

#include <cstring>

#include "models/compress/lora.h"
#include "models/compress/measure.h"
#include "models/compress/prune.h"
#include "tests/compress/stories.h"
#include "tests/support/random_model.h"

namespace ac {
namespace {

class RecoverStories : public test::StoriesTest {
 protected:
  static Quality quality(const Checkpoint& variant) {
    const auto measured = measure_quality(*bench().base(), variant, held_out());
    EXPECT_TRUE(measured) << measured.error().message;
    return *measured;
  }
  static std::shared_ptr<const Checkpoint> cut() {
    auto made = prune(bench().stage(bench().base()), {.ff_keep = 0.5, .unit = 2});
    EXPECT_TRUE(made) << made.error().message;
    return std::make_shared<const Checkpoint>(std::move(made->checkpoint));
  }
};

// By AdamW, which learns more than Muon where matrices are 64 wide.
TEST_F(RecoverStories, GivesBackHalfOfTheLostPerplexity) {
  const auto student = cut();
  const auto made = recover(bench().stage(student), {.muon = false,
                                                     .tokens = 160'000,
                                                     .tokens_per_step = 2048,
                                                     .learning_rate = 2e-3,
                                                     .look_every = 10});
  ASSERT_TRUE(made) << made.error().message;
  const Quality before = quality(*student), after = quality(made->checkpoint);
  RecordProperty("kl_before", std::to_string(before.kl_mean));
  RecordProperty("kl_after", std::to_string(after.kl_mean));
  RecordProperty("perplexity_base", std::to_string(before.base_perplexity));
  RecordProperty("perplexity_before", std::to_string(before.perplexity));
  RecordProperty("perplexity_after", std::to_string(after.perplexity));
  EXPECT_LT(after.kl_mean, 0.5 * before.kl_mean);
  EXPECT_LT(after.perplexity - after.base_perplexity,
            0.5 * (before.perplexity - before.base_perplexity));
  ASSERT_EQ(made->notes.size(), 1u);
  EXPECT_NE(made->notes[0].find("divergence"), std::string::npos);
}

TEST_F(RecoverStories, LoraMovesLessAndHelps) {
  const auto student = cut();
  const auto made = recover(bench().stage(student), {.mode = RecoverMode::kLora,
                                                     .tokens = 80'000,
                                                     .tokens_per_step = 2048,
                                                     .learning_rate = 4e-3,
                                                     .look_every = 10,
                                                     .rank = 4});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_LT(quality(made->checkpoint).kl_mean, 0.85 * quality(*student).kl_mean);
  // Vectors and the embedding are as they were.
  for (const char* name : {"token_embd.weight", "output_norm.weight", "blk.2.ffn_norm.weight"}) {
    const TensorView was = student->tensor(name).value(), is = made->checkpoint.tensor(name).value();
    ASSERT_EQ(was.size_bytes, is.size_bytes) << name;
    EXPECT_EQ(std::memcmp(was.data, is.data, is.size_bytes), 0) << name;
  }
}

// A student that is its base cannot become better: what comes back is what came in.
TEST_F(RecoverStories, KeepsTheBestStudent) {
  const auto made = recover(bench().stage(bench().base()),
                            {.tokens = 8192, .tokens_per_step = 2048, .look_every = 1});
  ASSERT_TRUE(made) << made.error().message;
  const TensorView was = bench().base()->tensor("blk.0.ffn_up.weight").value();
  const TensorView is = made->checkpoint.tensor("blk.0.ffn_up.weight").value();
  ASSERT_EQ(was.size_bytes, is.size_bytes);
  EXPECT_EQ(std::memcmp(was.data, is.data, is.size_bytes), 0);
}

TEST(Recover, EitherOptimizerHelps) {
  const auto base =
      std::make_shared<const Checkpoint>(test::random_model({.family = "llama", .n_layers = 2}));
  TokenWindows windows;
  for (uint64_t i = 0; i < 40; ++i) windows.add(test::random_tokens(32, 32, i));
  test::Workbench bench(base, windows);
  auto cut = prune(bench.stage(base), {.ff_keep = 0.5, .unit = 2});
  ASSERT_TRUE(cut) << cut.error().message;
  const auto student = std::make_shared<const Checkpoint>(std::move(cut->checkpoint));
  const auto divergence = [&](const Checkpoint& of) {
    const auto measured = measure_quality(*base, of, windows);
    EXPECT_TRUE(measured) << measured.error().message;
    return measured ? measured->kl_mean : 0.0;
  };
  const double before = divergence(*student);
  std::vector<double> after;
  for (const bool muon : {false, true}) {
    const auto made = recover(bench.stage(student), {.muon = muon,
                                                     .tokens = 10'000,
                                                     .tokens_per_step = 200,
                                                     .look_every = 10});
    ASSERT_TRUE(made) << made.error().message;
    after.push_back(divergence(made->checkpoint));
    EXPECT_LT(after.back(), 0.9 * before);
  }
  EXPECT_NE(after[0], after[1]) << "the one moves as the other";
}

TEST(Recover, TooLittleTextIsAnError) {
  const auto base =
      std::make_shared<const Checkpoint>(test::random_model({.family = "llama"}));
  TokenWindows windows;
  windows.add(test::random_tokens(90, 32, 1));
  test::Workbench bench(base, windows);
  const auto made = recover(bench.stage(base), {});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(made.error().message.find("1 windows"), std::string::npos) << made.error().message;
}

// The gradients of B and A by finite differences of a loss that is linear in W: the sum of g * W.
TEST(Lora, StepsDownTheGradientOfTheSum) {
  auto parameters = Parameters::create(test::random_model({.family = "llama"}));
  ASSERT_TRUE(parameters) << parameters.error().message;
  const std::vector<float> before((*parameters)->values().begin(), (*parameters)->values().end());
  auto lora = Lora::create(**parameters, 2, {.n_threads = 1, .adamw = {.weight_decay = 0}});
  ASSERT_TRUE(lora) << lora.error().message;
  const std::vector<float> g = [&] {
    Rng rng(5);
    std::vector<float> values((*parameters)->size());
    for (float& value : values) value = static_cast<float>(rng.normal());
    return values;
  }();
  const auto loss = [&] {
    double sum = 0;
    for (size_t i = 0; i < g.size(); ++i) {
      sum += static_cast<double>(g[i]) *
             static_cast<double>((*parameters)->values()[i] - before[i]);
    }
    return sum;
  };
  double last = 0;
  for (int i = 0; i < 5; ++i) {
    std::ranges::copy(g, (*parameters)->gradients().begin());
    (*lora)->step(**parameters, 1e-3f, 1.0f);
    EXPECT_LT(loss(), last);
    last = loss();
    EXPECT_EQ((*parameters)->gradients()[0], 0.0f);
  }
}

}  // namespace
}  // namespace ac
