// Several answers decoded together: the same tokens as alone, whoever joins when.
#include <gtest/gtest.h>

#include "runtime/engine/session.h"
#include "tests/engine/endless.h"
#include "tests/engine/plain_engine.h"

namespace ac {
namespace {

using test::endless;
using test::generate;
using test::plain_engine;
using test::prompt_of;
using test::tiny;

TEST(Session, ABatchAnswersAsOneByOne) {
  std::vector<std::vector<int32_t>> prompts;
  std::vector<GenerateOptions> options;
  for (uint64_t i = 0; i < 7; ++i) {
    prompts.push_back(prompt_of(3 + 9 * i % 31, i + 1));
    options.push_back(endless(static_cast<int32_t>(2 + 5 * i % 9)));
    if (i % 2 == 1) {
      options.back().sampler.temperature = 0.8f;
      options.back().sampler.seed = i;
    }
  }
  // Seven prompts on three slots: the rest wait; small chunks make prefill and decode share steps.
  auto engine = plain_engine({.n_slots = 3, .prefill_chunk = 8});
  const auto together = engine->generate_batch(prompts, options);
  ASSERT_TRUE(together.has_value()) << together.error().message;
  ASSERT_EQ(together->size(), prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    auto alone = plain_engine();
    const Generation expected = generate(*alone, prompts[i], options[i]);
    EXPECT_EQ((*together)[i].tokens, expected.tokens) << i;
    EXPECT_EQ((*together)[i].text, expected.text) << i;
    EXPECT_NEAR((*together)[i].mean_logprob, expected.mean_logprob, 1e-5) << i;
  }
}

TEST(Session, AnEmptyBatchIsNothing) {
  auto engine = plain_engine();
  const auto made = engine->generate_batch({}, {});
  ASSERT_TRUE(made.has_value());
  EXPECT_TRUE(made->empty());
}

// Who comes while others are answered gets a slot as soon as one is free, and the same answer as alone.
TEST(Session, QuestionsJoinThoseThatRun) {
  auto engine = plain_engine({.n_slots = 2, .prefill_chunk = 8});
  const std::vector<std::vector<int32_t>> prompts = {prompt_of(20, 1), prompt_of(5, 2),
                                                     prompt_of(9, 3), {}};
  std::vector<GenerateOptions> options = {endless(24), endless(6), endless(8), endless(4)};
  size_t n_of_first = 0, n_asked = 0;
  options[0].on_text = [&](std::string_view) {
    ++n_of_first;
    return true;
  };
  std::vector<Result<Generation>> made(prompts.size(), fail(ErrorCode::kIo, "never told"));
  std::vector<size_t> order;
  engine->serve([&]() -> std::optional<Asked> {
    // The others come once the first has said something.
    if (n_asked == prompts.size() || (n_asked > 0 && n_of_first < 3)) return std::nullopt;
    const size_t i = n_asked++;
    return Asked{prompts[i], &options[i], [&, i](Result<Generation> answer) {
                   made[i] = std::move(answer);
                   order.push_back(i);
                 }};
  });
  EXPECT_EQ(made[3].error().code, ErrorCode::kInvalidArgument) << "its own, and nobody else's";
  EXPECT_EQ(order.size(), 4u);
  EXPECT_EQ(order.front(), 1u) << "a short one overtakes the long one that it joined";
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(made[i]) << i;
    auto alone = plain_engine();
    GenerateOptions same = options[i];
    same.on_text = nullptr;
    EXPECT_EQ(made[i]->tokens, generate(*alone, prompts[i], same).tokens) << i;
  }
}

}  // namespace
}  // namespace ac
