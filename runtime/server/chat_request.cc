#include "runtime/server/chat_request.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <variant>

#include "runtime/core/json.h"
#include "runtime/route/workflow_book.h"

namespace ac {
namespace {

constexpr size_t kMaxMessages = 2048;
constexpr size_t kMaxStops = 4;
constexpr size_t kMaxStopBytes = 256;
constexpr size_t kMaxModelBytes = 128;
constexpr int64_t kMaxTokens = 1'000'000;

ChatRefusal refused(std::string param, std::string message) {
  return {.status = 400, .message = std::move(message), .param = std::move(param), .code = {}};
}

// Reads fields of one object; the first mistake stays.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  const Json* find(const char* name) const { return json_find(object_, name); }
  void wrong(std::string param, std::string message) {
    if (!refusal_) refusal_ = refused(std::move(param), std::move(message));
  }
  std::optional<bool> yes_no(const char* name) {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_boolean()) return value->get<bool>();
    wrong(name, fmt::format("'{}' is a {}, expected true or false", name, value->type_name()));
    return std::nullopt;
  }
  std::optional<double> number(const char* name, double min, double max) {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_number() && value->get<double>() >= min && value->get<double>() <= max) {
      return value->get<double>();
    }
    wrong(name, fmt::format("'{}' is {}, expected a number from {} to {}", name,
                            value->is_number() ? value->dump() : value->type_name(), min, max));
    return std::nullopt;
  }
  std::optional<int64_t> integer(const char* name, int64_t min, int64_t max) {
    const Json* value = find(name);
    if (value == nullptr) return std::nullopt;
    if (value->is_number_unsigned() ? value->get<uint64_t>() <= static_cast<uint64_t>(max)
                                    : value->is_number_integer() && value->get<int64_t>() <= max) {
      const auto whole = value->get<int64_t>();
      if (whole >= min) return whole;
    }
    wrong(name, fmt::format("'{}' is {}, expected a whole number from {} to {}", name,
                            value->is_number() ? value->dump() : value->type_name(), min, max));
    return std::nullopt;
  }
  const std::optional<ChatRefusal>& refusal() const { return refusal_; }

 private:
  const Json& object_;
  std::optional<ChatRefusal> refusal_;
};

// A string, or a list of {"type": "text", "text": ...}; null is empty. The API of responses calls such
// parts input_text and output_text.
std::optional<ChatRefusal> read_content(const Json& message, const std::string& where,
                                        std::string& out) {
  const Json* content = json_find(message, "content");
  if (content == nullptr) return std::nullopt;
  const std::string param = where + ".content";
  if (const auto* text = content->get_ptr<const std::string*>()) {
    out = *text;
    return std::nullopt;
  }
  if (!content->is_array()) {
    return refused(param, fmt::format("'{}' is a {}, expected a string or a list of parts", param,
                                      content->type_name()));
  }
  for (const Json& part : *content) {
    const Json* type = part.is_object() ? json_find(part, "type") : nullptr;
    const Json* text = part.is_object() ? json_find(part, "text") : nullptr;
    const bool is_text =
        type != nullptr && (*type == "text" || *type == "input_text" || *type == "output_text");
    if (!is_text || text == nullptr || !text->is_string()) {
      return refused(param, "only parts of type 'text' can be read here");
    }
    out += text->get_ref<const std::string&>();
  }
  return std::nullopt;
}

