// The library with a real model: answers, streams, stops, vectors, threads.
#include <gmock/gmock.h>

#include <cmath>
#include <future>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <thread>
#include <utility>

#include "models/compress/pack.h"
#include "runtime/core/json.h"
#include "tests/capi/handle_fixture.h"

namespace ac::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class Library : public StoryTest {};

TEST_F(Library, AnswersWithAReceipt) {
  const AnswerPtr answer = ask("Once upon a time", options_of(70));
  ASSERT_NE(answer, nullptr) << agentcompress_last_error();
  // What was given back outlives the handle.
  handle_.reset();
  EXPECT_THAT(answer->text, StartsWith(std::string(kStory)));
  EXPECT_EQ(answer->text_bytes, std::string_view(answer->text).size());
  EXPECT_EQ(answer->place, AC_PLACE_LOCAL);
  EXPECT_STREQ(answer->model, "stories260K");
  EXPECT_STREQ(answer->reason, "no_predictor");
  EXPECT_STREQ(answer->finish, "length");
  EXPECT_EQ(answer->completion_tokens, 70);
  EXPECT_GT(answer->prompt_tokens, 0);
  EXPECT_GT(answer->seconds, 0);
  EXPECT_GT(answer->first_token_seconds, 0);
  EXPECT_EQ(answer->cost_usd, 0);
  const auto receipt = parse_json(answer->receipt_json);
  ASSERT_TRUE(receipt) << answer->receipt_json;
  EXPECT_EQ((*receipt)["route"], "local");
  EXPECT_EQ((*receipt)["completion_tokens"], 70);
}

TEST_F(Library, WhatIsNotSaidIsAsSet) {
  handle_ = open(nullptr, {"generate.max_tokens=5"}, model_.c_str());
  const agentcompress_message question = {"user", "Once upon a time"};
  agentcompress_answer* answer = nullptr;
  ASSERT_EQ(agentcompress_ask(handle_.get(), &question, 1, nullptr, &answer), AC_OK);
  EXPECT_EQ(AnswerPtr(answer)->completion_tokens, 5);
  EXPECT_EQ(ask("Once upon a time", AC_ASK_OPTIONS_INIT)->completion_tokens, 5);
}

TEST_F(Library, StreamsWhatItAnswers) {
  Heard heard;
  int n_pieces = 0;
  heard.then = [&](std::string_view) { return ++n_pieces < 0; };
  agentcompress_ask_options options = options_of(20);
  heard.listen(options);
  const AnswerPtr answer = ask("Once upon a time", options);
  ASSERT_NE(answer, nullptr) << agentcompress_last_error();
  EXPECT_EQ(heard.text, answer->text);
  EXPECT_GT(n_pieces, 10);
}

TEST_F(Library, StopsWhereTheCallbackSaysSo) {
  Heard heard;
  heard.then = [&](std::string_view) { return heard.text.size() >= 10; };
  agentcompress_ask_options options = options_of(70);
  heard.listen(options);
  const AnswerPtr answer = ask("Once upon a time", options);
  ASSERT_EQ(code_, AC_OK) << agentcompress_last_error();
  EXPECT_STREQ(answer->finish, "cancelled");
  EXPECT_EQ(heard.text, answer->text);
  EXPECT_LT(heard.text.size(), 25u);
}

TEST_F(Library, ACallbackMayNotUseItsHandle) {
  Heard heard;
  agentcompress_code inner = AC_OK;
  std::string words;
  heard.then = [&](std::string_view) {
    const agentcompress_message question = {"user", "Once"};
    agentcompress_answer* answer = nullptr;
    inner = agentcompress_ask(handle_.get(), &question, 1, nullptr, &answer);
    words = agentcompress_last_error();  // of the thread that calls back
    EXPECT_EQ(answer, nullptr);
    agentcompress_close(handle_.get());
    agentcompress_cancel(handle_.get());
    return 0;
  };
  agentcompress_ask_options options = options_of(70);
  heard.listen(options);
  const AnswerPtr answer = ask("Once upon a time", options);
  ASSERT_EQ(code_, AC_OK) << agentcompress_last_error();
  EXPECT_EQ(inner, AC_INVALID_ARGUMENT);
  EXPECT_THAT(words, HasSubstr("callback"));
  EXPECT_STREQ(answer->finish, "cancelled");
  EXPECT_NE(ask("Once", options_of(2)), nullptr) << "it is still open";
}

TEST_F(Library, WhatACallbackThrowsStaysInside) {
  Heard heard;
  heard.then = [](std::string_view) -> int { throw std::runtime_error("of the caller"); };
  agentcompress_ask_options options = options_of(70);
  heard.listen(options);
  EXPECT_EQ(ask("Once upon a time", options), nullptr);
  EXPECT_EQ(code_, AC_CANCELLED);
  EXPECT_THAT(agentcompress_last_error(), HasSubstr("on_text"));
  EXPECT_NE(ask("Once", options_of(2)), nullptr);
}

TEST_F(Library, AnotherThreadMayEndIt) {
  handle_ = open(nullptr, {"engine.context=100000"}, model_.c_str());
  Heard heard;
  std::promise<void> begun;
  heard.then = [&, first = true](std::string_view) mutable {
    if (std::exchange(first, false)) begun.set_value();
    return 0;
  };
  agentcompress_ask_options options = options_of(90000);
  heard.listen(options);
  std::thread other([&] {
    begun.get_future().wait();
    agentcompress_cancel(handle_.get());
  });
  const AnswerPtr answer = ask("Once upon a time", options);
  other.join();
  ASSERT_EQ(code_, AC_OK) << agentcompress_last_error();
  EXPECT_STREQ(answer->finish, "cancelled");
  EXPECT_STREQ(ask("Once", options_of(2))->finish, "length") << "what is asked later goes on";
}

