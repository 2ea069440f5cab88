// The service, asked by the project's own client and by raw bytes.
#include "runtime/server/service.h"

#include <future>
#include <nlohmann/json.hpp>
#include <thread>

#include "runtime/core/json.h"
#include "tests/predictor/plain_gates.h"
#include "tests/server/service_fixture.h"

namespace ac {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(ServiceTest, AnswersTheProjectsOwnClient) {
  serve();
  std::string streamed;
  const auto answer = client("auto")->complete(
      {.messages = {{"user", kEasy}}, .stop = {}, .on_text = [&](std::string_view piece) {
         streamed += piece;
         return true;
       }});
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->text, kWhole);
  EXPECT_EQ(streamed, kWhole);
  EXPECT_EQ(answer->model, "q4");
  EXPECT_EQ(answer->finish_reason, "stop");
  EXPECT_TRUE(answer->usage_known);
  EXPECT_EQ(answer->completion_tokens, 3);
  const auto models = client("auto")->list_models();
  ASSERT_TRUE(models);
  EXPECT_EQ(*models, (std::vector<std::string>{"auto", "q4"}));
}

TEST_F(ServiceTest, AWholeAnswerSaysWhatWasDone) {
  serve();
  const std::string text = raw(body_of(kEasy));
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(text, HasSubstr("x-agentcompress-route: local\r\n"));
  EXPECT_THAT(text, HasSubstr("x-agentcompress-reason: confident\r\n"));
  const Json json = *parse_json(text.substr(text.find("\r\n\r\n") + 4));
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["choices"][0]["message"]["content"], kWhole);
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["model"], "q4");
  EXPECT_EQ(json["usage"]["total_tokens"], 6);
  EXPECT_EQ(json["agentcompress"]["route"], "local");
  EXPECT_THAT(raw(body_of(kHard)), HasSubstr("x-agentcompress-route: remote"));
  EXPECT_THAT(raw(R"({"model":"q8","messages":[{"role":"user","content":"0.2"}]})"),
              HasSubstr("x-agentcompress-variant: q8"));
  EXPECT_THAT(raw(R"({"model":"auto@0.1","messages":[{"role":"user","content":"0.2"}]})"),
              HasSubstr("x-agentcompress-route: local"));
}

