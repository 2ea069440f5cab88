// The router with everything around it faked: engines, remote, predictor. What counts is who was
// asked, what was relayed, and what the receipt says.
#include "tests/route/router_fixture.h"

namespace ac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST_F(RouterTest, AnEasyPromptIsAnsweredByTheCheapestVariant) {
  make();
  const Result<RoutedAnswer> answer = ask(kEasy);
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(answer->text, kWhole);
  EXPECT_EQ(relayed_, kWhole);
  EXPECT_FALSE(answer->interrupted.has_value());
  const Receipt& receipt = answer->receipt;
  EXPECT_EQ(receipt.place, Place::kLocal);
  EXPECT_EQ(receipt.model, "q4");
  EXPECT_EQ(receipt.reason, RouteReason::kConfident);
  EXPECT_NEAR(*receipt.confidence, 0.8, 1e-6);
  EXPECT_FALSE(receipt.degraded);
  EXPECT_EQ(receipt.completion_tokens, 3);
  EXPECT_EQ(receipt.prompt_tokens, 3);
  EXPECT_EQ(receipt.reused_tokens, 1);
  EXPECT_EQ(receipt.finish, "stop");
  EXPECT_EQ(receipt.cost_usd, 0);
  EXPECT_GE(receipt.seconds, receipt.first_token_seconds);
  EXPECT_EQ(world_.n_clients, 0);
  EXPECT_THAT(world_.loads, ElementsAre("q4"));
  EXPECT_THAT(world_.local_prompts, ElementsAre("q4: chat 0.8"));
}

TEST_F(RouterTest, AMiddlingPromptTakesADearerVariant) {
  make();
  EXPECT_EQ(ask("0.6")->receipt.model, "f16");  // 0.72 reaches 0.7, 0.66 does not
  RouteRequest request = request_of("0.6");
  request.threshold = 0.65;
  EXPECT_EQ(router_->answer(request)->receipt.model, "q8");
}

TEST_F(RouterTest, AHardPromptGoesToTheRemote) {
  make();
  RouteRequest request = request_of(kHard);
  request.options.max_tokens = 0;
  request.options.sampler.temperature = 0.5f;
  request.options.sampler.seed = 7;
  request.options.stop = {"END"};
  const Result<RoutedAnswer> answer = router_->answer(request);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->text, kWhole);
  EXPECT_EQ(relayed_, kWhole);
  EXPECT_EQ(answer->receipt.place, Place::kRemote);
  EXPECT_EQ(answer->receipt.model, "big-1-2026");
  EXPECT_EQ(answer->receipt.reason, RouteReason::kNotConfident);
  EXPECT_NEAR(*answer->receipt.confidence, 0.95, 1e-6);
  EXPECT_EQ(answer->receipt.completion_tokens, 3);
  EXPECT_EQ(answer->receipt.cost_usd, 0.002);
  EXPECT_EQ(answer->receipt.note, "");
  EXPECT_THAT(world_.loads, IsEmpty());
  ASSERT_TRUE(world_.remote_request.has_value());
  EXPECT_EQ(world_.remote_request->messages.size(), 2u);
  EXPECT_EQ(world_.remote_request->max_tokens, 1);
  EXPECT_EQ(world_.remote_request->temperature, 0.5f);
  EXPECT_EQ(world_.remote_request->seed, 7u);
  EXPECT_THAT(world_.remote_request->stop, ElementsAre("END"));
  EXPECT_TRUE(ask(kHard).has_value());
  EXPECT_EQ(world_.n_clients, 1);
  EXPECT_EQ(world_.n_questions, 2);
  world_.usage_known = false;
  EXPECT_EQ(ask(kHard)->receipt.note, "the server counted no tokens");
}

TEST_F(RouterTest, ARemoteThatFailsBeforeItsFirstPieceIsReplaced) {
  make();
  world_.remote_error = Error{ErrorCode::kRemote, "connect: refused"};
  const Result<RoutedAnswer> answer = ask(kHard);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(relayed_, kWhole);
  EXPECT_EQ(answer->receipt.place, Place::kLocal);
  EXPECT_EQ(answer->receipt.model, "f16");  // the best
  EXPECT_EQ(answer->receipt.reason, RouteReason::kRemoteDown);
  EXPECT_TRUE(answer->receipt.degraded);
  EXPECT_NEAR(*answer->receipt.confidence, 0.24, 1e-6);
  EXPECT_THAT(answer->receipt.format_line(),
              HasSubstr(" · degraded: remote unreachable (connect: refused)"));
}