TEST_F(Library, SamplesAndStopsAsAsked) {
  agentcompress_ask_options options = options_of(30);
  options.temperature = 1;
  options.top_p = 0.95;
  options.seed = 1;
  const std::string one = ask("Once", options)->text;
  EXPECT_EQ(ask("Once", options)->text, one);
  options.seed = 2;
  EXPECT_NE(ask("Once", options)->text, one);
  const char* const stop[] = {"never said", "Lily", nullptr};
  options = options_of(70);
  options.stop = stop;
  const AnswerPtr answer = ask("Once upon a time", options);
  EXPECT_STREQ(answer->text, ", there was a little girl named ");
  EXPECT_STREQ(answer->finish, "stop");
}

TEST_F(Library, AnswersInJsonOfASchema) {
  agentcompress_ask_options options = options_of(120);
  options.json_schema = R"({"type":"object","properties":{"who":{"type":"string","maxLength":12},
      "n":{"type":"integer","minimum":3,"maximum":42}},"required":["who","n"],
      "additionalProperties":false})";
  const AnswerPtr answer = ask("Once upon a time", options);
  ASSERT_NE(answer, nullptr) << agentcompress_last_error();
  const auto json = parse_json(answer->text);
  ASSERT_TRUE(json) << answer->text;
  EXPECT_GE((*json)["n"], 3);
  EXPECT_LE((*json)["n"], 42);
}

TEST_F(Library, ThreadsShareAHandle) {
  const std::string expected = ask("Once upon a time", options_of(20))->text;
  std::vector<std::future<std::string>> answers;
  for (int i = 0; i < 2; ++i) {
    answers.push_back(std::async(std::launch::async, [&] {
      EXPECT_STREQ(agentcompress_last_error(), "") << "errors are a thread's own";
      const agentcompress_message question = {"user", "Once upon a time"};
      const agentcompress_ask_options options = options_of(20);
      std::string all;
      for (int j = 0; j < 3; ++j) {
        agentcompress_answer* answer = nullptr;
        if (agentcompress_ask(handle_.get(), &question, 1, &options, &answer) == AC_OK) {
          all += AnswerPtr(answer)->text;
        }
      }
      return all;
    }));
  }
  for (auto& answer : answers) EXPECT_EQ(answer.get(), expected + expected + expected);
}

TEST_F(Library, SaysWhereAQuestionWouldGo) {
  const agentcompress_message messages[] = {{"system", "Be brief."}, {"user", "Once"}};
  char* text = nullptr;
  ASSERT_EQ(agentcompress_route(handle_.get(), messages, 2, nullptr, &text), AC_OK)
      << agentcompress_last_error();
  const auto json = parse_json(text);
  agentcompress_free(text);
  ASSERT_TRUE(json);
  EXPECT_EQ((*json)["place"], "local");
  EXPECT_EQ((*json)["variant"], "stories260K");
  EXPECT_EQ((*json)["reason"], "no_predictor");
}

TEST_F(Library, TextsBecomeVectors) {
  const auto vector_of = [&](const char* text, const char* model) {
    float* floats = nullptr;
    size_t n = 0;
    EXPECT_EQ(agentcompress_embed(handle_.get(), model, text, &floats, &n), AC_OK)
        << agentcompress_last_error();
    std::vector<float> vector(floats, floats + n);
    agentcompress_free(floats);
    return vector;
  };
  const std::vector<float> one = vector_of("a red ball", nullptr);
  double length = 0;
  for (const float x : one) length += static_cast<double>(x) * static_cast<double>(x);
  EXPECT_NEAR(std::sqrt(length), 1, 1e-5);
  EXPECT_EQ(vector_of("a red ball", "stories260K"), one);
  EXPECT_NE(vector_of("a blue park", "local"), one);
}

TEST_F(Library, AnswersFromAZoo) {
  // Known by what is in it and not by its name.
  const std::string zoo = path("lab.archive");
  const auto packed =
      pack_zoo({.base_path = model_, .zoo_path = zoo, .variants = {"q8_0", "q4_0"}});
  ASSERT_TRUE(packed) << packed.error().message;
  handle_ = open(nullptr, {}, zoo.c_str());
  ASSERT_NE(handle_, nullptr) << agentcompress_last_error();
  const char** names = nullptr;
  ASSERT_EQ(agentcompress_models(handle_.get(), &names), AC_OK);
  std::vector<std::string> listed;
  for (const char** name = names; *name != nullptr; ++name) listed.emplace_back(*name);
  agentcompress_free(names);
  EXPECT_THAT(listed, ElementsAre("auto", "local", "q4_0", "q8_0", "f32"));
  agentcompress_ask_options options = options_of(10);
  EXPECT_STREQ(ask("Once upon a time", options)->model, "f32") << "the best without a predictor";
  options.model = "q4_0";
  const AnswerPtr answer = ask("Once upon a time", options);
  EXPECT_STREQ(answer->model, "q4_0");
  EXPECT_STREQ(answer->reason, "pinned");
}

TEST_F(Library, WritesDownWhatItDoes) {
  ASSERT_NE(ask("Once", options_of(2)), nullptr);
  handle_.reset();
  EXPECT_TRUE(std::filesystem::exists(path("agentcompress/ledger.db")));
}

}  // namespace
}  // namespace ac::test
