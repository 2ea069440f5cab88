// An engine that answers what it was told to.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "runtime/engine/session.h"

namespace ac {

// Tokens are the numbers of its prompts.
class ToldEngine final : public Engine {
 public:
  std::function<std::string(const std::string& prompt)> answer;
  int32_t n_longest = 1;  // tokens of a prompt
  FinishReason finish = FinishReason::kStop;

  const ModelConfig& config() const override { return config_; }
  const Tokenizer& tokenizer() const override { std::abort(); }
  const ChatTemplate* chat_template() const override { return nullptr; }
  int32_t n_context() const override { return 8; }
  std::string_view backend_name() const override { return "told"; }
  Result<std::vector<int32_t>> tokens_of_chat(
      const std::vector<ChatMessage>& messages) const override {
    prompts_.push_back(messages.at(0).content);
    std::vector<int32_t> tokens(static_cast<size_t>(n_longest), 0);
    tokens[0] = static_cast<int32_t>(prompts_.size()) - 1;
    return tokens;
  }
  std::vector<int32_t> tokens_of_text(std::string_view) const override { return {}; }
  Result<Generation> generate(std::span<const int32_t>, const GenerateOptions&) override {
    std::abort();
  }
  Result<std::vector<Generation>> generate_batch(
      std::span<const std::vector<int32_t>> prompts,
      std::span<const GenerateOptions> options) override {
    EXPECT_EQ(prompts.size(), options.size());
    std::vector<Generation> answers;
    for (size_t i = 0; i < prompts.size(); ++i) {
      EXPECT_EQ(options[i].sampler.temperature, 0);
      Generation made;
      made.text = answer(prompts_[static_cast<size_t>(prompts[i][0])]);
      made.tokens = {1, 2, 3};
      made.finish = finish;
      answers.push_back(std::move(made));
    }
    return answers;
  }
  void serve(const std::function<std::optional<Asked>()>&) override { std::abort(); }
  Result<std::vector<float>> logits(std::span<const int32_t>) override { std::abort(); }

 private:
  ModelConfig config_;
  mutable std::vector<std::string> prompts_;
};

}  // namespace ac
