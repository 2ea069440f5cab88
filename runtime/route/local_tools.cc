#include "runtime/route/local_tools.h"

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "models/text/json_grammar.h"
#include "runtime/core/ordered_json.h"

namespace ac {
namespace {

// The name of the one function that has to be called; empty: any, or none.
std::string chosen_name(const OrderedJson& choice) {
  const OrderedJson* function = json_find(choice, "function");
  const OrderedJson* name = function == nullptr ? nullptr : json_find(*function, "name");
  return name != nullptr && name->is_string() ? name->get<std::string>() : "";
}

OrderedJson schema_of_call(const OrderedJson& function) {
  const OrderedJson* parameters = json_find(function, "parameters");
  const bool has_parameters = parameters != nullptr && !parameters->empty();
  return {{"type", "object"},
          {"properties",
           {{"name", {{"const", function.at("name")}}},
            {"arguments", has_parameters ? *parameters : OrderedJson{{"type", "object"}}}}},
          {"required", {"name", "arguments"}},
          {"additionalProperties", false}};
}

// The client puts a call's result beside it by this.
std::string call_id() {
  std::random_device random;
  return fmt::format("call_{:08x}{:08x}", random(), random());
}

// What a message says in words, where it calls functions or tells what one has said.
ChatMessage in_words(const ChatMessage& message) {
  if (message.wire.empty()) return message;
  if (message.role == "tool") return {"user", "The function says:\n" + message.content};
  ChatMessage words{message.role, message.content};
  const OrderedJson wire = OrderedJson::parse(message.wire, nullptr, false);
  const OrderedJson* calls = json_find(wire, "tool_calls");
  if (calls == nullptr) return words;
  for (const OrderedJson& call : *calls) {
    const OrderedJson& function = call.at("function");
    const auto& arguments = function.at("arguments").get_ref<const std::string&>();
    if (!words.content.empty()) words.content += "\n";
    words.content += fmt::format(R"({{"name":{},"arguments":{}}})", function.at("name").dump(),
                                 arguments.empty() ? "{}" : arguments);
  }
  return words;
}

bool matches(const Grammar& grammar, std::string_view text) {
  GrammarMachine machine(grammar);
  int32_t state = machine.start();
  for (const char byte : text) {
    if (state == GrammarMachine::kDead) return false;
    state = machine.next(state, static_cast<uint8_t>(byte));
  }
  return state != GrammarMachine::kDead && machine.may_end(state);
}

}  // namespace

Result<LocalTools> LocalTools::create(std::string_view tools, std::string_view tool_choice) {
  const OrderedJson functions = OrderedJson::parse(tools, nullptr, false);
  const OrderedJson choice =
      tool_choice.empty() ? OrderedJson("auto") : OrderedJson::parse(tool_choice, nullptr, false);
  if (!functions.is_array()) return fail(ErrorCode::kInvalidArgument, "tools are not a list");
  const std::string chosen = chosen_name(choice);
  OrderedJson any = OrderedJson::array();
  LocalTools made;
  made.told_ = "You can call these functions:\n";
  for (const OrderedJson& tool : functions) {
    const OrderedJson& function = tool.at("function");
    made.told_ += function.dump() + "\n";
    if (chosen.empty() || function.at("name") == chosen) any.push_back(schema_of_call(function));
  }
  if (any.empty()) {
    return fail(ErrorCode::kInvalidArgument, "tool_choice names '{}', which is none of the tools",
                chosen);
  }
  made.told_ += R"(To call one, answer with {"name": ..., "arguments": {...}} and nothing else.)";
  AC_TRY(made.calls_, json_schema_grammar(OrderedJson{{"anyOf", std::move(any)}}));
  const bool has_to_call = !chosen.empty() || choice == "required";
  if (has_to_call) made.wanted_ = made.calls_;
  return made;
}

std::vector<ChatMessage> LocalTools::told(const std::vector<ChatMessage>& messages) const {
  std::vector<ChatMessage> words;
  for (const ChatMessage& message : messages) words.push_back(in_words(message));
  if (!words.empty() && words.front().role == "system") {
    words.front().content += "\n\n" + told_;
  } else {
    words.insert(words.begin(), {"system", told_});
  }
  return words;
}

std::optional<ToolCall> LocalTools::call_in(std::string_view answer) const {
  constexpr std::string_view kBlanks = " \t\r\n";
  const size_t begin = answer.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return std::nullopt;
  answer = answer.substr(begin, answer.find_last_not_of(kBlanks) - begin + 1);
  if (!matches(*calls_, answer)) return std::nullopt;
  const OrderedJson call = OrderedJson::parse(answer, nullptr, false);
  if (!call.is_object()) return std::nullopt;
  return ToolCall{call_id(), call.at("name").get<std::string>(), call.at("arguments").dump()};
}

}  // namespace ac
