// The border between C and C++: arguments are looked at, errors become codes, nothing thrown gets
// out.
#include "runtime/capi/agentcompress.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/capi/block.h"
#include "runtime/capi/handle.h"
#include "runtime/core/json.h"
#include "runtime/route/explain.h"
#include "runtime/route/workflow_book.h"
#include "runtime/server/response_format.h"

namespace ac {
namespace {

constexpr int32_t kMostTokens = 1 << 20;
constexpr double kHighestTemperature = 100;
constexpr uint64_t kSchemaBytes = 1 << 20;

// No string: saying what went wrong must not need memory that there is none of.
struct LastError {
  agentcompress_code code = AC_OK;
  std::array<char, 4096> text{};
};
thread_local LastError last_error;

// Whose callback this thread is in.
thread_local const agentcompress* calling_back = nullptr;

agentcompress_code code_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument:
      return AC_INVALID_ARGUMENT;
    case ErrorCode::kNotFound:
      return AC_NOT_FOUND;
    case ErrorCode::kCorruptFile:
      return AC_CORRUPT_FILE;
    case ErrorCode::kUnsupported:
      return AC_UNSUPPORTED;
    case ErrorCode::kIo:
      return AC_IO;
    case ErrorCode::kRemote:
      return AC_REMOTE;
    case ErrorCode::kOutOfMemory:
      return AC_OUT_OF_MEMORY;
    case ErrorCode::kContextFull:
      return AC_CONTEXT_FULL;
    case ErrorCode::kCancelled:
      return AC_CANCELLED;
  }
  return AC_INTERNAL;
}

agentcompress_code failed(agentcompress_code code, std::string_view message) noexcept {
  size_t n = std::min(message.size(), last_error.text.size() - 1);
  // Not in the middle of a character.
  if (n < message.size()) {
    while (n > 0 && (static_cast<unsigned char>(message[n]) & 0xc0) == 0x80) --n;
  }
  std::memcpy(last_error.text.data(), message.data(), n);
  last_error.text[n] = '\0';
  last_error.code = code;
  return code;
}

// Runs the body of a function of the interface.
template <class Body>
agentcompress_code guarded(const Body& body) noexcept {
  try {
    const Status status = body();
    return status ? AC_OK : failed(code_of(status.error().code), status.error().message);
  } catch (const std::bad_alloc&) {
    return failed(AC_OUT_OF_MEMORY, "there is no memory for this");
  } catch (const std::exception& error) {
    return failed(AC_INTERNAL, error.what());
  } catch (...) {
    return failed(AC_INTERNAL, "something unknown was thrown");
  }
}

Status check_not_null(const void* pointer, std::string_view name) {
  if (pointer != nullptr) return {};
  return fail(ErrorCode::kInvalidArgument, "{} is NULL", name);
}

Status check_handle(const agentcompress* handle) {
  AC_TRY_STATUS(check_not_null(handle, "handle"));
  if (calling_back != handle) return {};
  return fail(ErrorCode::kInvalidArgument,
              "a callback may not use the handle that it is called for, except to cancel");
}

// Of a list that a NULL ends; the list may be NULL.
std::vector<std::string> texts_of(const char* const* list) {
  std::vector<std::string> texts;
  for (; list != nullptr && *list != nullptr; ++list) texts.emplace_back(*list);
  return texts;
}

// The caller's, as this library knows them. Errors: kInvalidArgument.
Result<agentcompress_ask_options> read_options(const agentcompress_ask_options* given) {
  agentcompress_ask_options options = AC_ASK_OPTIONS_INIT;
  if (given == nullptr) return options;
  // What a later header has and this library does not know would be passed over in silence.
  if (given->struct_size != sizeof options) {
    return fail(ErrorCode::kInvalidArgument,
                "options.struct_size is {}, expected {}: begin with AC_ASK_OPTIONS_INIT, and use a "
                "library that is as new as the header",
                given->struct_size, sizeof options);
  }
  return *given;
}

// A number below 0 stands for nothing; NaN for a mistake.
Result<std::optional<double>> read_number(std::string_view name, double value, double max) {
  if (value < 0) return std::optional<double>();
  if (value <= max) return std::optional(value);
  return fail(ErrorCode::kInvalidArgument, "options.{} is {}, expected at most {}", name, value,
              max);
}