TEST_F(RouterTest, AfterTheFirstPieceNothingIsSpliced) {
  make();
  world_.remote_error = Error{ErrorCode::kRemote, "stream cut after 2 events"};
  world_.remote_pieces_before_error = 1;
  const Result<RoutedAnswer> answer = ask(kHard);
  ASSERT_TRUE(answer.has_value());
  ASSERT_TRUE(answer->interrupted.has_value());
  EXPECT_EQ(answer->interrupted->message, "stream cut after 2 events");
  EXPECT_EQ(answer->text, "one");
  EXPECT_EQ(relayed_, "one");
  EXPECT_EQ(answer->receipt.finish, "interrupted");
  EXPECT_EQ(answer->receipt.place, Place::kRemote);
  EXPECT_EQ(answer->receipt.model, "big-1");
  EXPECT_FALSE(answer->receipt.degraded);
  EXPECT_THAT(world_.loads, IsEmpty());
}

TEST_F(RouterTest, WhereNobodyListensALateFailureIsReplacedToo) {
  make();
  world_.remote_error = Error{ErrorCode::kRemote, "stream cut after 2 events"};
  world_.remote_pieces_before_error = 2;
  RouteRequest request = request_of(kHard);
  request.options.on_text = nullptr;
  const Result<RoutedAnswer> answer = router_->answer(request);
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->interrupted.has_value());
  EXPECT_EQ(answer->text, kWhole);  // with nothing of the first attempt in it
  EXPECT_TRUE(answer->receipt.degraded);
}

TEST_F(RouterTest, ALocalAnswerThatBreaksOffIsInterrupted) {
  make();
  world_.generate_error = Error{ErrorCode::kIo, "the disk is gone"};
  world_.pieces_before_error = 2;
  const Result<RoutedAnswer> answer = ask(kEasy);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->interrupted->message, "the disk is gone");
  EXPECT_EQ(answer->text, "one two");
  EXPECT_EQ(world_.n_questions, 0);
}

TEST_F(RouterTest, OfflineNothingIsCreated) {
  make(kAll, {.offline = true});
  const Result<RoutedAnswer> answer = ask(kHard);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->receipt.model, "f16");
  EXPECT_EQ(answer->receipt.reason, RouteReason::kOffline);
  EXPECT_EQ(answer->receipt.degraded_cause, "offline");
  EXPECT_TRUE(ask(kEasy).has_value());
  EXPECT_TRUE(ask(kHard, "local").has_value());
  EXPECT_FALSE(ask(kHard, "remote").has_value());
  EXPECT_FALSE(router_->remote_models().has_value());
  world_.generate_error = Error{ErrorCode::kContextFull, "too long"};
  EXPECT_FALSE(ask(kEasy).has_value());
  world_.generate_error.reset();
  for (const char* id : {"q4", "q8", "f16"}) {
    world_.load_errors[id] = Error{ErrorCode::kCorruptFile, "hash"};
  }
  make(kAll, {.offline = true});
  EXPECT_FALSE(ask(kHard).has_value());
  EXPECT_EQ(world_.n_clients, 0);
}

TEST_F(RouterTest, NoRemoteConfigured) {
  make(kNoRemote);
  const Result<RoutedAnswer> answer = ask(kHard);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->receipt.degraded_cause, "no remote configured");
  EXPECT_EQ(router_->remote_models().error().code, ErrorCode::kNotFound);
}

TEST_F(RouterTest, ARemoteKnownToBeDownIsNotAsked) {
  make();
  EXPECT_TRUE(ask(kHard).has_value());
  world_.remote_available = false;
  const Result<RoutedAnswer> answer = ask(kHard);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(world_.n_questions, 1);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kRemoteDown);
  EXPECT_TRUE(answer->receipt.degraded);
}

