// Answers of POST /v1/responses: a message of text and calls of functions, whole or as typed events.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/core/json.h"
#include "runtime/server/reply_form.h"

namespace ac {

class ResponsesForm final : public ReplyForm {
 public:
  explicit ResponsesForm(ReplyHead head);

  std::string opening() override;
  std::string piece(std::string_view text) override;
  std::string closing(const RoutedAnswer& answer) override;
  std::string broken(int status, std::string_view message, std::string_view code) override;
  std::string whole(const RoutedAnswer& answer) override;

  // The answer's output as messages of the conversation that goes on, by their ids.
  std::vector<std::pair<std::string, ChatMessage>> items(const RoutedAnswer& answer) const override;

 private:
  static bool has_message(const RoutedAnswer& answer);
  std::string call_item(size_t i) const { return fmt::format("fc_{}_{}", item_, i); }
  std::string message_begins();
  std::string message_ends(const RoutedAnswer& answer, const OrderedJson& item);
  std::string call_events(size_t index, const OrderedJson& call);
  std::string event(std::string_view type, OrderedJson data);
  OrderedJson response(std::string_view status, OrderedJson output) const;
  OrderedJson message(std::string_view status, OrderedJson content) const;
  OrderedJson finished(const RoutedAnswer& answer) const;
  std::string item_;  // the message's id
  bool message_begun_ = false;
  int64_t n_events_ = 0;
};

}  // namespace ac