TEST_F(ServiceTest, MistakesHaveTheShapeThatClientsKnow) {
  serve();
  EXPECT_THAT(raw("{"), StartsWith("HTTP/1.1 400"));
  const std::string unknown = raw(R"({"model":"none","messages":[{"role":"user","content":"1"}]})");
  EXPECT_THAT(unknown, StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(unknown, HasSubstr(R"("code":"model_not_found")"));
  EXPECT_THAT(unknown, HasSubstr("x-should-retry: false"));
  EXPECT_THAT(raw(R"({"model":"auto@2","messages":[{"role":"user","content":"1"}]})"),
              StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(raw(body_of(kEasy), "/v1/nothing"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("/v1/chat/completions"), StartsWith("HTTP/1.1 405"));
  EXPECT_THAT(get("/health"), HasSubstr(R"({"status":"ok"})"));
  EXPECT_THAT(get("/version"), HasSubstr("1.2.3"));
  RawClient stranger(server_->port());
  stranger.send("GET /health HTTP/1.1\r\nHost: evil.example\r\n\r\n");
  EXPECT_THAT(stranger.read_until("error"), StartsWith("HTTP/1.1 403"));
  RawClient form(server_->port());
  form.send(
      fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{}\r\n"
                  "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}",
                  server_->port()));
  EXPECT_THAT(form.read_until("error"), StartsWith("HTTP/1.1 415"));
}

TEST_F(ServiceTest, TextIsContinued) {
  serve();
  const auto body = [](const std::string& more) {
    return R"({"model":"auto","prompt":)" + more + "}";
  };
  const std::string whole = raw(body(R"(["0.8"])"), "/v1/completions");
  EXPECT_THAT(whole, StartsWith("HTTP/1.1 200 OK"));
  const Json json = *parse_json(whole.substr(whole.find("\r\n\r\n") + 4));
  EXPECT_EQ(json["object"], "text_completion");
  EXPECT_EQ(json["choices"][0]["text"], kWhole);
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_THAT(json["id"].get<std::string>(), StartsWith("cmpl-"));
  const std::string stream = raw(body(R"("0.8","stream":true)"), "/v1/completions");
  EXPECT_THAT(stream, HasSubstr(R"("text":"one")"));
  EXPECT_THAT(stream, HasSubstr(R"("finish_reason":"stop")"));
  EXPECT_THAT(stream, HasSubstr("data: [DONE]"));
  EXPECT_EQ(stream.find("delta"), std::string::npos);
  for (const char* wrong : {R"(["a","b"])", "[1,2]", "null", R"("a","n":2)", R"("a","echo":true)",
                            R"("a","logprobs":3)", R"("a","suffix":"b")"}) {
    EXPECT_THAT(raw(body(wrong), "/v1/completions"), StartsWith("HTTP/1.1 400")) << wrong;
  }
}

TEST_F(ServiceTest, ResponsesAreMadeToo) {
  serve();
  const std::string whole = raw(
      R"({"model":"auto","instructions":"Be brief.","input":"0.8","store":true})", "/v1/responses");
  EXPECT_THAT(whole, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(whole, HasSubstr("x-agentcompress-route: local\r\n"));
  const Json json = *parse_json(whole.substr(whole.find("\r\n\r\n") + 4));
  EXPECT_EQ(json["object"], "response");
  EXPECT_EQ(json["status"], "completed");
  EXPECT_EQ(json["output"][0]["role"], "assistant");
  EXPECT_EQ(json["output"][0]["content"][0]["text"], kWhole);
  EXPECT_EQ(json["usage"]["output_tokens"], 3);
  EXPECT_EQ(json["model"], "q4");
  const std::string stream = raw(
      R"({"model":"auto","input":[{"role":"user","content":[{"type":"input_text","text":"0.8"}]}],)"
      R"("stream":true})",
      "/v1/responses");
  size_t at = 0;
  for (const char* type :
       {"response.created", "response.in_progress", "response.output_item.added",
        "response.content_part.added", "response.output_text.delta", "response.output_text.done",
        "response.content_part.done", "response.output_item.done", "response.completed"}) {
    at = stream.find(fmt::format("event: {}\ndata: ", type), at);
    EXPECT_NE(at, std::string::npos) << type;
  }
  EXPECT_THAT(stream, HasSubstr(R"("sequence_number":0)"));
  // Events are numbered in the order in which they come.
  std::vector<int> numbers;
  for (size_t n = stream.find("\"sequence_number\":"); n != std::string::npos;
       n = stream.find("\"sequence_number\":", n + 1)) {
    numbers.push_back(std::stoi(stream.substr(n + 18)));
  }
  for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(numbers[i], static_cast<int>(i));
  EXPECT_GE(numbers.size(), 9u);
  for (const char* wrong :
       {R"("input":[])", R"("input":7)", R"("input":"a","previous_response_id":"resp_1")",
        R"("input":"a","tools":[{"type":"function"}])", R"("input":"a","instructions":1)",
        R"("input":[{"type":"function_call_output","output":"x"}])",
        R"("input":[{"type":"item_reference"}])",
        R"("input":"a","text":{"format":{"type":"json_schema"}})"}) {
    EXPECT_THAT(raw(fmt::format(R"({{"model":"auto",{}}})", wrong), "/v1/responses"),
                StartsWith("HTTP/1.1 400"))
        << wrong;
  }
  world_.generate_error = Error{ErrorCode::kIo, "the disk is gone"};
  world_.pieces_before_error = 2;
  EXPECT_THAT(raw(R"({"model":"auto","input":"0.8","stream":true})", "/v1/responses"),
              HasSubstr("event: response.failed"));
}

// What was said before may be named instead of sent again, unless it was not to be kept.
TEST_F(ServiceTest, ResponsesReferToWhatWasSaid) {
  serve();
  const auto id_of = [&](const std::string& more) {
    const std::string text =
        raw(R"({"model":"auto","input":"0.2")" + more + "}", "/v1/responses");
    return (*parse_json(text.substr(text.find("\r\n\r\n") + 4)))["output"][0]["id"]
        .get<std::string>();
  };
  const auto go_on = [&](const std::string& id) {
    return raw(fmt::format(R"({{"model":"auto","input":[{{"role":"user","content":"0.2"}},)"
                           R"({{"type":"item_reference","id":"{}"}},)"
                           R"({{"role":"user","content":"0.2"}}]}})",
                           id),
               "/v1/responses");
  };
  const std::string kept = id_of("");
  EXPECT_THAT(go_on(kept), StartsWith("HTTP/1.1 200"));
  ASSERT_EQ(world_.remote_request->messages.size(), 3u);
  EXPECT_EQ(world_.remote_request->messages[1].role, "assistant");
  EXPECT_EQ(world_.remote_request->messages[1].content, kWhole);
  EXPECT_THAT(go_on(id_of(R"(,"store":false)")), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(go_on("msg_0"), HasSubstr("item_not_found"));
  for (size_t i = 0; i < StoredItems::kMost; ++i) id_of("");
  EXPECT_THAT(go_on(kept), StartsWith("HTTP/1.1 404")) << "the oldest is forgotten";
}

// Items of one turn are one message of chat completions.
TEST_F(ServiceTest, ResponsesItemsBecomeTurns) {
  serve();
  EXPECT_THAT(
      raw(R"({"model":"remote","input":[{"role":"user","content":"0.2"},)"
          R"({"role":"assistant","content":"I look."},{"role":"assistant","content":""},)"
          R"({"type":"function_call","call_id":"a","name":"weather","arguments":"{}"},)"
          R"({"type":"function_call","call_id":"b","name":"weather","arguments":"{}"},)"
          R"({"type":"function_call_output","call_id":"a","output":[{"type":"input_text","text":"fog"}]},)"
          R"({"type":"function_call_output","call_id":"b","output":"sun"}]})",
          "/v1/responses"),
      StartsWith("HTTP/1.1 200"));
  const auto& messages = world_.remote_request->messages;
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[1].wire,
            R"({"role":"assistant","content":"I look.","tool_calls":[)"
            R"({"id":"a","type":"function","function":{"name":"weather","arguments":"{}"}},)"
            R"({"id":"b","type":"function","function":{"name":"weather","arguments":"{}"}}]})");
  EXPECT_EQ(messages[2].content, "fog");
  EXPECT_EQ(messages[3].content, "sun");
}

TEST_F(ServiceTest, SaysWhereAPromptWouldGo) {
  serve();
  const auto decided = [&](const std::string& body) {
    const std::string text = raw(body, "/v1/route");
    EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK")) << body;
    return *parse_json(text.substr(text.find("\r\n\r\n") + 4));
  };
  EXPECT_EQ(decided(body_of(kEasy))["place"], "local");
  EXPECT_EQ(decided(R"({"prompt":"0.2"})")["place"], "remote");
  EXPECT_EQ(decided(R"({"prompt":"0.2","model":"auto@0.1"})")["place"], "local");
  EXPECT_THAT(raw("{}", "/v1/route"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(raw(R"({"prompt":"0.2","model":"none"})", "/v1/route"), StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(world_.n_questions, 0) << "nobody was asked";
}

TEST_F(ServiceTest, FunctionsAreTheRemotesBusiness) {
  serve();
  world_.tool_calls = {{"c1", "weather", R"({"at":"Bern"})"}};
  const std::string tools =
      R"(,"tools":[{"type":"function","function":{"name":"weather","parameters":{}}}])";
  const std::string whole = raw(body_of(kEasy, tools));
  EXPECT_THAT(whole, HasSubstr("x-agentcompress-reason: tools\r\n"));
  const Json json = *parse_json(whole.substr(whole.find("\r\n\r\n") + 4));
  EXPECT_EQ(json["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_EQ(json["choices"][0]["message"]["tool_calls"][0]["function"]["name"], "weather");
  const std::string stream = raw(body_of(kEasy, tools + R"(,"stream":true)"));
  EXPECT_THAT(stream, HasSubstr(R"("tool_calls":[{"index":0,"id":"c1","type":"function")"));
  EXPECT_THAT(stream, HasSubstr(R"("finish_reason":"tool_calls")"));
  const std::string response = raw(
      R"({"model":"auto","input":"0.8","stream":true,"tools":[{"type":"function","name":"weather"}]})",
      "/v1/responses");
  EXPECT_THAT(response, HasSubstr("event: response.function_call_arguments.done"));
  EXPECT_THAT(response, HasSubstr(R"("call_id":"c1")"));
  // Where the remote does not answer a variant does, held to the same functions.
  world_.remote_error = Error{ErrorCode::kRemote, "connect: refused"};
  world_.local_pieces = {R"({"name":"wea)", R"(ther","arguments":)", R"({"at":"Bern"}})"};
  for (const char* more : {"", R"(,"stream":true)"}) {
    const std::string here = raw(body_of(kEasy, tools + more));
    EXPECT_THAT(here, HasSubstr(R"("name":"weather","arguments":"{\"at\":\"Bern\"}")"));
    EXPECT_THAT(here, HasSubstr(R"("finish_reason":"tool_calls")"));
    EXPECT_THAT(here, HasSubstr(R"("reason":"remote_down")"));
  }
  EXPECT_THAT(world_.local_prompts.back(), HasSubstr("chat 0.8"));
  world_.local_pieces = kPieces;
  EXPECT_THAT(raw(body_of(kEasy, tools)), HasSubstr(kWhole)) << "words will do";
  EXPECT_THAT(raw(body_of(kEasy, R"(,"tools":[{"type":"function","function":{"name":"f",)"
                                 R"("parameters":{"type":"object","patternProperties":{}}}}])")),
              StartsWith("HTTP/1.1 400"))
      << "what a grammar cannot keep is not passed over";
}

TEST_F(ServiceTest, TextsBecomeVectors) {
  serve({.embeds = "q8"});
  const auto embedded = [&](const std::string& body) {
    const std::string text = raw(body, "/v1/embeddings");
    EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK")) << text;
    return *parse_json(text.substr(text.find("\r\n\r\n") + 4));
  };
  const Json two = embedded(R"({"model":"auto","input":["a","b c"]})");
  EXPECT_EQ(two["model"], "q8");
  ASSERT_EQ(two["data"].size(), 2u);
  EXPECT_EQ(two["data"][1]["index"], 1);
  EXPECT_EQ(two["data"][1]["embedding"], Json({0.5, -2.0}));
  EXPECT_GT(two["usage"]["prompt_tokens"], 0);
  const Json coded = embedded(R"({"model":"q4","input":"a","encoding_format":"base64"})");
  EXPECT_EQ(coded["data"][0]["embedding"], "AAAAPwAAAMA=");
  EXPECT_EQ(coded["model"], "q4");
  for (const char* wrong : {R"("input":[1,2])", R"("input":"")", R"("input":[])", R"("inputs":"a")",
                            R"("input":"a","encoding_format":"int8")",
                            R"("input":"a","dimensions":64)"}) {
    EXPECT_THAT(raw(fmt::format(R"({{"model":"auto",{}}})", wrong), "/v1/embeddings"),
                StartsWith("HTTP/1.1 400"))
        << wrong;
  }
  EXPECT_THAT(raw(R"({"model":"remote","input":"a"})", "/v1/embeddings"),
              StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(raw(R"({"model":"q5","input":"a"})", "/v1/embeddings"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(raw(R"({"model":"auto","input":")" + std::string(200, 'x') + R"("})",
                  "/v1/embeddings"),
              HasSubstr("context_length_exceeded"));
}

TEST_F(ServiceTest, ModelsHaveAnAddressEach) {
  serve();
  EXPECT_THAT(get("/v1/models/q4"), HasSubstr(R"({"id":"q4","object":"model")"));
  EXPECT_THAT(get("/v1/models/q5"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(get("/v1/modelsandmore"), StartsWith("HTTP/1.1 404"));
}

TEST_F(ServiceTest, ModelsMayHaveOtherNames) {
  serve({.aliases = {{"gpt-4o", "auto"}, {"strict", "auto@0.9"}, {"small", "q4"}}});
  const auto asked = [&](const std::string& model) {
    return raw(R"({"model":")" + model + R"(","messages":[{"role":"user","content":"0.8"}]})");
  };
  EXPECT_THAT(asked("gpt-4o"), HasSubstr("x-agentcompress-route: local"));
  EXPECT_THAT(asked("strict"), HasSubstr("x-agentcompress-variant: f16"));
  EXPECT_THAT(asked("small"), HasSubstr("x-agentcompress-reason: pinned"));
  EXPECT_THAT(get("/v1/models"), HasSubstr(R"("id":"gpt-4o")"));
}

TEST_F(ServiceTest, CountsWhatItDoes) {
  serve();
  raw(body_of(kEasy));
  raw(body_of(kHard));
  raw("{");
  const std::string text = get("/metrics");
  EXPECT_THAT(text, HasSubstr("content-type: text/plain; version=0.0.4"));
  EXPECT_THAT(text, HasSubstr("agentcompress_answers_total{place=\"local\",model=\"q4\",reason="
                              "\"confident\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("agentcompress_answer_seconds_count{place=\"remote\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("agentcompress_tokens_total{place=\"local\",kind=\"completion\"} 3"));
  EXPECT_THAT(text, HasSubstr("agentcompress_refusals_total{status=\"400\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("agentcompress_waiting 0\n"));
}

TEST(Metrics, BucketsAddUpAndNamesAreEscaped) {
  Metrics metrics;
  Receipt receipt;
  receipt.place = Place::kRemote;
  receipt.model = "a\"b\\c\nd";
  for (const double seconds : {0.004, 0.04, 0.04, 3.0, 500.0}) {
    receipt.seconds = seconds;
    metrics.count_answer(receipt);
  }
  const std::string text = metrics.text(7);
  EXPECT_THAT(text, HasSubstr(R"(model="a\"b\\c\nd")"));
  EXPECT_THAT(text, HasSubstr("answer_seconds_bucket{place=\"remote\",le=\"0.01\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("answer_seconds_bucket{place=\"remote\",le=\"0.05\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("answer_seconds_bucket{place=\"remote\",le=\"120\"} 4\n"));
  EXPECT_THAT(text, HasSubstr("answer_seconds_bucket{place=\"remote\",le=\"+Inf\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("agentcompress_waiting 7\n"));
  // However many names a remote has, there is an end to what is told apart.
  for (int i = 0; i < 1000; ++i) {
    receipt.model = std::to_string(i);
    metrics.count_answer(receipt);
  }
  EXPECT_LT(metrics.text(0).size(), 64u << 10);
  EXPECT_THAT(metrics.text(0), HasSubstr("model=\"other\""));
}

TEST_F(ServiceTest, StepsOfAWorkflowBelongTogether) {
  serve();
  const auto step = [&](const std::string& prompt, const std::string& field) {
    return raw(body_of(prompt), "/v1/chat/completions", field);
  };
  const std::string same = "X-AgentCompress-Workflow: run 12\r\n";
  EXPECT_THAT(step("0.65", same), HasSubstr("x-agentcompress-variant: q8"));
  EXPECT_THAT(step(kEasy, same), HasSubstr("x-agentcompress-variant: q8"));
  EXPECT_THAT(step(kEasy, ""), HasSubstr("x-agentcompress-variant: q4"));
  EXPECT_THAT(raw(R"({"model":"auto","messages":[{"role":"user","content":"0.8"}],)"
                  R"("metadata":{"agentcompress_workflow":"run 12"}})"),
              HasSubstr("x-agentcompress-variant: q8"));
  EXPECT_THAT(step(kEasy, "X-AgentCompress-Workflow: " + std::string(300, 'x') + "\r\n"),
              StartsWith("HTTP/1.1 400"));
}

TEST_F(ServiceTest, WhoIsIdleLearns) {
  auto gates = std::make_shared<const Gates>(
      plain_gates({"q4", "q8", "f16", "full"}, {0, 0, 0, 3}));
  learner_ = UseLearner::open(gates, "").value();
  judge_.judge = [](std::string_view, const RequestFacts&) {
    Judgement judgement{.gate = GateKind::kNgram, .prediction = {{0.1f, 0.1f, 0.1f, 0.9f}}};
    judgement.allowance = 0;
    return judgement;
  };
  std::atomic<int> n_local = 0;
  world_.on_generate = [&] { ++n_local; };
  serve({.idle = 50ms});
  EXPECT_THAT(raw(body_of(kHard)), HasSubstr("x-agentcompress-route: remote"));
  for (int i = 0; i < 100 && n_local == 0; ++i) std::this_thread::sleep_for(20ms);
  EXPECT_EQ(n_local, 1);
  service_.reset();
  EXPECT_EQ(learner_->learning()->n_labels(), 1u);
}

TEST_F(ServiceTest, AFailureInMidStreamIsAnEventAndNotAnEnd) {
  serve();
  world_.generate_error = Error{ErrorCode::kIo, "the disk is gone"};
  world_.pieces_before_error = 2;
  const std::string text = raw(body_of(kEasy, R"(,"stream":true)"));
  EXPECT_THAT(text, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(text, HasSubstr(R"("content":"one")"));
  EXPECT_THAT(text, HasSubstr("the disk is gone"));
  EXPECT_THAT(text, HasSubstr("data: [DONE]"));
  EXPECT_EQ(text.find(R"("finish_reason":"stop")"), std::string::npos);
}

TEST_F(ServiceTest, WhatIsThrownCostsOneRequest) {
  serve();
  world_.on_generate = [] { throw std::bad_alloc(); };
  const std::string text = raw(body_of(kEasy));
  EXPECT_THAT(text, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(text, HasSubstr("insufficient_memory"));
  world_.on_generate = [] { throw std::runtime_error("a library's own"); };
  EXPECT_THAT(raw(body_of(kEasy)), StartsWith("HTTP/1.1 500"));
  world_.on_generate = nullptr;
  EXPECT_THAT(raw(body_of(kEasy)), StartsWith("HTTP/1.1 200"));
}

TEST_F(ServiceTest, AFullQueueSaysSo) {
  serve({.answers = 1, .queue = 1});
  std::promise<void> started, go_on;
  auto release = go_on.get_future().share();
  world_.on_generate = [&] {
    started.set_value();
    release.wait();
    world_.on_generate = nullptr;
  };
  std::vector<std::future<std::string>> answers;
  answers.push_back(std::async(std::launch::async, [&] { return raw(body_of(kEasy)); }));
  started.get_future().wait();
  // One waits; of five more, four are too many.
  for (int i = 0; i < 5; ++i) {
    answers.push_back(std::async(std::launch::async, [&] { return raw(body_of(kEasy)); }));
  }
  std::this_thread::sleep_for(200ms);
  go_on.set_value();
  int n_answered = 0, n_refused = 0;
  for (auto& answer : answers) {
    const std::string text = answer.get();
    if (text.starts_with("HTTP/1.1 200")) ++n_answered;
    if (text.starts_with("HTTP/1.1 429") && text.find("retry-after: 1") != std::string::npos)
      ++n_refused;
  }
  EXPECT_EQ(n_answered, 2);
  EXPECT_EQ(n_refused, 4);
}

// Told to stop, it refuses who waits, lets who runs go on for a while, and then ends that with an error.
TEST_F(ServiceTest, StopsInSteps) {
  serve({.answers = 1});
  std::promise<void> started;
  world_.obeys_cancel = true;
  world_.on_piece = [&, first = true]() mutable {
    if (std::exchange(first, false)) started.set_value();
    std::this_thread::sleep_for(400ms);  // longer than the server waits
  };
  auto running = std::async(std::launch::async, [&] { return raw(body_of(kEasy, R"(,"stream":true)")); });
  started.get_future().wait();
  auto waiting = std::async(std::launch::async, [&] { return raw(body_of(kEasy)); });
  std::this_thread::sleep_for(50ms);
  server_->stop();
  const std::string refused = waiting.get();
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(refused, HasSubstr("retry-after"));
  EXPECT_THAT(refused, HasSubstr("the server is stopping"));
  const std::string cut = running.get();
  EXPECT_THAT(cut, HasSubstr(R"("content":"one")"));
  EXPECT_THAT(cut, HasSubstr("the server is stopping"));
  EXPECT_THAT(cut, HasSubstr("data: [DONE]"));
  EXPECT_EQ(cut.find(R"("finish_reason":"stop")"), std::string::npos);
  thread_.join();
}

TEST_F(ServiceTest, WhatWaitsWhenItStopsIsToldSo) {
  serve();
  std::promise<void> started, go_on;
  auto release = go_on.get_future().share();
  world_.on_generate = [&] {
    started.set_value();
    release.wait();
    world_.on_generate = nullptr;
  };
  auto running = std::async(std::launch::async, [&] { return raw(body_of(kEasy)); });
  started.get_future().wait();
  auto waiting = std::async(std::launch::async, [&] { return raw(body_of(kEasy)); });
  std::this_thread::sleep_for(100ms);
  std::thread ending([&] { service_.reset(); });
  std::this_thread::sleep_for(50ms);
  go_on.set_value();
  ending.join();
  EXPECT_THAT(waiting.get(), StartsWith("HTTP/1.1 503"));
  (void)running.get();
}

}  // namespace
}  // namespace ac
