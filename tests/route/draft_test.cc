// What the router does with a draft gate: stops a variant, takes or throws away its draft, asks
// another variant.
#include "tests/route/router_fixture.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

constexpr double kAllowance = 0.05;
// Places of features (draft_gate.cc).
constexpr size_t kMeanLogprob = 4, kSame = 13;

// Says that a variant is right where its hidden state points up (probe), its log-probabilities are
// high (draft), another variant says the same (second); the full model always is.
std::shared_ptr<const DraftGate> some_gate(int32_t n_hidden = 1) {
  DraftGate::Parts parts;
  parts.variants = {"q4", "q8", "f16"};
  parts.seconds = {"q8", "f16", "q8"};
  parts.n_hidden = n_hidden;
  for (int s = 0; s < kDraftStages; ++s) {
    const auto stage = static_cast<DraftStage>(s);
    const size_t n = draft_features_count(stage, static_cast<size_t>(n_hidden)) + 1;
    DraftGate::Stage heads;
    for (size_t variant = 0; variant < 3; ++variant) {
      std::vector<float> own(n), full(n);
      full.back() = 10;
      if (stage == DraftStage::kProbe) own[n - 2] = 10;  // hidden, last before the bias
      if (stage == DraftStage::kDraft) own[kMeanLogprob] = -5;
      if (stage == DraftStage::kSecond) own[kSame] = 20, own.back() = -10;
      heads.variant.insert(heads.variant.end(), own.begin(), own.end());
      heads.full.insert(heads.full.end(), full.begin(), full.end());
    }
    parts.stages.push_back(std::move(heads));
  }
  return std::make_shared<const DraftGate>(DraftGate::create(std::move(parts)).value());
}

class Draft : public RouterTest {
 protected:
  void make_with(Verify verify, DraftUse use = {}, Parts which = kAll) {
    judge_.drafts = some_gate();
    judge_.draft_use = use;
    const bool judges = verify == Verify::kEscalate;
    judge_.judge = [judges](std::string_view prompt, const RequestFacts&) {
      const float p = std::stof(std::string(prompt));
      Judgement judgement{.gate = GateKind::kNgram, .prediction = {{p, p, p, 0.95f}}};
      judgement.allowance = kAllowance + (judges ? kDraftReach : 0);
      if (judges) judgement.draft_allowance = kAllowance;
      return judgement;
    };
    RouterOptions options;
    options.verify = verify;
    make(which, options);
  }
};

TEST_F(Draft, IsTakenWhereItShowsThatItIsRight) {
  make_with(Verify::kEscalate);
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(relayed_, kWhole);
  EXPECT_EQ(answer->receipt.model, "q4");
  EXPECT_GT(*answer->receipt.confidence, 0.95) << "what it wrote says more than the prompt";
  EXPECT_EQ(world_.n_questions, 0);
  ASSERT_TRUE(answer->signals);
  EXPECT_EQ(answer->signals->hidden, std::vector<float>{1});
  EXPECT_GT(answer->signals->entropy, 0);
  EXPECT_EQ(answer->signals->margin, 1);
}

TEST_F(Draft, IsThrownAwayWhereItDoesNot) {
  make_with(Verify::kEscalate);
  world_.mean_logprob = -2;
  world_.local_pieces = {"a", "b", "c"};
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(relayed_, kWhole);
  EXPECT_EQ(answer->receipt.place, Place::kRemote);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kDoubted);
  EXPECT_THAT(answer->receipt.note, HasSubstr("q4 answered first, doubtful: likely right with 0.0"));
  EXPECT_FALSE(answer->signals);
}

TEST_F(Draft, IsNotBegunWhereThePromptAloneSaysNo) {
  make_with(Verify::kEscalate);
  world_.hidden = {-1};
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.place, Place::kRemote);
  EXPECT_THAT(answer->receipt.note, HasSubstr("q4 read it first, doubtful"));
  EXPECT_EQ(world_.n_prefills, 1);
  EXPECT_EQ(world_.n_answers, 0);
  // Without the probe it is.
  make_with(Verify::kEscalate, {.probe = false});
  EXPECT_EQ(ask(kEasy)->receipt.place, Place::kLocal);
}

