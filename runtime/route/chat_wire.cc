#include "runtime/route/chat_wire.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace ac {
namespace {

constexpr int64_t kMaxToolCalls = 128;
constexpr size_t kMessageBytes = 200;
constexpr size_t kNameBytes = 128;
constexpr size_t kMaxModels = 10000;
constexpr int64_t kMaxUsage = 1'000'000'000;
// What one token may be at most: the longest entries of real vocabularies are runs of 128 blanks,
// the average is below 5 bytes.
constexpr uint64_t kTextBytesPerToken = 64;
constexpr uint64_t kTextSlackBytes = 4096;

// 0.7f is 0.699999988079071 as a double; servers and snapshots want 0.7.
double tidy(float value) { return std::round(static_cast<double>(value) * 1e6) / 1e6; }

// The length of the UTF-8 sequence at the beginning of `text`, 0 where it is not valid.
size_t sequence_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0u) == 0x80u; };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return continues(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!continues(1) || !continues(2)) return 0;
    if (first == 0xE0 && byte(1) < 0xA0) return 0;
    if (first == 0xED && byte(1) > 0x9F) return 0;
    return 3;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xF0 && byte(1) < 0x90) return 0;
    if (first == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

// C1 controls, and the marks that turn the direction of writing (U+200E, U+200F, U+202A to U+202E,
// U+2066 to U+2069): both can make a terminal show something else than what is there.
bool is_hidden(std::string_view sequence) {
  if (sequence.size() == 2)
    return sequence[0] == '\xC2' && static_cast<unsigned char>(sequence[1]) < 0xA0;
  if (sequence.size() != 3 || sequence[0] != '\xE2') return false;
  const auto last = static_cast<unsigned char>(sequence[2]);
  if (sequence[1] == '\x80') return last == 0x8E || last == 0x8F || (last >= 0xAA && last <= 0xAE);
  return sequence[1] == '\x81' && last >= 0xA6 && last <= 0xA9;
}

bool is_html(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return start != std::string_view::npos && text[start] == '<';
}

// The message in what servers put under "error", "detail" or at the top.
std::string message_in(const Json& value, int depth) {
  if (value.is_string()) return value.get<std::string>();
  if (depth == 0) return {};
  if (value.is_array() && !value.empty()) return message_in(value.front(), depth - 1);
  if (!value.is_object()) return {};
  for (const char* key : {"error", "message", "detail", "msg"}) {
    const Json* inner = json_find(value, key);
    if (inner == nullptr) continue;
    std::string message = message_in(*inner, depth - 1);
    if (message.empty()) continue;
    // The code, a string or an integer, is what people search for.
    if (const Json* code = json_find(value, "code"); code != nullptr) {
      if (code->is_string()) message += fmt::format(" ({})", code->get<std::string>());
      if (code->is_number_integer()) message += fmt::format(" ({})", code->get<int64_t>());
    }
    return message;
  }
  return {};
}

const Json* first_choice(const Json& chunk) {
  const Json* choices = json_find(chunk, "choices");
  if (choices == nullptr || !choices->is_array()) return nullptr;
  for (const Json& choice : *choices) {
    if (!choice.is_object()) return nullptr;
    const Json* index = json_find(choice, "index");
    if (index == nullptr || (index->is_number_integer() && index->get<int64_t>() == 0)) {
      return &choice;
    }
  }
  return nullptr;
}

}  // namespace

