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

}  // namespace
}  // namespace ac
