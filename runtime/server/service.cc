#include "runtime/server/service.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <new>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "runtime/core/check.h"
#include "runtime/core/log.h"
#include "runtime/route/explain.h"
#include "runtime/route/workflow_book.h"
#include "runtime/server/chat_reply.h"
#include "runtime/server/error_reply.h"
#include "runtime/server/responses_reply.h"
#include "runtime/server/tools_request.h"

namespace ac {
namespace {

constexpr std::string_view kAsksForKey = "this server asks for a key: Authorization: Bearer KEY";

HttpFields json_fields() {
  return {{"content-type", "application/json"}, {"cache-control", "no-store"}};
}

// "auto@0.8": what comes before the at sign, and a threshold.
struct ModelName {
  std::string name;
  std::optional<double> threshold;
  bool good = true;
};

ModelName split_model(const std::string& model) {
  const size_t at = model.find('@');
  if (at == std::string::npos) return {model, std::nullopt, true};
  double threshold = 0;
  const char* const end = model.data() + model.size();
  const auto [stop, error] = std::from_chars(model.data() + at + 1, end, threshold);
  const bool good = error == std::errc() && stop == end && threshold >= 0 && threshold <= 1;
  return {model.substr(0, at), threshold, good};
}

// Nobody can guess another's.
std::string random_id() {
  std::array<unsigned char, 16> bytes{};
  AC_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  std::string id;
  for (const unsigned char byte : bytes) id += fmt::format("{:02x}", byte);
  return id;
}

std::unique_ptr<ReplyForm> form_of(const ChatRequest& asked, ReplyHead head) {
  if (asked.api == ChatRequest::Api::kResponses) {
    return std::make_unique<ResponsesForm>(std::move(head));
  }
  return std::make_unique<ChatForm>(std::move(head), asked.api == ChatRequest::Api::kChat,
                                    asked.include_usage);
}

}  // namespace

ChatService::ChatService(std::unique_ptr<Router> router, std::vector<std::string> models,
                         ServiceOptions options)
    : router_(std::move(router)), models_(std::move(models)), options_(std::move(options)) {
  for (const auto& [alias, meant] : options_.aliases) models_.push_back(alias);
  if (options_.page.gates != nullptr && options_.page.gates->ngram && !options_.page.paper) {
    promises_ = promise_curve(options_.page.gates->ngram->parts().calibration,
                              options_.page.target_confidence);
  }
  for (size_t i = 0; i < std::max<size_t>(1, options_.answers); ++i) {
    workers_.emplace_back([this] { work(); });
  }
}

ChatService::~ChatService() {
  take_no_more();
  end_answers();
  for (std::thread& worker : workers_) worker.join();
}

void ChatService::take_no_more() {
  std::deque<Job> waiting;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting = std::exchange(waiting_, {});
  }
  stop_learning_.raise();
  changed_.notify_all();
  for (const Job& job : waiting) refuse(*job.exchange, 503, "the server is stopping");
}

void ChatService::refuse(HttpExchange& exchange, int status, std::string_view message,
                         std::string_view param, std::string_view code) {
  metrics_.count_refusal(status);
  HttpFields fields = json_fields();
  // Clients repeat requests by themselves unless they are told that it is of no use.
  const bool may_retry = status == 429 || status == 503;
  fields.emplace_back("x-should-retry", may_retry ? "true" : "false");
  if (may_retry) fields.emplace_back("retry-after", "1");
  exchange.respond(status, std::move(fields), error_body(status, message, param, code));
}

void ChatService::fail_with_error(HttpExchange& exchange, const Error& error) {
  const ErrorStatus status = status_of(error.code);
  refuse(exchange, status.status, error.message, status.status == 404 ? "model" : "", status.code);
}

std::optional<HttpRefusal> ChatService::refusal_of_head(const HttpRequest& head) {
  auto refusal = refusal_of(head, guard_);
  // What has no body is refused in the form that clients know.
  const bool has_body = head.field("content-length") || head.field("transfer-encoding");
  if (!refusal && has_body && !is_let_in(head)) refusal = HttpRefusal{401, std::string(kAsksForKey)};
  if (refusal) metrics_.count_refusal(refusal->status);
  return refusal;
}