Status read_messages(const agentcompress_message* messages, size_t n_messages,
                     std::vector<ChatMessage>& out) {
  AC_TRY_STATUS(check_not_null(messages, "messages"));
  if (n_messages == 0) return fail(ErrorCode::kInvalidArgument, "there are no messages");
  for (size_t i = 0; i < n_messages; ++i) {
    AC_TRY_STATUS(check_not_null(messages[i].role, fmt::format("messages[{}].role", i)));
    AC_TRY_STATUS(check_not_null(messages[i].content, fmt::format("messages[{}].content", i)));
    const std::string_view role = messages[i].role;
    if (role != "system" && role != "user" && role != "assistant") {
      return fail(ErrorCode::kInvalidArgument,
                  "messages[{}].role is '{}', expected system, user or assistant", i,
                  role.substr(0, 100));
    }
    out.push_back({.role = std::string(role), .content = messages[i].content});
  }
  return {};
}

Status read_schema(std::string_view text, RouteRequest& request) {
  if (text.size() > kSchemaBytes) {
    return fail(ErrorCode::kInvalidArgument,
                "options.json_schema has {} bytes, expected at most {}", text.size(), kSchemaBytes);
  }
  // The guarded reader sees it first; the other one keeps the order of properties.
  if (const auto checked = parse_json(text); !checked) {
    return fail(ErrorCode::kInvalidArgument, "options.json_schema: {}", checked.error().message);
  }
  auto format = format_of_schema(OrderedJson::parse(text, nullptr, false), "answer");
  if (!format) return with_context(format.error(), "options.json_schema");
  request.options.grammar = std::move(format->grammar);
  request.response_format = std::move(format->wire);
  return {};
}

Result<RouteRequest> read_request(const agentcompress& handle,
                                  const agentcompress_message* messages, size_t n_messages,
                                  const agentcompress_ask_options& options) {
  RouteRequest request;
  AC_TRY_STATUS(read_messages(messages, n_messages, request.messages));
  request.options = handle.generate;
  if (options.max_tokens > kMostTokens) {
    return fail(ErrorCode::kInvalidArgument, "options.max_tokens is {}, expected at most {}",
                options.max_tokens, kMostTokens);
  }
  if (options.max_tokens >= 1) request.options.max_tokens = options.max_tokens;
  AC_TRY(const auto temperature,
         read_number("temperature", options.temperature, kHighestTemperature));
  if (temperature) request.options.sampler.temperature = static_cast<float>(*temperature);
  AC_TRY(const auto top_p, read_number("top_p", options.top_p, 1));
  if (top_p) request.options.sampler.top_p = static_cast<float>(*top_p);
  if (options.seed >= 0) request.options.sampler.seed = static_cast<uint64_t>(options.seed);
  request.options.stop = texts_of(options.stop);
  for (const std::string& stop : request.options.stop) {
    if (stop.empty()) return fail(ErrorCode::kInvalidArgument, "options.stop has an empty text");
  }
  AC_TRY(request.threshold, read_number("threshold", options.threshold, 1));
  if (options.model != nullptr && std::string_view(options.model) != "auto") {
    request.pin = options.model;
  }
  if (options.workflow != nullptr) {
    if (!good_workflow_id(options.workflow)) {
      return fail(ErrorCode::kInvalidArgument,
                  "options.workflow: expected 1 to {} bytes without control characters",
                  kMaxWorkflowIdBytes);
    }
    request.workflow = options.workflow;
  }
  if (options.json_schema != nullptr) {
    AC_TRY_STATUS(read_schema(options.json_schema, request));
  }
  return request;
}

agentcompress_answer* block_of(const RoutedAnswer& answer) {
  const Receipt& receipt = answer.receipt;
  const std::string_view reason = route_reason_name(receipt.reason);
  const std::string receipt_json = json_line(receipt.to_json());
  Block block(sizeof(agentcompress_answer));
  for (const std::string_view text :
       {std::string_view(answer.text), std::string_view(receipt.model), reason,
        std::string_view(receipt.finish), std::string_view(receipt_json)}) {
    block.count(text);
  }
  block.allocate();
  auto* out = new (block.data()) agentcompress_answer();
  out->text = block.put(answer.text);
  out->text_bytes = answer.text.size();
  out->place = receipt.place == Place::kLocal ? AC_PLACE_LOCAL : AC_PLACE_REMOTE;
  out->model = block.put(receipt.model);
  out->reason = block.put(reason);
  out->finish = block.put(receipt.finish);
  out->prompt_tokens = receipt.prompt_tokens;
  out->completion_tokens = receipt.completion_tokens;
  out->seconds = receipt.seconds;
  out->first_token_seconds = receipt.first_token_seconds;
  out->cost_usd = receipt.cost_usd;
  out->receipt_json = block.put(receipt_json);
  block.release();
  return out;
}