// `list`: the field that has them.
std::optional<ChatRefusal> read_messages(const Json& object, const char* list,
                                         std::vector<ChatMessage>& out) {
  const Json* messages = json_find(object, list);
  if (messages == nullptr || !messages->is_array() || messages->empty() ||
      messages->size() > kMaxMessages) {
    return refused(list, fmt::format("'{}' must be a list of 1 to {}", list, kMaxMessages));
  }
  for (size_t i = 0; i < messages->size(); ++i) {
    const std::string where = fmt::format("{}[{}]", list, i);
    const Json& message = (*messages)[i];
    if (!message.is_object()) {
      return refused(where,
                     fmt::format("'{}' is a {}, expected an object", where, message.type_name()));
    }
    if (const Json* type = json_find(message, "type"); type != nullptr && *type != "message") {
      if (*type == "item_reference" && std::string_view(list) == "input") {
        const auto id = json_string(message, "id");
        if (!id) return refused(where + ".id", id.error().message);
        out.push_back({std::string(kReferenceRole), *id});
        continue;
      }
      auto item = read_call_item(OrderedJson(message));
      if (!item) return refused(where, item.error().message);
      if (*item) {
        out.push_back(std::move(**item));
        continue;
      }
      return refused(where + ".type", fmt::format("only messages can be read here ('{}.type')", where));
    }
    const auto role = json_string(message, "role");
    if (!role) return refused(where + ".role", role.error().message);
    static constexpr std::array<std::string_view, 5> kRoles = {"system", "developer", "user",
                                                               "assistant", "tool"};
    if (std::find(kRoles.begin(), kRoles.end(), *role) == kRoles.end()) {
      return refused(where + ".role", fmt::format("'{}.role' is not a role: expected system, "
                                                  "developer, user, assistant or tool",
                                                  where));
    }
    ChatMessage read{.role = *role == "developer" ? "system" : *role, .content = {}};
    if (auto wrong = read_content(message, where, read.content)) return wrong;
    out.push_back(std::move(read));
  }
  return std::nullopt;
}

std::optional<ChatRefusal> read_stop(const Json& object, std::vector<std::string>& out) {
  const Json* stop = json_find(object, "stop");
  if (stop == nullptr) return std::nullopt;
  const auto add = [&](const Json& one) {
    const auto* text = one.get_ptr<const std::string*>();
    if (text == nullptr || text->empty() || text->size() > kMaxStopBytes) return false;
    out.push_back(*text);
    return true;
  };
  bool good = true;
  if (stop->is_array()) {
    good = stop->size() <= kMaxStops;
    for (const Json& one : *stop) good = good && add(one);
  } else {
    good = add(*stop);
  }
  if (good) return std::nullopt;
  return refused("stop", fmt::format("'stop' must be a string of 1 to {} bytes, or a list of at "
                                     "most {} of them",
                                     kMaxStopBytes, kMaxStops));
}

// Fields that would change the answer and are not honoured.
std::optional<ChatRefusal> read_unsupported(const Json& object) {
  const auto asks = [&](const char* name, const Json& harmless) {
    const Json* value = json_find(object, name);
    return value != nullptr && *value != harmless;
  };
  if (asks("n", 1)) return refused("n", "one answer can be made, not several ('n')");
  if (asks("logprobs", false)) return refused("logprobs", "'logprobs' cannot be given");
  return std::nullopt;
}

// `path`: where in the body it is, fields joined by dots. -> nothing where there is nothing.
std::optional<ChatRefusal> read_format(const OrderedJson& body, const std::string& path,
                                       ResponseFormat& out) {
  const OrderedJson* at = &body;
  std::string_view rest = path;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('.'), rest.size());
    const auto inner = at->is_object() ? at->find(std::string(rest.substr(0, end))) : at->end();
    if (inner == at->end() || inner->is_null()) return std::nullopt;
    at = &*inner;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  auto format = read_response_format(*at);
  if (!format) return refused(path, fmt::format("'{}': {}", path, format.error().message));
  out = std::move(*format);
  return std::nullopt;
}

// Whether something is there for read_in_order to read; mostly there is not.
bool has_order(const Json& object, const char* list) {
  for (const char* name : {"response_format", "text", "tools"}) {
    if (json_find(object, name) != nullptr) return true;
  }
  const Json* messages = json_find(object, list);
  return messages != nullptr && messages->is_array() &&
         std::any_of(messages->begin(), messages->end(), [](const Json& message) {
           return json_find(message, "tool_calls") != nullptr ||
                  json_find(message, "tool_call_id") != nullptr;
         });
}