void ChatService::handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
  if (const auto refusal = refusal_of(request, guard_)) {
    return refuse(*exchange, refusal->status, refusal->message);
  }
  if (!is_let_in(request)) {
    return refuse(*exchange, 401, kAsksForKey, "", "invalid_api_key");
  }
  const bool get = request.method == "GET", post = request.method == "POST";
  const auto only = [&](bool allowed) {
    if (!allowed)
      refuse(*exchange, 405, fmt::format("{} is not for {}", request.method, request.path));
    return allowed;
  };
  constexpr std::string_view kModels = "/v1/models";
  if (request.path == "/v1/chat/completions") {
    if (only(post)) take(read_chat_request, &ChatService::answer, request, exchange);
  } else if (request.path == "/v1/completions") {
    if (only(post)) take(read_completion_request, &ChatService::answer, request, exchange);
  } else if (request.path == "/v1/responses") {
    if (only(post)) take(read_responses_request, &ChatService::answer, request, exchange);
  } else if (request.path == "/v1/route") {
    if (only(post)) take(read_route_request, &ChatService::explain, request, exchange);
  } else if (request.path == "/v1/embeddings") {
    if (only(post)) take(read_embeddings_request, &ChatService::embed, request, exchange);
  } else if (request.path == kModels) {
    if (only(get)) list_models("", *exchange);
  } else if (request.path.starts_with(kModels) && request.path[kModels.size()] == '/') {
    if (only(get)) list_models(std::string_view(request.path).substr(kModels.size() + 1), *exchange);
  } else if (request.path == "/health" || request.path == "/v1/health") {
    if (only(get)) exchange->respond(200, json_fields(), R"({"status":"ok"})");
  } else if (request.path == "/metrics") {
    if (!only(get)) return;
    exchange->respond(200, {{"content-type", "text/plain; version=0.0.4; charset=utf-8"}},
                      metrics_.text(n_waiting()));
  } else if (request.path == "/") {
    if (only(get)) send_page(request, *exchange);
  } else if (request.path.starts_with("/api/")) {
    if (only(get || post)) take_page_call(request, exchange);
  } else if (request.path == "/version") {
    if (!only(get)) return;
    exchange->respond(200, json_fields(), json_line(OrderedJson{{"version", options_.page.version}}));
  } else {
    refuse(*exchange, 404, fmt::format("there is nothing at {}", request.path));
  }
}

// `id` empty: all of them.
void ChatService::list_models(std::string_view id, HttpExchange& exchange) {
  const auto described = [](const std::string& model) {
    return OrderedJson{
        {"id", model}, {"object", "model"}, {"created", 0}, {"owned_by", "agentcompress"}};
  };
  if (id.empty()) {
    OrderedJson list = OrderedJson::array();
    for (const std::string& model : models_) list.push_back(described(model));
    return exchange.respond(200, json_fields(),
                            json_line(OrderedJson{{"object", "list"}, {"data", list}}));
  }
  const auto found = std::find(models_.begin(), models_.end(), id);
  if (found == models_.end()) {
    return refuse(exchange, 404, fmt::format("no model '{}'", id), "model", "model_not_found");
  }
  exchange.respond(200, json_fields(), json_line(described(*found)));
}

template <class Asked>
void ChatService::take(Read<Asked> read, void (ChatService::*then)(const Asked&, HttpExchange&),
                       const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange) {
  const auto type = request.field("content-type");
  if (!type || !type->starts_with("application/json")) {
    return refuse(*exchange, 415, "expected content-type: application/json");
  }
  auto made = read(request.body);
  if (const auto* refusal = std::get_if<ChatRefusal>(&made)) {
    return refuse(*exchange, refusal->status, refusal->message, refusal->param, refusal->code);
  }
  auto& asked = std::get<Asked>(made);
  if constexpr (std::is_same_v<Asked, ChatRequest>) {
    if (const auto workflow = request.field("x-agentcompress-workflow")) {
      if (!good_workflow_id(*workflow)) {
        return refuse(*exchange, 400,
                      fmt::format("x-agentcompress-workflow must have 1 to {} bytes without control "
                                  "characters",
                                  kMaxWorkflowIdBytes),
                      "x-agentcompress-workflow");
      }
      asked.workflow = *workflow;
    }
  }
  HttpRequest from;  // who asks
  from.fields = request.fields;
  from.peer = request.peer;
  from.own = request.own;
  const auto work = [this, then, from = std::move(from),
                     asked = std::move(asked)](HttpExchange& to) mutable {
    if constexpr (std::is_same_v<Asked, ChatRequest>) asked.keep_here = why_kept_here(from);
    (this->*then)(asked, to);
  };
  wait_in_line({work, exchange});
}