// Tells the caller's function of pieces, and keeps what it throws from what is below.
class Listener {
 public:
  Listener(const agentcompress* handle, const agentcompress_ask_options& options)
      : handle_(handle), on_text_(options.on_text), user_data_(options.user_data) {}

  bool tell(std::string_view piece) noexcept {
    if (piece.empty()) return true;
    const agentcompress* const before = std::exchange(calling_back, handle_);
    bool goes_on = false;
    try {
      goes_on = on_text_(piece.data(), piece.size(), user_data_) == 0;
    } catch (...) {
      has_thrown_ = true;
    }
    calling_back = before;
    return goes_on;
  }
  bool has_thrown() const { return has_thrown_; }

 private:
  const agentcompress* handle_;
  agentcompress_on_text on_text_;
  void* user_data_;
  bool has_thrown_ = false;
};

Status ask(agentcompress* handle, const agentcompress_message* messages, size_t n_messages,
           const agentcompress_ask_options* given, agentcompress_answer** out) {
  AC_TRY_STATUS(check_handle(handle));
  AC_TRY_STATUS(check_not_null(out, "answer"));
  AC_TRY(const agentcompress_ask_options options, read_options(given));
  AC_TRY(RouteRequest request, read_request(*handle, messages, n_messages, options));
  const Cancellable cancellable(*handle);
  request.options.cancel = cancellable.flag();
  Listener listener(handle, options);
  if (options.on_text != nullptr) {
    request.options.on_text = [&listener](std::string_view piece) { return listener.tell(piece); };
  }
  const Result<RoutedAnswer> answer = handle->router->answer(request);
  if (listener.has_thrown()) {
    return fail(ErrorCode::kCancelled, "an exception came out of on_text: the answer was stopped");
  }
  if (!answer) return answer.error();
  *out = block_of(*answer);
  if (answer->interrupted) return *answer->interrupted;
  return {};
}

Status route(agentcompress* handle, const agentcompress_message* messages, size_t n_messages,
             const agentcompress_ask_options* given, char** out) {
  AC_TRY_STATUS(check_handle(handle));
  AC_TRY_STATUS(check_not_null(out, "json"));
  AC_TRY(const agentcompress_ask_options options, read_options(given));
  AC_TRY(const RouteRequest request, read_request(*handle, messages, n_messages, options));
  AC_TRY(Decision decision, handle->router->decide(request));
  const bool is_remote = decision.route.place == Place::kRemote;
  // decide() has found one.
  const auto last = std::find_if(request.messages.rbegin(), request.messages.rend(),
                                 [](const ChatMessage& message) { return message.role == "user"; });
  std::string_view prompt;
  if (last != request.messages.rend()) prompt = last->content;
  OrderedJson object =
      explanation_to_json(explain_route(handle->gates.get(), prompt, std::move(decision)));
  if (is_remote) object["model"] = handle->remote_model;
  const std::string text = json_line(object);
  Block block(0);
  block.count(text);
  block.allocate();
  block.put(text);
  *out = block.release();
  return {};
}

Status embed(agentcompress* handle, const char* model, const char* text, float** out,
             size_t* n_floats) {
  AC_TRY_STATUS(check_handle(handle));
  AC_TRY_STATUS(check_not_null(text, "text"));
  AC_TRY_STATUS(check_not_null(out, "vector"));
  AC_TRY_STATUS(check_not_null(n_floats, "n_floats"));
  if (*text == '\0') return fail(ErrorCode::kInvalidArgument, "the text is empty");
  const std::string_view asked = model != nullptr ? model : "auto";
  const std::string_view id = asked == "auto" || asked == "local" ? handle->embeds : asked;
  const auto& names = handle->names;
  if (id.empty() || id == "remote" || std::find(names.begin(), names.end(), id) == names.end()) {
    return fail(ErrorCode::kNotFound, "no local model '{}' to embed with", asked.substr(0, 100));
  }
  std::vector<float> vector;
  AC_TRY_STATUS(handle->router->with_engine(id, [&](Engine& engine) -> Status {
    AC_TRY(vector, engine.embed(engine.tokens_of_text(text)));
    return {};
  }));
  const size_t n_bytes = vector.size() * sizeof(float);
  Block block(n_bytes);
  block.allocate();
  std::memcpy(block.data(), vector.data(), n_bytes);
  *out = reinterpret_cast<float*>(block.release());
  *n_floats = vector.size();
  return {};
}

