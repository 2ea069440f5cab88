// Answers of POST /v1/chat/completions and /v1/completions, as OpenAI's clients expect them.
#pragma once

#include <string>
#include <string_view>

#include "runtime/core/json.h"
#include "runtime/server/reply_form.h"

namespace ac {

class ChatForm final : public ReplyForm {
 public:
  // `is_chat`: else the text that continues a prompt. `include_usage`: a last chunk counts tokens.
  ChatForm(ReplyHead head, bool is_chat, bool include_usage);

  std::string opening() override;
  std::string piece(std::string_view text) override;
  std::string closing(const RoutedAnswer& answer) override;
  std::string broken(int status, std::string_view message, std::string_view code) override;
  std::string whole(const RoutedAnswer& answer) override;

 private:
  OrderedJson chunk(OrderedJson choices) const;
  OrderedJson choice(std::string_view piece, std::string_view reason, bool role = false) const;
  bool is_chat_, include_usage_;
};

}  // namespace ac