// What is read once more with the order of its fields: the form of the answer, in which a schema wants
// its properties, and functions, which go on to the remote. `list`: the field with the messages, of
// which the first is `first` in the request.
std::optional<ChatRefusal> read_in_order(const Json& object, std::string_view text,
                                         const char* list, size_t first,
                                         const std::string& format_path, ChatRequest& request) {
  if (!has_order(object, list)) return std::nullopt;
  const OrderedJson body = OrderedJson::parse(text, nullptr, false);
  if (auto wrong = read_format(body, format_path, request.format)) return wrong;
  auto tools = read_tools(body);
  if (!tools) return refused("tools", tools.error().message);
  request.tools = std::move(*tools);
  const auto messages = body.find(list);
  if (messages == body.end() || !messages->is_array()) return std::nullopt;
  for (size_t i = 0; i < messages->size() && first + i < request.messages.size(); ++i) {
    ChatMessage& message = request.messages[first + i];
    if (!message.wire.empty()) continue;
    if (const Status read = read_calls((*messages)[i], message); !read) {
      return refused(fmt::format("{}[{}]", list, i), read.error().message);
    }
  }
  return std::nullopt;
}

std::variant<Json, ChatRefusal> read_object(std::string_view body) {
  auto parsed = parse_json(body);
  if (!parsed) return refused("", parsed.error().message);
  if (!parsed->is_object()) {
    return refused("", fmt::format("the body is a {}, expected an object", parsed->type_name()));
  }
  return *std::move(parsed);
}

std::optional<ChatRefusal> read_model(const Json& object, std::string& out) {
  const auto model = json_string(object, "model");
  if (!model || model->empty() || model->size() > kMaxModelBytes) {
    return refused("model",
                   fmt::format("'model' must be a string of 1 to {} bytes", kMaxModelBytes));
  }
  out = *model;
  return std::nullopt;
}

std::optional<ChatRefusal> read_prompt(const Json& object, std::optional<std::string>& out) {
  const Json* prompt = json_find(object, "prompt");
  if (prompt != nullptr && prompt->is_array() && prompt->size() == 1) prompt = &(*prompt)[0];
  const auto* text = prompt == nullptr ? nullptr : prompt->get_ptr<const std::string*>();
  if (text == nullptr) {
    return refused("prompt", "'prompt' must be a string, or a list of one: several, and tokens "
                             "instead of text, cannot be read here");
  }
  out = *text;
  return std::nullopt;
}

// How to answer, and how to hand it over: what requests of all kinds have.
std::optional<ChatRefusal> read_how(const Json& object, ChatRequest& request) {
  if (auto wrong = read_stop(object, request.stop)) return wrong;
  Fields fields(object);
  request.stream = fields.yes_no("stream").value_or(false);
  for (const char* name : {"max_tokens", "max_completion_tokens", "max_output_tokens"}) {
    if (const auto n = fields.integer(name, 1, kMaxTokens)) {
      request.max_tokens = static_cast<int32_t>(*n);
    }
  }
  const auto small = [](std::optional<double> value) {
    return value ? std::optional<float>(static_cast<float>(*value)) : std::nullopt;
  };
  request.temperature = small(fields.number("temperature", 0, 2));
  request.top_p = small(fields.number("top_p", 0, 1));
  if (const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX)) {
    request.seed = static_cast<uint64_t>(*seed);
  }
  if (const Json* options = json_find(object, "stream_options"); options != nullptr) {
    if (options->is_object()) {
      Fields of_stream(*options);
      request.include_usage = of_stream.yes_no("include_usage").value_or(false);
      if (of_stream.refusal()) return of_stream.refusal();
    } else {
      fields.wrong("stream_options", "'stream_options' must be an object");
    }
  }
  if (const Json* metadata = json_find(object, "metadata");
      metadata != nullptr && metadata->is_object()) {
    const Json* workflow = json_find(*metadata, "agentcompress_workflow");
    const auto* id = workflow == nullptr ? nullptr : workflow->get_ptr<const std::string*>();
    if (workflow != nullptr && (id == nullptr || !good_workflow_id(*id))) {
      fields.wrong("metadata.agentcompress_workflow",
                   fmt::format("'metadata.agentcompress_workflow' must be a string of 1 to {} bytes "
                               "without control characters",
                               kMaxWorkflowIdBytes));
    }
    if (id != nullptr) request.workflow = *id;
  }
  return fields.refusal();
}

}  // namespace