TEST_F(Draft, AnotherVariantMaySaveIt) {
  make_with(Verify::kEscalate, {.second = true});
  world_.mean_logprob = -2;
  const auto saved = ask(kEasy);
  ASSERT_TRUE(saved);
  EXPECT_EQ(saved->receipt.place, Place::kLocal);
  EXPECT_EQ(saved->receipt.model, "q4");
  EXPECT_GT(*saved->receipt.confidence, 0.95);
  EXPECT_EQ(relayed_, kWhole);
  EXPECT_EQ(world_.n_answers, 2);
  world_.pieces_of["q8"] = {"some", "thing", " else"};
  EXPECT_EQ(ask(kEasy)->receipt.place, Place::kRemote);
}

TEST_F(Draft, StandsWhereTheRemoteFails) {
  make_with(Verify::kEscalate);
  world_.remote_error = Error{ErrorCode::kRemote, "connect: refused"};
  for (const bool stopped : {false, true}) {
    world_.mean_logprob = stopped ? -0.01 : -2;
    world_.hidden = {stopped ? -1.0f : 1.0f};
    const auto answer = ask(kEasy);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->text, kWhole) << stopped;
    EXPECT_EQ(relayed_, kWhole) << stopped;
    EXPECT_TRUE(answer->receipt.degraded);
    EXPECT_THAT(answer->receipt.doubts, HasSubstr("likely right"));
  }
}

TEST_F(Draft, MarkedOnlyItSaysHowLikelyItIs) {
  make_with(Verify::kMark);
  world_.mean_logprob = -2;
  const auto answer = ask("0.94");
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.place, Place::kLocal);
  EXPECT_LT(*answer->receipt.confidence, 0.1);
  EXPECT_EQ(world_.n_questions, 0);
}

// What cannot be replaced is not tried with an allowance that counts on it.
TEST_F(Draft, WithoutARemoteTheFirstChoiceHasToDo) {
  make_with(Verify::kEscalate, {}, kNoRemote);
  const auto decision = router_->decide(request_of("0.7"));
  ASSERT_TRUE(decision);
  EXPECT_NEAR(*decision->allowance, kAllowance, 1e-9);
  EXPECT_FALSE(decision->draft_allowance);
  EXPECT_EQ(decision->route.reason, RouteReason::kOffline);
}

TEST_F(Draft, AnotherModelBehindTheNameIsNotJudged) {
  make_with(Verify::kEscalate);
  world_.hidden = {1, 2, 3};
  world_.mean_logprob = -2;
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.place, Place::kLocal);
  EXPECT_NEAR(*answer->receipt.confidence, 0.8, 1e-6);
}

// q4 with 0.8 and q8 with 0.94 beside the full model's 0.95: q8 is asked, q4 drafts first.
class Cascade : public Draft {
 protected:
  void make_cascade(RouterOptions options = {}, std::optional<double> cascade = 0.12) {
    judge_.drafts = some_gate();
    judge_.draft_use = {.cascade = true};
    judge_.judge = [cascade](std::string_view, const RequestFacts&) {
      Judgement judgement{.gate = GateKind::kNgram, .prediction = {{0.8f, 0.94f, 0.94f, 0.95f}}};
      judgement.allowance = kAllowance + kDraftReach;
      judgement.draft_allowance = kAllowance;
      judgement.cascade_allowance = cascade;
      return judgement;
    };
    options.verify = Verify::kEscalate;
    make(kAll, options);
  }
};

TEST_F(Cascade, ACheaperDraftIsTakenWhereItShowsThatItIsRight) {
  make_cascade();
  const auto decision = router_->decide(request_of(kEasy));
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->route.variant, "q8");
  EXPECT_EQ(decision->cascade, "q4");
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.model, "q4");
  EXPECT_EQ(relayed_, kWhole);
  EXPECT_EQ(world_.n_answers, 1);
  EXPECT_EQ(world_.n_questions, 0);
  EXPECT_GT(*answer->receipt.confidence, 0.95);
}

TEST_F(Cascade, TheVariantAfterItAnswersWhereItDoesNot) {
  make_cascade();
  world_.mean_logprob_of["q4"] = -2;
  world_.pieces_of["q4"] = {"a", "b", "c"};
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.model, "q8");
  EXPECT_EQ(answer->receipt.reason, RouteReason::kConfident);
  EXPECT_EQ(relayed_, kWhole) << "nothing of the first draft is passed on";
  EXPECT_EQ(world_.n_answers, 2);
  EXPECT_EQ(world_.n_questions, 0);
  EXPECT_THAT(answer->receipt.note, HasSubstr("q4 answered first, doubtful: likely right with 0.0"));
  EXPECT_THAT(answer->receipt.doubts, testing::IsEmpty());
}

