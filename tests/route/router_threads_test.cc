// Several answers at the same time, and what may not leave.
#include <atomic>
#include <future>

#include "tests/route/router_fixture.h"

namespace ac {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// Somebody who waits for the remote is in nobody's way.
TEST_F(RouterTest, WhileOneWaitsForTheRemoteOthersAreAnsweredHere) {
  make();
  std::promise<void> asked, go_on;
  RouteRequest hard = request_of(kHard);
  hard.options.on_text = [&, first = true](std::string_view) mutable {
    if (std::exchange(first, false)) {
      asked.set_value();
      go_on.get_future().wait();
    }
    return true;
  };
  auto remote = std::async(std::launch::async, [&] { return router_->answer(hard); });
  asked.get_future().wait();
  RouteRequest easy;
  easy.messages = {{"user", kEasy}};
  for (int i = 0; i < 3; ++i) {
    const auto local = router_->answer(easy);
    ASSERT_TRUE(local);
    EXPECT_EQ(local->receipt.place, Place::kLocal);
  }
  EXPECT_EQ(remote.wait_for(0ms), std::future_status::timeout);
  go_on.set_value();
  EXPECT_EQ(remote.get()->receipt.place, Place::kRemote);
}

TEST_F(RouterTest, LocalAnswersTakeTurns) {
  make();
  std::atomic<int> n_running = 0, n_most = 0;
  world_.on_generate = [&] {
    n_most = std::max(n_most.load(), ++n_running);
    std::this_thread::sleep_for(1ms);
    --n_running;
  };
  std::vector<std::future<bool>> answers;
  for (int i = 0; i < 8; ++i) {
    answers.push_back(std::async(std::launch::async, [this] {
      RouteRequest request;
      request.messages = {{"user", kEasy}};
      bool all = true;
      for (int n = 0; n < 10; ++n) {
        const auto answer = router_->answer(request);
        all = all && answer && answer->text == kWhole;
      }
      return all;
    }));
  }
  for (auto& answer : answers) EXPECT_TRUE(answer.get());
  EXPECT_EQ(n_most, 1);
  EXPECT_EQ(world_.n_answers, 80);
}

// What stands in line for the same variant is answered together; nobody is overtaken.
TEST_F(RouterTest, LocalAnswersAreMadeTogether) {
  make();
  std::promise<void> has_turn, go_on;
  auto alone = std::async(std::launch::async, [&] {
    return router_->with_engine("q4", [&](Engine&) -> Status {
      has_turn.set_value();
      go_on.get_future().wait();
      return {};
    });
  });
  has_turn.get_future().wait();
  std::vector<std::future<Result<RoutedAnswer>>> answers;
  for (const char* id : {"q4", "q4", "q8", "q4", "q4", "q4"}) {
    answers.push_back(std::async(std::launch::async, [this, id] {
      RouteRequest request;
      request.messages = {{"user", kEasy}};
      request.pin = id;
      return router_->answer(request);
    }));
    std::this_thread::sleep_for(20ms);  // they come one after the other
  }
  go_on.set_value();
  EXPECT_TRUE(alone.get());
  for (auto& answer : answers) EXPECT_EQ(answer.get()->text, kWhole);
  EXPECT_THAT(world_.together, testing::ElementsAre(2u, 1u, 3u));
}

TEST_F(RouterTest, WhatACallbackThrowsReachesWhoAsked) {
  make();
  RouteRequest request = request_of(kEasy);
  request.options.on_text = [](std::string_view) -> bool { throw std::runtime_error("mine"); };
  EXPECT_THROW((void)router_->answer(request), std::runtime_error);
  EXPECT_EQ(ask(kEasy)->text, kWhole);
}

TEST_F(RouterTest, WhoHasLeftGivesUpTheTurn) {
  make();
  std::promise<void> started, go_on;
  world_.on_generate = [&] {
    started.set_value();
    go_on.get_future().wait();
    world_.on_generate = nullptr;
  };
  RouteRequest first;
  first.messages = {{"user", kEasy}};
  auto running = std::async(std::launch::async, [&] { return router_->answer(first); });
  started.get_future().wait();
  CancelFlag gone;
  RouteRequest second = first;
  second.options.cancel = &gone;
  auto waiting = std::async(std::launch::async, [&] { return router_->answer(second); });
  gone.raise();
  go_on.set_value();
  EXPECT_EQ(waiting.get()->receipt.finish, "cancelled");
  EXPECT_TRUE(running.get());
  EXPECT_EQ(world_.n_answers, 1);
}

// Each of two steps fits into what is left, both do not.
TEST_F(RouterTest, AWorkflowsBudgetHoldsForStepsAtTheSameTime) {
  make(kAll, {.prices = {.usd_per_million_completion_tokens = 1e6}, .usd_per_workflow = 300});
  std::promise<void> asked, go_on;
  world_.on_question = [&] {
    asked.set_value();
    go_on.get_future().wait();
  };
  RouteRequest step;
  step.messages = {{"user", kHard}};
  step.options.max_tokens = 256;
  step.workflow = "run 7";
  auto first = std::async(std::launch::async, [&] { return router_->answer(step); });
  asked.get_future().wait();
  const auto second = router_->answer(step);
  ASSERT_TRUE(second);
  EXPECT_EQ(second->receipt.place, Place::kLocal);
  EXPECT_THAT(second->receipt.degraded_cause, HasSubstr("workflow's budget"));
  go_on.set_value();
  EXPECT_EQ(first.get()->receipt.place, Place::kRemote);
  // What was not spent can be: the first cost what its tokens cost.
  world_.on_question = nullptr;
  EXPECT_EQ(router_->answer(step)->receipt.place, Place::kRemote);
}

TEST_F(RouterTest, OfflineCanBeSwitched) {
  make();
  EXPECT_EQ(ask(kHard)->receipt.place, Place::kRemote);
  router_->set_offline(true);
  EXPECT_TRUE(router_->offline());
  EXPECT_FALSE(router_->view().may_ask_remote);
  const auto answer = ask(kHard);
  EXPECT_EQ(answer->receipt.place, Place::kLocal);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kOffline);
  EXPECT_EQ(answer->receipt.degraded_cause, "offline");
  EXPECT_FALSE(ask(kHard, "remote"));
  EXPECT_EQ(world_.n_questions, 1);
  router_->set_offline(false);
  EXPECT_EQ(ask(kHard)->receipt.place, Place::kRemote);
}

