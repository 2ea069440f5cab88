#include "runtime/engine/model_text.h"

namespace ac {

Result<ModelText> ModelText::create(const Checkpoint& checkpoint) {
  ModelText text;
  text.origin_ = checkpoint.origin;
  AC_TRY(text.tokenizer_, Tokenizer::from_checkpoint(checkpoint));
  constexpr std::string_view kTemplateKey = "tokenizer.chat_template";
  if (checkpoint.has(kTemplateKey)) {
    AC_TRY(const std::string_view source, checkpoint.get_string(kTemplateKey));
    text.template_ = ChatTemplate::parse(source);
  }
  return text;
}

std::vector<int32_t> ModelText::with_bos(std::vector<int32_t> tokens) const {
  const std::optional<int32_t> bos = tokenizer_->bos();
  const bool there = !tokens.empty() && bos.has_value() && tokens.front() == *bos;
  if (tokenizer_->adds_bos() && bos.has_value() && !there) tokens.insert(tokens.begin(), *bos);
  return tokens;
}

std::vector<int32_t> ModelText::tokens_of_text(std::string_view text) const {
  return with_bos(tokenizer_->encode(text));
}

Result<std::vector<int32_t>> ModelText::tokens_of_chat(
    const std::vector<ChatMessage>& messages) const {
  if (!template_.has_value()) {
    std::string text;
    for (const ChatMessage& message : messages) {
      if (!text.empty()) text += '\n';
      text += message.content;
    }
    return tokens_of_text(text);
  }
  if (!template_->has_value()) {
    return with_context(template_->error(), fmt::format("{}: chat template", origin_));
  }
  const auto text_of = [&](std::optional<int32_t> id) {
    return id.has_value() ? std::string(tokenizer_->token_bytes(*id, true)) : std::string();
  };
  AC_TRY(const MarkedText text, (*template_)
                                    ->render({.messages = messages,
                                              .add_generation_prompt = true,
                                              .bos_token = text_of(tokenizer_->bos()),
                                              .eos_token = text_of(tokenizer_->eos())}));
  return with_bos(tokenizer_->encode_marked(text));
}

}  // namespace ac