// q4, q8 and f16 are equally likely here, and q8 is the usual one: q4 only drafts.
TEST_F(Cascade, WhatIsUsuallyWorseOnlyDrafts) {
  judge_.usual_variant = "q8";
  make_with(Verify::kEscalate);
  const auto decision = router_->decide(request_of("0.94"));
  ASSERT_TRUE(decision);
  EXPECT_EQ(decision->route.variant, "q8");
  EXPECT_EQ(decision->cascade, "") << "nothing is promised of a cascade";
  judge_.usual_variant = "";
  make_with(Verify::kEscalate);
  EXPECT_EQ(router_->decide(request_of("0.94"))->route.variant, "q4");
}

TEST_F(Cascade, IsStoppedOnceItHasRead) {
  make_cascade();
  world_.hidden_of["q4"] = {-1};
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.model, "q8");
  EXPECT_EQ(world_.n_prefills, 2);
  EXPECT_EQ(world_.n_answers, 1);
  EXPECT_THAT(answer->receipt.note, HasSubstr("q4 read it first, doubtful"));
}

TEST_F(Cascade, BothDoubtedTheRemoteAnswers) {
  make_cascade();
  world_.mean_logprob = -2;
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.place, Place::kRemote);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kDoubted);
  EXPECT_THAT(answer->receipt.note, HasSubstr("q4 answered first"));
  EXPECT_THAT(answer->receipt.note, HasSubstr("q8 answered first"));
  EXPECT_EQ(relayed_, kWhole);
}

TEST_F(Cascade, WhatFailsIsPassedOver) {
  make_cascade();
  world_.hidden_of["q4"] = {1, 2, 3};  // another model behind the name
  const auto answer = ask(kEasy);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.model, "q8");
  EXPECT_EQ(relayed_, kWhole);
}

TEST_F(Cascade, WhoeverLeavesGetsNoSecondAnswer) {
  make_cascade();
  world_.obeys_cancel = true;
  CancelFlag cancel;
  world_.on_piece = [&] { cancel.raise(); };
  RouteRequest request = request_of(kEasy);
  request.options.cancel = &cancel;
  const auto answer = router_->answer(request);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.finish, "cancelled");
  EXPECT_EQ(world_.n_answers, 1);
}

TEST_F(Cascade, IsNotBegunWithoutNeed) {
  const auto first = [&](const RouteRequest& request) {
    const auto decision = router_->decide(request);
    return decision ? decision->cascade : decision.error().message;
  };
  make_cascade({}, std::nullopt);
  EXPECT_EQ(first(request_of(kEasy)), "");
  make_cascade({}, 0.09);  // 0.8 is 0.15 less than the full model's
  EXPECT_EQ(first(request_of(kEasy)), "");
  // The budget has room for one of them: 100 and 200 bytes.
  make_cascade({.memory_budget_bytes = 299});
  EXPECT_EQ(first(request_of(kEasy)), "");
  make_cascade({.memory_budget_bytes = 300});
  EXPECT_EQ(first(request_of(kEasy)), "q4");
  RouteRequest pinned = request_of(kEasy);
  pinned.pin = "q8";
  EXPECT_EQ(first(pinned), "");
  router_->set_offline(true);
  EXPECT_EQ(first(request_of(kEasy)), "");
  // Two levels of one file are in memory together anyhow.
  world_.nested = true;
  make_cascade({.memory_budget_bytes = 250});
  EXPECT_EQ(first(request_of(kEasy)), "q4");
}

// Later steps of a workflow do not fall behind what an earlier one needed.
TEST_F(Cascade, StaysUpInAWorkflow) {
  make_cascade();
  RouteRequest request = request_of(kEasy);
  request.workflow = "w";
  world_.mean_logprob_of["q4"] = -2;
  EXPECT_EQ(router_->answer(request)->receipt.model, "q8");
  EXPECT_EQ(router_->decide(request)->cascade, "");
}

}  // namespace
}  // namespace ac
