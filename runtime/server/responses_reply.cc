#include "runtime/server/responses_reply.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "runtime/server/error_reply.h"
#include "runtime/server/tools_request.h"

namespace ac {
namespace {

OrderedJson text_part(std::string_view text) {
  return {{"type", "output_text"}, {"text", text}, {"annotations", OrderedJson::array()}};
}

// Where in the output a piece of text belongs: there is one message, of one part.
OrderedJson place_of(const std::string& item) {
  return {{"item_id", item}, {"output_index", 0}, {"content_index", 0}};
}

}  // namespace

ResponsesForm::ResponsesForm(ReplyHead head) : ReplyForm(std::move(head)) {
  item_ = "msg_" + head_.id;
  head_.id = "resp_" + head_.id;
}

std::string ResponsesForm::event(std::string_view type, OrderedJson data) {
  OrderedJson object{{"type", type}, {"sequence_number", n_events_++}};
  object.update(data);
  return fmt::format("event: {}\ndata: {}\n\n", type, json_line(object));
}

OrderedJson ResponsesForm::response(std::string_view status, OrderedJson output) const {
  return {{"id", head_.id},
          {"object", "response"},
          {"created_at", head_.created},
          {"status", status},
          {"error", nullptr},
          {"incomplete_details", nullptr},
          {"instructions", nullptr},
          {"model", head_.model},
          {"output", std::move(output)},
          {"parallel_tool_calls", false},
          {"previous_response_id", nullptr},
          {"store", false},
          {"tool_choice", "none"},
          {"tools", OrderedJson::array()},
          {"metadata", OrderedJson::object()}};
}

OrderedJson ResponsesForm::message(std::string_view status, OrderedJson content) const {
  return {{"id", item_},
          {"type", "message"},
          {"status", status},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

// Calls of functions come without a message where nothing was said beside them.
bool ResponsesForm::has_message(const RoutedAnswer& answer) {
  return !answer.text.empty() || answer.tool_calls.empty();
}

OrderedJson ResponsesForm::finished(const RoutedAnswer& answer) const {
  const Receipt& receipt = answer.receipt;
  const bool is_cut = receipt.finish == "length";
  OrderedJson output = OrderedJson::array();
  if (has_message(answer)) {
    output.push_back(message(is_cut ? "incomplete" : "completed",
                             OrderedJson::array({text_part(answer.text)})));
  }
  for (size_t i = 0; i < answer.tool_calls.size(); ++i) {
    const ToolCall& call = answer.tool_calls[i];
    output.push_back({{"id", call_item(i)},
                      {"type", "function_call"},
                      {"status", "completed"},
                      {"call_id", call.id},
                      {"name", call.name},
                      {"arguments", call.arguments}});
  }
  OrderedJson object = response(is_cut ? "incomplete" : "completed", std::move(output));
  if (is_cut) object["incomplete_details"] = {{"reason", "max_output_tokens"}};
  object["model"] = receipt.model;
  object["usage"] = {{"input_tokens", receipt.prompt_tokens},
                     {"input_tokens_details", {{"cached_tokens", receipt.reused_tokens}}},
                     {"output_tokens", receipt.completion_tokens},
                     {"output_tokens_details", {{"reasoning_tokens", 0}}},
                     {"total_tokens", receipt.prompt_tokens + receipt.completion_tokens},
                     {"cost", receipt.cost_usd}};
  object["agentcompress"] = receipt.to_json();
  return object;
}

std::string ResponsesForm::opening() {
  const OrderedJson begun = response("in_progress", OrderedJson::array());
  std::string events = event("response.created", {{"response", begun}});
  events += event("response.in_progress", {{"response", begun}});
  return events;
}

std::string ResponsesForm::message_begins() {
  if (std::exchange(message_begun_, true)) return "";
  OrderedJson part = place_of(item_);
  part["part"] = text_part("");
  std::string events =
      event("response.output_item.added",
            {{"output_index", 0}, {"item", message("in_progress", OrderedJson::array())}});
  events += event("response.content_part.added", std::move(part));
  return events;
}

std::string ResponsesForm::piece(std::string_view text) {
  OrderedJson data = place_of(item_);
  data["delta"] = text;
  std::string events = message_begins();
  events += event("response.output_text.delta", std::move(data));
  return events;
}

std::string ResponsesForm::message_ends(const RoutedAnswer& answer, const OrderedJson& item) {
  OrderedJson text = place_of(item_), part = place_of(item_);
  text["text"] = answer.text;
  part["part"] = text_part(answer.text);
  std::string events = message_begins();
  events += event("response.output_text.done", std::move(text));
  events += event("response.content_part.done", std::move(part));
  events += event("response.output_item.done", {{"output_index", 0}, {"item", item}});
  return events;
}

std::string ResponsesForm::call_events(size_t index, const OrderedJson& call) {
  OrderedJson begun = call;
  begun["status"] = "in_progress";
  begun["arguments"] = "";
  const OrderedJson place{{"item_id", call["id"]}, {"output_index", index}};
  OrderedJson delta = place, done = place;
  delta["delta"] = call["arguments"];
  done["arguments"] = call["arguments"];
  done["name"] = call["name"];
  std::string events =
      event("response.output_item.added", {{"output_index", index}, {"item", std::move(begun)}});
  events += event("response.function_call_arguments.delta", std::move(delta));
  events += event("response.function_call_arguments.done", std::move(done));
  events += event("response.output_item.done", {{"output_index", index}, {"item", call}});
  return events;
}

std::string ResponsesForm::closing(const RoutedAnswer& answer) {
  const OrderedJson object = finished(answer);
  const OrderedJson& output = object["output"];
  std::string events;
  for (size_t i = 0; i < output.size(); ++i) {
    events += output[i]["type"] == "message" ? message_ends(answer, output[i])
                                             : call_events(i, output[i]);
  }
  const bool is_cut = answer.receipt.finish == "length";
  events += event(is_cut ? "response.incomplete" : "response.completed", {{"response", object}});
  return events;
}

std::vector<std::pair<std::string, ChatMessage>> ResponsesForm::items(
    const RoutedAnswer& answer) const {
  std::vector<std::pair<std::string, ChatMessage>> items;
  if (has_message(answer)) items.emplace_back(item_, said_by(answer.text, {}));
  for (size_t i = 0; i < answer.tool_calls.size(); ++i) {
    items.emplace_back(call_item(i), said_by("", std::span(&answer.tool_calls[i], 1)));
  }
  return items;
}

std::string ResponsesForm::broken(int status, std::string_view message, std::string_view code) {
  OrderedJson object = response("failed", OrderedJson::array());
  object["error"] = error_object(status, message, "", code);
  return event("response.failed", {{"response", std::move(object)}});
}

std::string ResponsesForm::whole(const RoutedAnswer& answer) {
  return json_line(finished(answer));
}

}  // namespace ac
