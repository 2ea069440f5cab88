// What the router learns from use, when somebody lets it.
#include <filesystem>

#include "tests/predictor/plain_gates.h"
#include "tests/route/router_fixture.h"

namespace ac {
namespace {

class Learn : public RouterTest {
 protected:
  void make_with(double audit_share, Parts which = kAll) {
    auto gates = std::make_shared<const Gates>(
        plain_gates({"q4", "q8", "f16", "full"}, {0, 0, 0, 3}));
    path_ = testing::TempDir() + "learn_test/learned.jsonl";
    std::filesystem::remove_all(testing::TempDir() + "learn_test");
    learner_ = UseLearner::open(gates, path_).value();
    // Success is the number in the prompt, whatever is learned.
    judge_.judge = [](std::string_view prompt, const RequestFacts&) {
      const float p = std::stof(std::string(prompt));
      Judgement judgement{.gate = GateKind::kNgram, .prediction = {{p, p, p, 0.95f}}};
      judgement.allowance = 0.2;
      return judgement;
    };
    RouterOptions options;
    options.audit_share = audit_share;
    make(which, options);
  }

  std::string path_;
};

TEST_F(Learn, WhatWasEscalatedIsAnsweredHereToo) {
  make_with(0);
  ASSERT_EQ(ask(kHard)->receipt.place, Place::kRemote);
  ASSERT_TRUE(router_->has_lessons());
  EXPECT_TRUE(router_->learn_one(nullptr).value());
  EXPECT_FALSE(router_->has_lessons());
  const auto rows = read_use_labels(path_);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].source, "escalated");
  EXPECT_EQ((*rows)[0].label.success, 1) << "they said the same";
  EXPECT_EQ(learner_->learning()->n_labels(), 1u);
  EXPECT_EQ(relayed_, kWhole) << "nobody sees what is learned";
  EXPECT_FALSE(router_->learn_one(nullptr).value());
}

TEST_F(Learn, ASharesOfLocalAnswersIsAudited) {
  make_with(1);
  world_.local_pieces = {"one", " two", " four"};
  ASSERT_EQ(ask(kEasy)->receipt.place, Place::kLocal);
  EXPECT_EQ(world_.n_questions, 0);
  EXPECT_TRUE(router_->learn_one(nullptr).value());
  EXPECT_EQ(world_.n_questions, 1);
  const auto rows = read_use_labels(path_);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].source, "audit");
  EXPECT_EQ((*rows)[0].label.tier, "q4");
  EXPECT_NEAR((*rows)[0].label.success, 2.0 / 3, 1e-6);
  make_with(0);
  ASSERT_TRUE(ask(kEasy));
  EXPECT_FALSE(router_->has_lessons());
}

TEST_F(Learn, WhatIsPinnedOrOfflineTeachesNothing) {
  make_with(1);
  ASSERT_TRUE(ask(kEasy, "q8"));
  ASSERT_TRUE(ask(kHard, "remote"));
  EXPECT_FALSE(router_->has_lessons());
  make_with(1, kNoRemote);
  ASSERT_TRUE(ask(kEasy));
  EXPECT_FALSE(router_->has_lessons());
}

TEST_F(Learn, ALessonThatWasStoppedComesAgain) {
  make_with(0);
  ASSERT_TRUE(ask(kHard));
  CancelFlag cancel;
  world_.on_generate = [&] { cancel.raise(); };
  world_.obeys_cancel = true;
  EXPECT_FALSE(router_->learn_one(&cancel).value());
  EXPECT_TRUE(router_->has_lessons());
  world_.on_generate = nullptr;
  cancel.clear();
  EXPECT_TRUE(router_->learn_one(&cancel).value());
}

TEST_F(Learn, ALessonThatFailsIsDropped) {
  make_with(0);
  ASSERT_TRUE(ask(kHard));
  world_.generate_error = Error{ErrorCode::kIo, "broken"};
  EXPECT_FALSE(router_->learn_one(nullptr));
  EXPECT_FALSE(router_->has_lessons());
}

TEST_F(Learn, AThumbCountsOnce) {
  make_with(0);
  EXPECT_FALSE(router_->judge_last(true));
  ASSERT_TRUE(ask(kEasy));
  EXPECT_TRUE(router_->judge_last(false));
  EXPECT_FALSE(router_->judge_last(false));
  const auto rows = read_use_labels(path_);
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ((*rows)[0].source, "thumb");
  EXPECT_EQ((*rows)[0].label.success, 0);
}

TEST_F(Learn, OpeningAgainLearnsTheSame) {
  make_with(0);
  for (const char* prompt : {"0.21", "0.22", "0.23"}) {
    ASSERT_TRUE(ask(prompt));
    ASSERT_TRUE(router_->learn_one(nullptr));
  }
  const std::vector<float> before = learner_->learning()->gate().parts().weights;
  NgramGate trained = learner_->learning()->gate();
  const auto rows = read_use_labels(path_);
  ASSERT_EQ(rows->size(), 3u);
  NgramGate::Parts parts = trained.parts();
  std::fill(parts.weights.begin(), parts.weights.end(), 0.0f);
  parts.bias = {0, 0, 0, 3};
  GateLearning again(NgramGate::create(std::move(parts)).value());
  for (const UseLabelRow& row : *rows) again.learn(row.label);
  EXPECT_EQ(again.gate().parts().weights, before);
}

TEST_F(Learn, WithoutALearnerThereIsNothingToDo) {
  make();
  ASSERT_TRUE(ask(kHard));
  EXPECT_FALSE(router_->has_lessons());
  EXPECT_FALSE(router_->judge_last(true));
}

}  // namespace
}  // namespace ac