void ChatService::wait_in_line(Job job) {
  bool stopping = false;
  {
    const std::lock_guard lock(mutex_);
    stopping = stopping_;
    if (!stopping && waiting_.size() < options_.queue) {
      waiting_.push_back(std::move(job));
      stop_learning_.raise();
      changed_.notify_one();
      return;
    }
  }
  refuse(*job.exchange, stopping ? 503 : 429,
         stopping ? "the server is stopping" : "too many requests wait already");
}

void ChatService::work() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      const auto has_work = [this] { return stopping_ || !waiting_.empty(); };
      // One of them learns, once nobody has asked for anything for a while.
      while (!has_work() && !learning_ && n_running_ == 0 && router_->has_lessons()) {
        learning_ = true;
        const bool idle = !changed_.wait_for(lock, options_.idle, [&] {
          return has_work() || n_running_ > 0;
        });
        if (idle) {
          stop_learning_.clear();
          lock.unlock();
          learn();
          lock.lock();
        }
        learning_ = false;
      }
      changed_.wait(lock, has_work);
      if (stopping_) return;
      job = std::move(waiting_.front());
      waiting_.pop_front();
      ++n_running_;
    }
    run(job);
    const std::lock_guard lock(mutex_);
    --n_running_;
  }
}

size_t ChatService::n_waiting() {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

// What a library throws costs one request and not the server.
void ChatService::run(const Job& job) {
  if (job.exchange->gone().raised()) return;
  try {
    job.work(*job.exchange);
  } catch (const std::bad_alloc&) {
    give_up(*job.exchange, 503, "there is no memory for this request", "insufficient_memory");
  } catch (const std::exception& error) {
    log_warning("a request failed: {}", error.what());
    give_up(*job.exchange, 500, "the request failed inside the server", "internal_error");
  }
}

// Says so where nothing has been said yet, and ends what has begun.
void ChatService::give_up(HttpExchange& exchange, int status, std::string_view message,
                          std::string_view code) {
  refuse(exchange, status, message, "", code);
  exchange.finish();
}

void ChatService::learn() {
  try {
    const Result<bool> learned = router_->learn_one(&stop_learning_);
    if (!learned) log_warning("nothing was learned from a question: {}", learned.error().message);
  } catch (const std::exception& error) {
    log_warning("nothing was learned from a question: {}", error.what());
  }
}

const std::string& ChatService::meant_by(const std::string& name) const {
  const auto alias = options_.aliases.find(name);
  return alias == options_.aliases.end() ? name : alias->second;
}

std::optional<RouteRequest> ChatService::routed(const ChatRequest& asked,
                                                HttpExchange& exchange) {
  const ModelName model = split_model(meant_by(asked.model));
  if (!model.good) {
    refuse(exchange, 404, fmt::format("no model '{}'", asked.model), "model", "model_not_found");
    return std::nullopt;
  }
  RouteRequest request;
  request.messages = asked.messages;
  request.raw_prompt = asked.raw_prompt;
  request.options = options_.generate;
  request.threshold = model.threshold;
  request.workflow = asked.workflow;
  request.pin = model.name == "auto" ? options_.pin : model.name;
  if (asked.max_tokens) request.options.max_tokens = *asked.max_tokens;
  if (asked.temperature) request.options.sampler.temperature = *asked.temperature;
  if (asked.top_p) request.options.sampler.top_p = *asked.top_p;
  if (asked.seed) request.options.sampler.seed = *asked.seed;
  if (!asked.stop.empty()) request.options.stop = asked.stop;
  request.options.grammar = asked.format.grammar;
  request.response_format = asked.format.wire;
  request.tools = asked.tools.tools;
  request.tool_choice = asked.tools.tool_choice;
  request.keep_here = asked.keep_here;
  return request;
}

// Where it would go, and why; nothing runs.
void ChatService::explain(const ChatRequest& asked, HttpExchange& exchange) {
  const auto request = routed(asked, exchange);
  if (!request) return;
  const auto decision = router_->decide(*request);
  if (!decision) return fail_with_error(exchange, decision.error());
  const RouteExplanation explanation =
      explain_route(options_.page.gates.get(), request->messages.back().content, *decision);
  exchange.respond(200, json_fields(), json_line(explanation_to_json(explanation)));
}

// Always here: a text that is only to be found again is nobody else's business.
void ChatService::embed(const EmbeddingsRequest& asked, HttpExchange& exchange) {
  const std::string& meant = meant_by(asked.model);
  const bool any = meant == "auto" || meant == "local";
  const std::string& variant = any ? options_.embeds : meant;
  const bool known = any || std::find(models_.begin(), models_.end(), variant) != models_.end();
  if (variant.empty() || variant == "remote" || !known) {
    return refuse(exchange, 404, fmt::format("no local model '{}' to embed with", asked.model),
                  "model", "model_not_found");
  }
  std::vector<std::vector<float>> vectors;
  int64_t n_tokens = 0;
  const Status embedded = router_->with_engine(variant, [&](Engine& engine) -> Status {
    for (const std::string& text : asked.texts) {
      if (exchange.gone().raised() || stop_running_.raised()) {
        return fail(ErrorCode::kCancelled, "the server is stopping");
      }
      const std::vector<int32_t> tokens = engine.tokens_of_text(text);
      AC_TRY(std::vector<float> vector, engine.embed(tokens));
      n_tokens += static_cast<int64_t>(tokens.size());
      vectors.push_back(std::move(vector));
    }
    return {};
  });
  if (!embedded) return fail_with_error(exchange, embedded.error());
  exchange.respond(200, json_fields(), embeddings_body(variant, vectors, asked.base64, n_tokens));
}

void ChatService::answer(const ChatRequest& asked, HttpExchange& exchange) {
  auto routed_request = routed(asked, exchange);
  if (!routed_request) return;
  RouteRequest& request = *routed_request;
  if (asked.api == ChatRequest::Api::kResponses) {
    if (const auto refusal = said_.resolve(request.messages)) {
      return refuse(exchange, refusal->status, refusal->message, refusal->param, refusal->code);
    }
    join_turns(request.messages);
  }
  // What a stream says from its first event on; where another place has to answer after all, the
  // last event says so.
  const auto expected = router_->decide(request);
  if (!expected) return fail_with_error(exchange, expected.error());
  const Route& route = expected->route;
  const std::unique_ptr<ReplyForm> form =
      form_of(asked, {.id = random_id(),
                      .created = std::chrono::duration_cast<std::chrono::seconds>(
                                     system_clock().wall_now().time_since_epoch())
                                     .count(),
                      .model = route.place == Place::kLocal ? route.variant : "remote"});
  bool begun = false;
  const auto begin = [&] {
    if (std::exchange(begun, true)) return;
    exchange.begin(200, {{"content-type", "text/event-stream"}, {"cache-control", "no-store"}});
    exchange.write(form->opening());
  };
  const CancelFlag ends(stop_running_, exchange.gone());
  request.options.cancel = &ends;
  // Where nothing is relayed another place may still answer after a failure.
  if (asked.stream) {
    request.options.on_text = [&](std::string_view piece) {
      begin();
      exchange.write(form->piece(piece));
      return !exchange.gone().raised();
    };
  }
  const Result<RoutedAnswer> answer = router_->answer(request, *expected);
  if (exchange.gone().raised()) return;
  if (!answer) {
    if (!begun) return fail_with_error(exchange, answer.error());
    const ErrorStatus status = status_of(answer.error().code);
    exchange.write(form->broken(status.status, answer.error().message, status.code));
    return exchange.finish();
  }
  metrics_.count_answer(answer->receipt);
  if (asked.store) {
    for (auto& [id, message] : form->items(*answer)) said_.put(id, std::move(message));
  }
  const bool broken = answer->interrupted.has_value() || answer->receipt.finish == "cancelled";
  const std::string why = answer->interrupted ? answer->interrupted->message
                                              : std::string("the server is stopping");
  if (!asked.stream) {
    if (broken) return refuse(exchange, 503, why, "", "interrupted");
    HttpFields fields = json_fields();
    for (auto& field : receipt_fields(answer->receipt)) fields.push_back(std::move(field));
    return exchange.respond(200, std::move(fields), form->whole(*answer));
  }
  begin();
  exchange.write(broken ? form->broken(503, why, "upstream_interrupted") : form->closing(*answer));
  exchange.finish();
}

}  // namespace ac