TEST_F(RouterTest, ABadRemoteSettingIsADegradedAnswerNotADeadTool) {
  make();
  world_.create_error = Error{ErrorCode::kInvalidArgument, "url: only https"};
  const Result<RoutedAnswer> answer = ask(kHard);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->receipt.degraded_cause, "remote unreachable (url: only https)");
  EXPECT_TRUE(ask(kHard).has_value());
  EXPECT_EQ(world_.n_clients, 1);
}

TEST_F(RouterTest, PinsAreObeyedOrErrors) {
  make();
  EXPECT_EQ(ask(kHard, "q8")->receipt.model, "q8");
  EXPECT_EQ(ask(kHard, "local")->receipt.model, "f16");
  EXPECT_EQ(ask(kEasy, "local")->receipt.model, "q4");
  EXPECT_EQ(ask(kEasy, "remote")->receipt.place, Place::kRemote);
  EXPECT_EQ(ask(kEasy, "q5").error().code, ErrorCode::kNotFound);
  world_.remote_error = Error{ErrorCode::kRemote, "connect: refused"};
  const Result<RoutedAnswer> answer = ask(kEasy, "remote");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kRemote);
  world_.remote_error.reset();
  world_.load_errors["q8"] = Error{ErrorCode::kCorruptFile, "hash"};
  make();
  const int n_questions = world_.n_questions;
  EXPECT_EQ(ask(kEasy, "q8").error().code, ErrorCode::kCorruptFile);
  world_.generate_error = Error{ErrorCode::kContextFull, "too long"};
  EXPECT_EQ(ask(kEasy, "q4").error().code, ErrorCode::kContextFull);
  EXPECT_EQ(ask(kEasy, "local").error().code, ErrorCode::kContextFull);
  EXPECT_EQ(world_.n_questions, n_questions);
}

TEST_F(RouterTest, APromptTooLongForTheEngineGoesToTheRemote) {
  make();
  world_.generate_error = Error{ErrorCode::kContextFull, "900 tokens, 512 fit"};
  Result<RoutedAnswer> answer = ask(kEasy);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->receipt.place, Place::kRemote);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kContext);
  EXPECT_EQ(answer->receipt.note, "900 tokens, 512 fit");
  world_.remote_error = Error{ErrorCode::kRemote, "connect: refused"};
  answer = ask(kEasy);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().message, "900 tokens, 512 fit: connect: refused");
  answer = ask(kHard);  // the remote first, and not a second time
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kContextFull);
  EXPECT_EQ(world_.n_questions, 3);
}

TEST_F(RouterTest, ALongPromptIsCountedBeforeItIsRouted) {
  world_.n_context = 300;
  make();
  EXPECT_EQ(router_->decide(request_of(kEasy))->n_tokens_needed, 0);  // too few bytes to matter
  EXPECT_EQ(world_.n_text_loads, 0);
  const std::string page = std::string(kEasy) + std::string(300, ' ');
  // Nothing can count: the engine will.
  EXPECT_EQ(router_->decide(request_of(page))->route.reason, RouteReason::kConfident);
  EXPECT_EQ(world_.n_text_loads, 1);
  ASSERT_TRUE(ask(kEasy).has_value());  // from now on an engine counts
  world_.n_prompt_tokens = 236;
  EXPECT_EQ(router_->decide(request_of(page))->route.reason, RouteReason::kConfident);
  EXPECT_EQ(router_->decide(request_of(page))->n_tokens_needed, 300);
  world_.n_prompt_tokens = 237;  // no room for 64 tokens of answer
  Result<Decision> decision = router_->decide(request_of(page));
  EXPECT_EQ(decision->route.place, Place::kRemote);
  EXPECT_EQ(decision->route.reason, RouteReason::kContext);
  RouteRequest request = request_of(page);
  request.options.max_tokens = 63;
  EXPECT_EQ(router_->decide(request)->route.place, Place::kLocal);
  request.pin = "q4";  // an order: as long as one token of answer fits
  request.options.max_tokens = 256;
  world_.n_prompt_tokens = 299;
  EXPECT_EQ(router_->decide(request)->route.variant, "q4");
  world_.n_prompt_tokens = 300;
  EXPECT_EQ(router_->decide(request).error().code, ErrorCode::kContextFull);
  EXPECT_EQ(world_.n_text_loads, 1);
}

