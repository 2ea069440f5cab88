// A model's way from text to tokens: its tokenizer and its chat template, without its weights.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/chat_template.h"
#include "models/text/tokenizer.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// Immutable; thread-safe.
class ModelText {
 public:
  // A template beyond our Jinja is no error here: it matters only to those who chat.
  // Errors: those of Tokenizer::from_checkpoint.
  static Result<ModelText> create(const Checkpoint& checkpoint);

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  // nullptr: a base model without one, or one that could not be parsed.
  const ChatTemplate* chat_template() const {
    return template_.has_value() && template_->has_value() ? &**template_ : nullptr;
  }

  // The tokens of a conversation: the template applied, specials only from the template. A model
  // without a template continues the messages' texts, joined by newlines.
  // Errors: those of ChatTemplate::parse and render.
  Result<std::vector<int32_t>> tokens_of_chat(const std::vector<ChatMessage>& messages) const;
  // The tokens of text to continue, bos in front if the model wants it.
  std::vector<int32_t> tokens_of_text(std::string_view text) const;

 private:
  ModelText() = default;
  // The bos in front, unless it is there already.
  std::vector<int32_t> with_bos(std::vector<int32_t> tokens) const;

  std::string origin_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::optional<Result<ChatTemplate>> template_;  // none, parsed, or why it could not be
};

}  // namespace ac
