// Steps of one workflow, money, and prompts unlike those learned from.
#include <filesystem>

#include "runtime/core/file.h"
#include "tests/route/router_fixture.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

class Steps : public RouterTest {
 protected:
  // Predicted success is the number in the prompt, for variants cheaper than one that it names 0.1
  // less, for the full model 0.95.
  void make_with(RouterOptions options, double allowance = 0.1) {
    judge_.judge = [allowance, this](std::string_view prompt, const RequestFacts&) {
      const float p = std::stof(std::string(prompt));
      const float q4 = prompt.ends_with("q8") || prompt.ends_with("f16") ? p - 0.1f : p;
      const float q8 = prompt.ends_with("f16") ? p - 0.1f : p;
      Judgement judgement{.gate = GateKind::kNgram, .prediction = {{q4, q8, p, 0.95f}}};
      judgement.allowance = allowance;
      judgement.alarm_margin = 0.08;
      judgement.is_novel = novel_;
      return judgement;
    };
    make(kAll, options);
  }
  Result<RoutedAnswer> step(const std::string& prompt, const std::string& workflow = "w") {
    RouteRequest request = request_of(prompt);
    request.workflow = workflow;
    return router_->answer(request);
  }

  bool novel_ = false;
};

TEST_F(Steps, WhatIsAtRiskAlreadyMakesRiskWeighLess) {
  make_with({});
  EXPECT_EQ(step("0.8", "other")->receipt.place, Place::kRemote);
  ASSERT_EQ(step("0.9")->receipt.place, Place::kLocal);
  EXPECT_EQ(step("0.8")->receipt.place, Place::kRemote);
  // A step that is likely wrong: what is left to lose is less than half.
  RouteRequest pinned = request_of("0.4");
  pinned.workflow = "w";
  pinned.pin = "q4";
  ASSERT_TRUE(router_->answer(pinned));
  EXPECT_EQ(step("0.8")->receipt.place, Place::kLocal);
  EXPECT_EQ(step("0.8", "other")->receipt.place, Place::kRemote);
}

TEST_F(Steps, NoLaterStepIsAnsweredByACheaperVariant) {
  make_with({});
  EXPECT_EQ(step("0.9 q8")->receipt.model, "q8");
  EXPECT_EQ(step("0.9")->receipt.model, "q8");
  EXPECT_EQ(step("0.9 f16")->receipt.model, "f16");
  EXPECT_EQ(step("0.9")->receipt.model, "f16");
  EXPECT_EQ(step("0.9", "other")->receipt.model, "q4");
}

TEST_F(Steps, OutliveTheRouterOnDisk) {
  const std::string folder = testing::TempDir() + "steps_on_disk";
  std::filesystem::remove_all(folder);
  const RouterOptions options{.workflow_file = folder + "/workflows.json"};
  make_with(options);
  EXPECT_EQ(step("0.9 q8")->receipt.model, "q8");
  make_with(options);
  EXPECT_EQ(step("0.9")->receipt.model, "q8");
}

TEST_F(Steps, ABadIdIsRefused) {
  make_with({});
  const auto answer = step("0.9", "two\nlines");
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::kInvalidArgument);
}

// A question costs at most (50 bytes or so + 32 a message) * $1e-6 + 256 * $1e-5.
constexpr TokenPrices kPrices = {.usd_per_million_prompt_tokens = 1,
                                 .usd_per_million_completion_tokens = 10};

TEST_F(Steps, AWorkflowHasItsBudget) {
  make_with({.prices = kPrices, .usd_per_workflow = 0.005});
  EXPECT_EQ(step("0.2")->receipt.place, Place::kRemote);  // costs 0.002
  EXPECT_EQ(step("0.2")->receipt.place, Place::kRemote);
  const auto poor = step("0.2");
  ASSERT_TRUE(poor);
  EXPECT_EQ(poor->receipt.place, Place::kLocal);
  EXPECT_EQ(poor->receipt.reason, RouteReason::kBudget);
  EXPECT_TRUE(poor->receipt.degraded);
  EXPECT_THAT(poor->receipt.format_line(), HasSubstr("degraded: the budget has no room for it"));
  EXPECT_EQ(step("0.2", "other")->receipt.place, Place::kRemote);
  EXPECT_EQ(ask(kHard)->receipt.place, Place::kRemote);
}

TEST_F(Steps, ADayHasItsBudget) {
  ledger_ = Ledger::open(":memory:", system_clock()).value();
  make_with({.prices = kPrices, .limits = {.usd_per_day = 0.005}});
  EXPECT_EQ(ask(kHard)->receipt.place, Place::kRemote);
  EXPECT_EQ(ask(kHard)->receipt.place, Place::kRemote);
  EXPECT_EQ(ask(kHard)->receipt.reason, RouteReason::kBudget);
  const auto pinned = ask(kHard, "remote");
  ASSERT_FALSE(pinned);
  EXPECT_THAT(pinned.error().message, HasSubstr("budget"));
  EXPECT_EQ(world_.n_questions, 2);
}

TEST_F(Steps, ABrokenLedgerKeepsMoneyHere) {
  const std::string path = testing::TempDir() + "broken_ledger.db";
  ASSERT_TRUE(write_file(path, "this is no ledger, and was none before"));
  ledger_ = Ledger::open(path, system_clock()).value();
  make_with({.prices = kPrices, .limits = {.usd_per_day = 1}});
  const auto answer = ask(kHard);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kBudget);
  EXPECT_EQ(world_.n_questions, 0);
}

TEST_F(Steps, AFailedQuestionCostsNothing) {
  ledger_ = Ledger::open(":memory:", system_clock()).value();
  make_with({.prices = kPrices, .limits = {.usd_per_day = 0.003}});
  world_.remote_error = Error{ErrorCode::kRemote, "connect: refused"};
  EXPECT_EQ(ask(kHard)->receipt.reason, RouteReason::kRemoteDown);
  world_.remote_error.reset();
  EXPECT_EQ(ask(kHard)->receipt.place, Place::kRemote);
}

TEST_F(Steps, AnAnswerMustBeWorthItsPrice) {
  // 200 tokens usually: $0.002. For 0.1 more success that is $0.02 a success.
  make_with({.prices = kPrices, .usd_per_success = 0.01});
  EXPECT_EQ(ask("0.8")->receipt.place, Place::kLocal);
  make_with({.prices = kPrices, .usd_per_success = 0.05});
  EXPECT_EQ(ask("0.8")->receipt.place, Place::kRemote);
}

TEST_F(Steps, UnknownGroundTightensThePromise) {
  judge_.usual = DriftBaseline{};
  make_with({});
  EXPECT_EQ(ask("0.9")->receipt.place, Place::kLocal);
  novel_ = true;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(ask("0.9"));
  const auto decision = router_->decide(request_of("0.9"));
  ASSERT_TRUE(decision);
  EXPECT_THAT(decision->alarm, HasSubstr("unlike those learned from"));
  EXPECT_NEAR(*decision->allowance, 0.02, 1e-9);
  const auto answer = ask("0.9");
  EXPECT_EQ(answer->receipt.place, Place::kRemote) << "0.05 is more than the 0.02 that are left";
  EXPECT_THAT(answer->receipt.note, HasSubstr("unlike those learned from"));
  EXPECT_EQ(ask("0.94")->receipt.place, Place::kLocal);
}

}  // namespace
}  // namespace ac