TEST_F(RouterTest, AVariantThatCannotBeLoadedIsReplaced) {
  make();
  world_.load_errors["q8"] = Error{ErrorCode::kCorruptFile, "hash differs"};
  RouteRequest request = request_of("0.6");
  request.threshold = 0.65;  // q8
  Result<RoutedAnswer> answer = router_->answer(request);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->receipt.model, "q4");
  EXPECT_NEAR(*answer->receipt.confidence, 0.6, 1e-6);
  EXPECT_EQ(answer->receipt.note, "q8 could not be loaded (hash differs)");
  world_.load_errors["q4"] = Error{ErrorCode::kCorruptFile, "hash differs"};
  make();
  EXPECT_EQ(router_->answer(request)->receipt.model, "f16");
  world_.load_errors["f16"] = Error{ErrorCode::kOutOfMemory, "7 GB"};
  make();
  answer = router_->answer(request);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->receipt.place, Place::kRemote);
  EXPECT_EQ(answer->receipt.reason, RouteReason::kNoLocal);
}

TEST_F(RouterTest, WithoutAPredictorTheBestVariantAnswers) {
  make(kNoJudge);
  const Result<RoutedAnswer> answer = ask("any text");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->receipt.model, "f16");
  EXPECT_EQ(answer->receipt.reason, RouteReason::kNoPredictor);
  EXPECT_FALSE(answer->receipt.confidence.has_value());
}

TEST_F(RouterTest, WithoutLocalModelsTheRemoteAnswersOrItIsAnError) {
  make(kNoLocal);
  EXPECT_EQ(ask(kEasy)->receipt.place, Place::kRemote);
  world_.remote_error = Error{ErrorCode::kRemote, "http 503: busy"};
  EXPECT_EQ(ask(kEasy).error().message, "http 503: busy");
  EXPECT_EQ(router_->with_engine("q4", [](Engine&) -> Status { return {}; }).error().code,
            ErrorCode::kNotFound);
}

TEST_F(RouterTest, RawTextStaysLocal) {
  make();
  RouteRequest request;
  request.raw_prompt = kHard;
  const Result<RoutedAnswer> answer = router_->answer(request);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->receipt.model, "f16");
  EXPECT_THAT(world_.local_prompts, ElementsAre("f16: raw 0.2"));
  request.pin = "remote";
  EXPECT_EQ(router_->answer(request).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(world_.n_clients, 0);
}

TEST_F(RouterTest, CancelledIsAnAnswer) {
  make();
  for (const char* prompt : {kEasy, kHard}) {
    RouteRequest request = request_of(prompt);
    request.options.on_text = [&](std::string_view piece) {
      relayed_ += piece;
      return relayed_.size() < 4;
    };
    const Result<RoutedAnswer> answer = router_->answer(request);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->receipt.finish, "cancelled");
    EXPECT_EQ(answer->text, "one two");
    EXPECT_FALSE(answer->interrupted.has_value());
    EXPECT_FALSE(answer->receipt.degraded);
  }
}

TEST_F(RouterTest, TheLastUserMessageIsJudged) {
  make();
  RouteRequest request = request_of(kHard);
  request.messages = {{"system", "0.1"},
                      {"user", kHard},
                      {"assistant", "?"},
                      {"user", kEasy},
                      {"assistant", "0.1"}};
  EXPECT_NEAR(router_->decide(request)->route.confidence, 0.8, 1e-6);
  request.messages = {{"system", "x"}};
  EXPECT_EQ(router_->decide(request).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(router_->answer(RouteRequest{}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(world_.n_clients, 0);
}

TEST_F(RouterTest, BadThresholds) {
  for (const double threshold : {-0.1, 1.1, std::nan("")}) {
    RouterParts parts;
    parts.variants = std::make_unique<FakeVariants>(&world_);
    EXPECT_FALSE(Router::create(std::move(parts), {.threshold = threshold}).has_value());
  }
  EXPECT_FALSE(Router::create({}, {}).has_value());
}

}  // namespace
}  // namespace ac