std::string chat_request_body(std::string_view model, const RemoteRequest& request) {
  OrderedJson body;
  body["model"] = model;
  OrderedJson messages = OrderedJson::array();
  for (const ChatMessage& message : request.messages) {
    OrderedJson entry;
    if (message.wire.empty()) {
      entry["role"] = message.role;
      entry["content"] = message.content;
    } else {
      entry = OrderedJson::parse(message.wire, nullptr, false);
    }
    messages.push_back(std::move(entry));
  }
  body["messages"] = std::move(messages);
  body["max_tokens"] = std::clamp(request.max_tokens, 1, kMaxRemoteTokens);
  body["temperature"] = tidy(request.temperature);
  if (request.top_p < 1) body["top_p"] = tidy(request.top_p);
  if (request.temperature > 0) body["seed"] = request.seed & 0x7fffffffffffffffu;
  if (!request.stop.empty()) body["stop"] = request.stop;
  if (!request.response_format.empty()) {
    body["response_format"] = OrderedJson::parse(request.response_format, nullptr, false);
  }
  if (!request.tools.empty()) body["tools"] = OrderedJson::parse(request.tools, nullptr, false);
  if (!request.tool_choice.empty()) {
    body["tool_choice"] = OrderedJson::parse(request.tool_choice, nullptr, false);
  }
  body["stream"] = true;
  body["stream_options"]["include_usage"] = true;
  return body.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

std::string printable(std::string_view text, size_t max_bytes) {
  std::string out;
  bool blank = false;  // runs of white space and control characters become one blank
  while (!text.empty()) {
    const size_t n = sequence_length(text);
    const auto first = static_cast<unsigned char>(text.front());
    const bool control = n == 0 || first <= 0x20 || first == 0x7F || is_hidden(text.substr(0, n));
    if (control) {
      blank = !out.empty();
    } else {
      if (out.size() + n + (blank ? 1 : 0) > max_bytes) {
        out += "...";
        return out;
      }
      if (blank) out += ' ';
      blank = false;
      out += text.substr(0, n);
    }
    text.remove_prefix(std::max<size_t>(n, 1));
  }
  return out;
}

std::string error_message_of(std::string_view body) {
  if (is_html(body)) return "an HTML page";
  std::string message;
  if (Result<Json> json = parse_json(body); json.has_value()) message = message_in(*json, 4);
  const std::string_view text = message.empty() ? body : std::string_view(message);
  return printable(text, text.size());
}

bool says_context_full(std::string_view body) {
  return body.find("context_length_exceeded") != std::string_view::npos ||
         body.find("maximum context length") != std::string_view::npos;
}

Result<std::vector<std::string>> model_ids_of(std::string_view body) {
  Result<Json> json = parse_json(body);
  if (!json.has_value()) {
    return fail(ErrorCode::kRemote, "models: {}", printable(json.error().message, kMessageBytes));
  }
  const Json* data = json->is_object() ? json_find(*json, "data") : nullptr;
  if (data == nullptr || !data->is_array()) {
    return fail(ErrorCode::kRemote, "models: the answer has no array 'data'");
  }
  std::vector<std::string> ids;
  for (const Json& entry : *data) {
    if (ids.size() == kMaxModels) break;
    if (!entry.is_object()) continue;
    if (Result<std::string> id = json_string(entry, "id"); id.has_value()) {
      ids.push_back(printable(*id, kNameBytes));
    }
  }
  return ids;
}

AnswerReader::AnswerReader(int32_t max_tokens, std::function<bool(std::string_view)> on_text)
    : max_text_bytes_(kTextSlackBytes + kTextBytesPerToken * static_cast<uint64_t>(max_tokens)),
      on_text_(std::move(on_text)) {}

Status AnswerReader::feed_stream(std::string_view bytes) {
  return parser_.feed(bytes, [this](std::string_view data) { return on_event(data); });
}

Status AnswerReader::add_text(std::string_view piece) {
  if (piece.empty()) return {};
  if (answer_.text.size() + piece.size() > max_text_bytes_) {
    return fail(ErrorCode::kRemote, "a text of more than {} bytes, far beyond max_tokens",
                max_text_bytes_);
  }
  answer_.text += piece;
  if (!on_text_) return {};
  relayed_ = true;
  if (!on_text_(piece)) return fail(ErrorCode::kCancelled, "stopped by the receiver of the text");
  return {};
}

void AnswerReader::read_usage(const Json& chunk) {
  const Json* usage = json_find(chunk, "usage");
  if (usage == nullptr || !usage->is_object()) return;
  const Result<int64_t> prompt = json_integer(*usage, "prompt_tokens", 0, kMaxUsage);
  const Result<int64_t> completion = json_integer(*usage, "completion_tokens", 0, kMaxUsage);
  if (!prompt.has_value() || !completion.has_value()) return;
  answer_.usage_known = true;
  answer_.prompt_tokens = *prompt;
  answer_.completion_tokens = *completion;
}

// A stream names a call once, by its place in the list, and then sends pieces of its arguments.
Status AnswerReader::read_calls(const Json& delta) {
  const Json* calls = json_find(delta, "tool_calls");
  if (calls == nullptr) return {};
  if (!calls->is_array()) {
    return fail(ErrorCode::kRemote, "event {}: 'tool_calls' is not a list", n_events_);
  }
  for (size_t i = 0; i < calls->size(); ++i) {
    const Json& piece = (*calls)[i];
    const Result<int64_t> index = piece.is_object()
                                      ? json_integer(piece, "index", 0, kMaxToolCalls - 1)
                                      : Result<int64_t>(Error{});
    const size_t at = index ? static_cast<size_t>(*index) : i;
    if (!piece.is_object() || at >= static_cast<size_t>(kMaxToolCalls)) {
      return fail(ErrorCode::kRemote, "event {}: a call that cannot be read", n_events_);
    }
    if (answer_.tool_calls.size() <= at) answer_.tool_calls.resize(at + 1);
    ToolCall& call = answer_.tool_calls[at];
    const auto add = [&](const Json& object, const char* name, std::string& to) {
      if (const Result<std::string> text = json_string(object, name)) {
        to += *text;
        n_call_bytes_ += text->size();
      }
    };
    if (call.id.empty()) add(piece, "id", call.id);
    if (const Json* function = json_find(piece, "function");
        function != nullptr && function->is_object()) {
      if (call.name.empty()) add(*function, "name", call.name);
      add(*function, "arguments", call.arguments);
    }
    if (n_call_bytes_ > max_text_bytes_) {
      return fail(ErrorCode::kRemote, "calls of more than {} bytes, far beyond max_tokens",
                  max_text_bytes_);
    }
  }
  return {};
}

// One chunk of a stream, or a whole body: they differ in "delta" or "message" only.
Status AnswerReader::on_event(std::string_view data) {
  if (done_) return {};
  if (data == "[DONE]") {
    done_ = true;
    return {};
  }
  ++n_events_;
  Result<Json> parsed = parse_json(data);
  if (!parsed.has_value()) {
    return fail(ErrorCode::kRemote, "event {} is not valid: {}", n_events_,
                printable(parsed.error().message, kMessageBytes));
  }
  const Json& chunk = *parsed;
  if (!chunk.is_object()) {
    return fail(ErrorCode::kRemote, "event {} is not a JSON object", n_events_);
  }
  // vLLM's older form puts {"object":"error","message":...} at the top.
  const Json* object = json_find(chunk, "object");
  if (json_find(chunk, "error") != nullptr ||
      (object != nullptr && object->is_string() && *object == "error")) {
    const std::string message = message_in(chunk, 4);
    return fail(ErrorCode::kRemote, "error from the server: {}",
                message.empty() ? "no message" : message);
  }
  if (const Result<std::string> model = json_string(chunk, "model");
      model.has_value() && answer_.model.empty()) {
    answer_.model = printable(*model, kNameBytes);
  }
  read_usage(chunk);
  const Json* choice = first_choice(chunk);
  if (choice == nullptr) return {};
  if (const Result<std::string> reason = json_string(*choice, "finish_reason");
      reason.has_value()) {
    answer_.finish_reason = printable(*reason, kNameBytes);
  }
  const Json* delta = json_find(*choice, "delta");
  if (delta == nullptr) delta = json_find(*choice, "message");
  if (delta == nullptr || !delta->is_object()) return {};
  AC_TRY_STATUS(read_calls(*delta));
  const Json* content = json_find(*delta, "content");
  if (content == nullptr) return {};
  if (!content->is_string()) {
    return fail(ErrorCode::kRemote, "event {}: 'content' is not a string", n_events_);
  }
  return add_text(content->get_ref<const std::string&>());
}

Status AnswerReader::feed_json(std::string_view body) {
  AC_TRY_STATUS(on_event(body));
  done_ = true;
  return {};
}

Result<RemoteAnswer> AnswerReader::finish() {
  // A proxy that drops the last empty line has still delivered all of the answer.
  if (!done_ && parser_.unfinished_data() == "[DONE]") done_ = true;
  if (!done_) {
    return fail(ErrorCode::kRemote, "stream cut after {} event{}", n_events_,
                n_events_ == 1 ? "" : "s");
  }
  if (answer_.finish_reason.empty()) {
    return fail(ErrorCode::kRemote, "the answer ended without finish_reason after {} event{}",
                n_events_, n_events_ == 1 ? "" : "s");
  }
  return std::move(answer_);
}

}  // namespace ac