Status list_models(agentcompress* handle, const char*** out) {
  AC_TRY_STATUS(check_handle(handle));
  AC_TRY_STATUS(check_not_null(out, "names"));
  const size_t n_names = handle->names.size();
  Block block((n_names + 1) * sizeof(const char*));
  for (const std::string& name : handle->names) block.count(name);
  block.allocate();
  auto* const names = reinterpret_cast<const char**>(block.data());
  for (size_t i = 0; i < n_names; ++i) names[i] = block.put(handle->names[i]);
  names[n_names] = nullptr;
  block.release();
  *out = names;
  return {};
}

Status open(const char* config_file, const char* const* overrides, const char* model,
            agentcompress** out) {
  AC_TRY_STATUS(check_not_null(out, "handle"));
  OpenOptions options;
  if (config_file != nullptr) options.config_file = config_file;
  if (model != nullptr) options.model = model;
  if ((config_file != nullptr && *config_file == '\0') || (model != nullptr && *model == '\0')) {
    return fail(ErrorCode::kInvalidArgument, "{} is empty, expected a path or NULL",
                options.model.empty() && model != nullptr ? "model" : "config_file");
  }
  options.overrides = texts_of(overrides);
  AC_TRY(std::unique_ptr<agentcompress> handle, open_handle(options));
  *out = handle.release();
  return {};
}

}  // namespace
}  // namespace ac

int agentcompress_api_version(void) { return AC_API_VERSION; }

const char* agentcompress_version(void) { return AC_VERSION; }

agentcompress_code agentcompress_last_code(void) { return ac::last_error.code; }

const char* agentcompress_last_error(void) { return ac::last_error.text.data(); }

const char* agentcompress_code_name(agentcompress_code code) {
  switch (code) {
    case AC_OK:
      return "ok";
    case AC_INVALID_ARGUMENT:
      return "invalid_argument";
    case AC_NOT_FOUND:
      return "not_found";
    case AC_CORRUPT_FILE:
      return "corrupt_file";
    case AC_UNSUPPORTED:
      return "unsupported";
    case AC_IO:
      return "io";
    case AC_REMOTE:
      return "remote";
    case AC_OUT_OF_MEMORY:
      return "out_of_memory";
    case AC_CONTEXT_FULL:
      return "context_full";
    case AC_CANCELLED:
      return "cancelled";
    case AC_INTERNAL:
      return "internal";
  }
  return "unknown";
}

agentcompress_code agentcompress_open(const char* config_file, const char* const* overrides,
                                      const char* model, agentcompress** handle) {
  if (handle != nullptr) *handle = nullptr;
  return ac::guarded([&] { return ac::open(config_file, overrides, model, handle); });
}

void agentcompress_close(agentcompress* handle) {
  if (handle == nullptr || handle == ac::calling_back) return;
  ac::guarded([&]() -> ac::Status {
    delete handle;
    return {};
  });
}

agentcompress_code agentcompress_models(agentcompress* handle, const char*** names) {
  if (names != nullptr) *names = nullptr;
  return ac::guarded([&] { return ac::list_models(handle, names); });
}

agentcompress_code agentcompress_ask(agentcompress* handle, const agentcompress_message* messages,
                                     size_t n_messages, const agentcompress_ask_options* options,
                                     agentcompress_answer** answer) {
  if (answer != nullptr) *answer = nullptr;
  return ac::guarded([&] { return ac::ask(handle, messages, n_messages, options, answer); });
}

void agentcompress_cancel(agentcompress* handle) {
  if (handle == nullptr) return;
  ac::guarded([&]() -> ac::Status {
    const std::lock_guard lock(handle->mutex);
    for (ac::CancelFlag* flag : handle->running) flag->raise();
    return {};
  });
}

agentcompress_code agentcompress_route(agentcompress* handle, const agentcompress_message* messages,
                                       size_t n_messages, const agentcompress_ask_options* options,
                                       char** json) {
  if (json != nullptr) *json = nullptr;
  return ac::guarded([&] { return ac::route(handle, messages, n_messages, options, json); });
}

agentcompress_code agentcompress_embed(agentcompress* handle, const char* model, const char* text,
                                       float** vector, size_t* n_floats) {
  if (vector != nullptr) *vector = nullptr;
  if (n_floats != nullptr) *n_floats = 0;
  return ac::guarded([&] { return ac::embed(handle, model, text, vector, n_floats); });
}

void agentcompress_free(void* memory) { std::free(memory); }
