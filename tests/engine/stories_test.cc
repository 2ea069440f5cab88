// A real trained model, in both versions of its file: the published text, exactly, for any number
// of threads. Run once for each instruction set.
#include <gtest/gtest.h>

#include <filesystem>

#include "cpu/isa.h"
#include "models/store/gguf.h"
#include "runtime/engine/session.h"

namespace ac {
namespace {

// As published with the model: temperature 0, no prompt.
constexpr std::string_view kPublished =
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball. She wanted to play with it, but it was too high.";

class Stories : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    path_ = std::string(AC_SHARED_DATA "/models/") + GetParam();
    if (!std::filesystem::exists(path_)) GTEST_SKIP() << path_ << " is not there";
    const auto isa = cpu::choose_isa();
    if (!isa && isa.error().code == ErrorCode::kUnsupported) GTEST_SKIP() << isa.error().message;
  }
  std::unique_ptr<Engine> load(const EngineOptions& options) const {
    auto checkpoint = open_gguf(path_);
    EXPECT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
    if (!checkpoint) return nullptr;
    auto engine = Engine::load(std::move(*checkpoint), options);
    EXPECT_TRUE(engine.has_value()) << engine.error().message;
    return engine ? std::move(*engine) : nullptr;
  }
  std::string path_;
};

INSTANTIATE_TEST_SUITE_P(BothVersions, Stories,
                         testing::Values("stories260K.gguf", "stories260K-gguf-v1.gguf"),
                         [](const auto& test) {
                           return std::string(test.param).find("v1") == std::string::npos ? "v3"
                                                                                          : "v1";
                         });

TEST_P(Stories, TellTheirStory) {
  for (const KvFormat kv_format : {KvFormat::kF16, KvFormat::kF32}) {
    for (int n_threads : {1, 2, 3, 4}) {
      auto engine = load({.n_threads = n_threads, .kv_format = kv_format});
      ASSERT_NE(engine, nullptr);
      const int32_t bos[] = {*engine->tokenizer().bos()};
      GenerateOptions options;
      options.max_tokens = 120;
      std::string streamed;
      options.on_text = [&](std::string_view piece) {
        streamed += piece;
        return streamed.size() < kPublished.size();
      };
      const auto made = engine->generate(bos, options);
      ASSERT_TRUE(made.has_value()) << made.error().message;
      EXPECT_EQ(made->text.substr(0, kPublished.size()), kPublished) << n_threads << " threads";
      EXPECT_EQ(streamed, made->text);
    }
  }
}

// The beginning given as a prompt goes on in the same way.
TEST_P(Stories, GoOnFromAPrompt) {
  auto engine = load({});
  ASSERT_NE(engine, nullptr);
  const size_t half = kPublished.find(" She loved");
  const auto prompt = engine->tokens_of_text(kPublished.substr(0, half));
  EXPECT_EQ(prompt.front(), *engine->tokenizer().bos());
  GenerateOptions options;
  options.stop = {" too high."};
  const auto made = engine->generate(prompt, options);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(made->finish, FinishReason::kStop);
  EXPECT_EQ(made->text + " too high.", kPublished.substr(half));
}

// A model that has only ever told stories keeps to a grammar all the same.
TEST_P(Stories, KeepToAGrammar) {
  auto engine = load({});
  ASSERT_NE(engine, nullptr);
  Grammar grammar;
  // name ::= letter name | letter;  root ::= "(" name ("," name)* ")"
  const auto letter = grammar.any_of(bytes_between('a', 'z'));
  const int32_t name = grammar.add_rule();
  grammar.add_choice(name, {letter, grammar.rule(name)});
  grammar.add_choice(name, {letter});
  const int32_t rest = grammar.add_rule();
  grammar.add_choice(rest, grammar.text(")"));
  grammar.add_choice(rest, grammar.text(",") +
                               Grammar::Sequence{grammar.rule(name), grammar.rule(rest)});
  grammar.set_root(grammar.rule_of(
      {grammar.text("(") + Grammar::Sequence{grammar.rule(name), grammar.rule(rest)}}));
  const auto shared = std::make_shared<const Grammar>(grammar);
  for (const float temperature : {0.0f, 1.5f}) {
    GenerateOptions options{.max_tokens = 40};
    options.sampler.temperature = temperature;
    options.grammar = shared;
    const auto made = engine->generate(engine->tokens_of_text("Once upon"), options);
    ASSERT_TRUE(made) << made.error().message;
    GrammarMachine machine(*shared);
    int32_t state = machine.start();
    for (const char byte : made->text) {
      state = machine.next(state, static_cast<uint8_t>(byte));
      ASSERT_NE(state, GrammarMachine::kDead) << made->text;
    }
    EXPECT_EQ(made->finish == FinishReason::kStop, machine.may_end(state)) << made->text;
  }
}

// Where only one text is possible that one is written, and the answer ends by itself.
TEST_P(Stories, WriteWhatAloneIsAllowed) {
  auto engine = load({});
  ASSERT_NE(engine, nullptr);
  auto grammar = std::make_shared<Grammar>();
  const std::string only = "{\"é\": [1, 2, \"Lily\"]}\n";
  grammar->set_root(grammar->rule_of({grammar->text(only)}));
  GenerateOptions options{.max_tokens = 80};
  options.grammar = grammar;
  const auto made = engine->generate(engine->tokens_of_text("Once upon"), options);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->text, only);
  EXPECT_EQ(made->finish, FinishReason::kStop);
}

}  // namespace
}  // namespace ac