// Whoever goes offline means what is on its way, too.
TEST_F(RouterTest, GoingOfflineEndsWhatIsAsked) {
  make();
  world_.on_question = [&] { router_->set_offline(true); };
  world_.remote_error = Error{ErrorCode::kCancelled, "cancelled"};
  const auto answer = ask(kHard);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.place, Place::kLocal);
  EXPECT_THAT(answer->receipt.degraded_cause, HasSubstr("offline"));
}

TEST_F(RouterTest, WhatARuleNamesStaysHere) {
  make(kAll, {.verify = Verify::kEscalate,
              .forward_rules = ForwardRules::parse("Project Aurora", "never.txt").value()});
  const std::string prompt = std::string(kHard) + " of project  AURORA";
  const auto answer = ask(prompt);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->receipt.place, Place::kLocal);
  EXPECT_EQ(answer->receipt.model, "f16");
  EXPECT_EQ(answer->receipt.reason, RouteReason::kKeptHere);
  EXPECT_TRUE(answer->receipt.degraded);
  EXPECT_EQ(answer->receipt.degraded_cause, "the rule in line 1 of never.txt keeps it here");
  // An easy one is not degraded, and by name the remote is an error.
  EXPECT_FALSE(ask(std::string(kEasy) + " project aurora")->receipt.degraded);
  EXPECT_THAT(ask(prompt, "remote").error().message, HasSubstr("never.txt"));
  // Wherever it stands: in instructions, in what a function said, in a function's description.
  RouteRequest request = request_of(kHard);
  request.messages.front().content = "You work for Project Aurora.";
  EXPECT_EQ(router_->answer(request)->receipt.reason, RouteReason::kKeptHere);
  request = request_of(kHard);
  request.messages.insert(request.messages.begin() + 1,
                          {"tool", "", R"({"role":"tool","content":"project aurora"})"});
  EXPECT_EQ(router_->answer(request)->receipt.reason, RouteReason::kKeptHere);
  request = request_of(kHard);
  request.tools = R"([{"type":"function","function":{"name":"project aurora"}}])";
  EXPECT_EQ(router_->answer(request)->receipt.reason, RouteReason::kKeptHere);
  // Escaped, in what a function is told, in JSON inside a text, among the stop texts.
  request = request_of(kHard);
  request.tools = R"([{"type":"function","function":{"name":"f","description":"Project\nAurora"}}])";
  EXPECT_EQ(router_->answer(request)->receipt.reason, RouteReason::kKeptHere);
  request = request_of(kHard);
  request.messages.insert(
      request.messages.begin() + 1,
      {"assistant", "",
       R"({"role":"assistant","tool_calls":[{"id":"a","type":"function","function":)"
       R"({"name":"f","arguments":"{\"q\":\"Project\\u0020Aurora\"}"}}]})"});
  EXPECT_EQ(router_->answer(request)->receipt.reason, RouteReason::kKeptHere);
  request = request_of(kHard);
  request.messages.front().content = R"({"said":"project\u00a0aurora"})";
  EXPECT_EQ(router_->answer(request)->receipt.reason, RouteReason::kKeptHere);
  request = request_of(kHard);
  request.options.stop = {"Project Aurora"};
  EXPECT_EQ(router_->answer(request)->receipt.reason, RouteReason::kKeptHere);
  EXPECT_EQ(world_.n_clients, 0) << "nobody was asked, nothing was opened";
  EXPECT_EQ(ask(kHard)->receipt.place, Place::kRemote);
}

// Not even when what can answer here breaks.
TEST_F(RouterTest, WhatARuleNamesIsNobodysStopgap) {
  make(kAll, {.forward_rules = ForwardRules::parse("aurora", "never.txt").value()});
  for (const char* id : {"q4", "q8", "f16"}) {
    world_.load_errors[id] = Error{ErrorCode::kCorruptFile, "spoiled"};
  }
  EXPECT_EQ(ask("0.8 aurora").error().code, ErrorCode::kCorruptFile);
  make(kNoLocal, {.forward_rules = ForwardRules::parse("aurora", "never.txt").value()});
  EXPECT_THAT(ask("0.8 aurora").error().message, HasSubstr("never.txt"));
  EXPECT_EQ(world_.n_questions, 0);
}

TEST_F(RouterTest, WhatMayNotLeaveStaysHere) {
  make();
  RouteRequest request = request_of(kHard);
  request.keep_here = "the key may not have the remote asked";
  const auto answer = router_->answer(request);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kKeptHere);
  EXPECT_EQ(answer->receipt.degraded_cause, "the key may not have the remote asked");
  EXPECT_EQ(world_.n_questions, 0);
}

}  // namespace
}  // namespace ac
