// What a judge makes of a gate: the rule, the promise, and less where a prompt is like none before.
#include "runtime/route/judge.h"

#include <gtest/gtest.h>

#include "models/predictor/network.h"

namespace ac {
namespace {

std::shared_ptr<const Gates> gates_that_say(float weak_bias, float full_bias, size_t n_labels) {
  Predictor::Parts paper;
  paper.tiers = {"small", "full"};
  paper.parameters.resize(static_cast<size_t>(predictor::offsets_for(2).total));
  paper.scale = {1, 1};
  paper.shift = {0, 0};
  NgramGate::Parts parts;
  parts.tiers = paper.tiers;
  parts.weights.resize(kNgramBuckets * 2);
  parts.bias = {weak_bias, full_bias};
  parts.seen.assign(kSeenBits / 32, 0);
  NgramReader reader;
  mark_seen(reader.read("known words only here"), parts.seen);
  parts.usual_novelty = 0.5f;
  parts.calibration.n_tiers = 2;
  for (size_t i = 0; i < n_labels; ++i) {
    parts.calibration.predicted.insert(parts.calibration.predicted.end(), {0.9f, 0.9f});
    parts.calibration.earned.insert(parts.calibration.earned.end(), {1.0f, 1.0f});
  }
  return std::make_shared<const Gates>(Gates{Predictor::create(std::move(paper)).value(),
                                             NgramGate::create(std::move(parts)).value()});
}

TEST(Judge, WithoutGatesSaysNothing) {
  const JudgeMade made = make_judge(nullptr, {});
  EXPECT_FALSE(made.judge.judge);
  EXPECT_FALSE(made.promised);
}

TEST(Judge, ThePapersRuleIsAThreshold) {
  const JudgeMade made = make_judge(gates_that_say(0, 0, 100), {.paper = true});
  const Judgement judgement = made.judge.judge("known words", {});
  EXPECT_EQ(judgement.gate, GateKind::kPaper);
  EXPECT_FALSE(judgement.allowance);
  EXPECT_FALSE(made.promised);
}

TEST(Judge, APromiseIsAnAllowance) {
  const JudgeMade made = make_judge(gates_that_say(1, 2, 4000), {.target_success = 0.95});
  ASSERT_TRUE(made.promised && made.promised->allowance);
  const Judgement judgement = made.judge.judge("known words only here", {});
  EXPECT_EQ(judgement.gate, GateKind::kNgram);
  EXPECT_EQ(judgement.novelty, 0);
  EXPECT_FALSE(judgement.is_novel);
  EXPECT_EQ(judgement.allowance, made.promised->allowance);
  EXPECT_LT(judgement.prediction.success[0], judgement.prediction.success[1]);
}

TEST(Judge, WhereNothingCanBePromisedNothingWillDo) {
  const JudgeMade made = make_judge(gates_that_say(1, 1, 5), {});
  ASSERT_TRUE(made.promised);
  EXPECT_FALSE(made.promised->allowance);
  const std::vector<Candidate> locals = {{"small", 1, 0.99, 0}};
  const Route route = decide({.locals = locals,
                              .has_prediction = true,
                              .remote_success = 0.99,
                              .allowance = made.judge.judge("known words", {}).allowance,
                              .remote_configured = true})
                          .value();
  EXPECT_EQ(route.place, Place::kRemote);
}

TEST(Judge, LessIsAllowedOnUnknownGround) {
  const JudgeMade made = make_judge(gates_that_say(1, 2, 4000), {.target_success = 0.95});
  const Judgement judgement = made.judge.judge("something else entirely", {});
  EXPECT_TRUE(judgement.is_novel);
  EXPECT_EQ(judgement.novelty, 1);
  EXPECT_NEAR(*judgement.allowance, *made.promised->allowance - 0.5, 1e-9);
}

std::shared_ptr<const Gates> gates_with_drafts(size_t n_labels) {
  Gates gates = *gates_that_say(1, 1, n_labels);
  DraftGate::Parts parts;
  parts.variants = {"small"};
  parts.seconds = {"small"};
  for (int s = 0; s < kDraftStages; ++s) {
    const size_t n = draft_features_count(static_cast<DraftStage>(s), 0) + 1;
    parts.stages.push_back({std::vector<float>(n), std::vector<float>(n)});
  }
  parts.gains.resize(n_labels * kDraftStages);
  gates.draft = DraftGate::create(std::move(parts)).value();
  return std::make_shared<const Gates>(std::move(gates));
}

TEST(Judge, DraftsAreHeldToTheirOwnAllowance) {
  const JudgeMade made =
      make_judge(gates_with_drafts(4000),
                 {.drafts = DraftUse{.cascade = true}, .target_success = 0.95});
  ASSERT_TRUE(made.promised && made.promised->allowance);
  EXPECT_TRUE(made.judge.drafts);
  const Judgement judgement = made.judge.judge("known words only here", {});
  EXPECT_EQ(judgement.draft_allowance, made.promised->allowance);
  EXPECT_NEAR(*judgement.allowance, *judgement.draft_allowance + kDraftReach, 1e-9);
  EXPECT_GE(judgement.alarm_margin, 0);
  // Nothing is lost here, so all of both lists is promised; there is no cascade on unknown ground.
  ASSERT_TRUE(made.promised->cascade);
  EXPECT_EQ(judgement.cascade_allowance, made.promised->cascade);
  EXPECT_FALSE(made.judge.judge("something else entirely", {}).cascade_allowance);
  const Judgement novel = made.judge.judge("something else entirely", {});
  EXPECT_NEAR(*novel.draft_allowance, *judgement.draft_allowance - 0.5, 1e-9);
  ASSERT_TRUE(made.judge.usual);
  EXPECT_NEAR(made.judge.usual->mean_gain, 0, 1e-6);
}

TEST(Judge, DraftsAreNotJudgedUnlessWanted) {
  const JudgeMade made = make_judge(gates_with_drafts(4000), {.target_success = 0.95});
  EXPECT_FALSE(made.judge.judge("known words", {}).draft_allowance);
  EXPECT_TRUE(made.judge.drafts) << "for what a receipt says";
}

}  // namespace
}  // namespace ac