std::variant<ChatRequest, ChatRefusal> read_chat_request(std::string_view body) {
  const auto read = read_object(body);
  if (const auto* refusal = std::get_if<ChatRefusal>(&read)) return *refusal;
  const Json& object = std::get<Json>(read);
  ChatRequest request;
  if (auto wrong = read_model(object, request.model)) return *wrong;
  if (auto wrong = read_messages(object, "messages", request.messages)) return *wrong;
  if (auto wrong = read_unsupported(object)) return *wrong;
  if (auto wrong = read_in_order(object, body, "messages", 0, "response_format", request)) return *wrong;
  if (auto wrong = read_how(object, request)) return *wrong;
  return request;
}

std::variant<ChatRequest, ChatRefusal> read_completion_request(std::string_view body) {
  const auto read = read_object(body);
  if (const auto* refusal = std::get_if<ChatRefusal>(&read)) return *refusal;
  const Json& object = std::get<Json>(read);
  ChatRequest request;
  if (auto wrong = read_model(object, request.model)) return *wrong;
  request.api = ChatRequest::Api::kText;
  if (auto wrong = read_prompt(object, request.raw_prompt)) return *wrong;
  const auto asks = [&](const char* name, const Json& harmless) {
    const Json* value = json_find(object, name);
    return value != nullptr && *value != harmless;
  };
  for (const auto& [name, harmless] : {std::pair<const char*, Json>("n", 1),
                                       {"best_of", 1},
                                       {"echo", false},
                                       {"suffix", ""},
                                       {"logprobs", 0}}) {
    if (asks(name, harmless)) return refused(name, fmt::format("'{}' cannot be honoured", name));
  }
  if (auto wrong = read_how(object, request)) return *wrong;
  return request;
}

std::variant<ChatRequest, ChatRefusal> read_responses_request(std::string_view body) {
  const auto read = read_object(body);
  if (const auto* refusal = std::get_if<ChatRefusal>(&read)) return *refusal;
  const Json& object = std::get<Json>(read);
  ChatRequest request;
  request.api = ChatRequest::Api::kResponses;
  if (auto wrong = read_model(object, request.model)) return *wrong;
  if (const Json* instructions = json_find(object, "instructions"); instructions != nullptr) {
    const auto* text = instructions->get_ptr<const std::string*>();
    if (text == nullptr) return refused("instructions", "'instructions' must be a string");
    request.messages.push_back({"system", *text});
  }
  const size_t n_before = request.messages.size();
  const Json* input = json_find(object, "input");
  if (input != nullptr && input->is_string()) {
    request.messages.push_back({"user", input->get_ref<const std::string&>()});
  } else if (auto wrong = read_messages(object, "input", request.messages)) {
    return *wrong;
  }
  if (const Json* store = json_find(object, "store"); store != nullptr) request.store = *store != false;
  for (const char* stored : {"previous_response_id", "conversation", "prompt"}) {
    if (json_find(object, stored) != nullptr) {
      return refused(stored, fmt::format("nothing is stored here that '{}' could mean", stored));
    }
  }
  if (auto wrong = read_in_order(object, body, "input", n_before, "text.format", request)) return *wrong;
  if (auto wrong = read_how(object, request)) return *wrong;
  return request;
}

std::variant<ChatRequest, ChatRefusal> read_route_request(std::string_view body) {
  const auto read = read_object(body);
  if (const auto* refusal = std::get_if<ChatRefusal>(&read)) return *refusal;
  const Json& object = std::get<Json>(read);
  ChatRequest request;
  request.model = "auto";
  if (json_find(object, "model") != nullptr) {
    if (auto wrong = read_model(object, request.model)) return *wrong;
  }
  if (json_find(object, "messages") == nullptr) {
    std::optional<std::string> prompt;
    if (auto wrong = read_prompt(object, prompt)) return *wrong;
    request.messages = {{"user", *std::move(prompt)}};
  } else if (auto wrong = read_messages(object, "messages", request.messages)) {
    return *wrong;
  }
  if (auto wrong = read_how(object, request)) return *wrong;
  return request;
}

}  // namespace ac
