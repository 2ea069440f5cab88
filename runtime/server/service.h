// The OpenAI-compatible service: requests in, routed answers out.
//
// Some threads ask the router, each for one request at a time, from a queue with an end: who finds it
// full is told to come again. A request whose client has left is not begun, and stopped where it
// was. While nobody asks, one of them lets the router learn, and stops as soon as somebody does.
//
// Who may ask: with keys, whoever shows one; without, this machine. Who may have the remote asked,
// which may cost money: whose key may, or else the user whose server it is (or the superuser), and
// others only where that is allowed. What others ask is answered here.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "runtime/core/clock.h"
#include "runtime/route/router.h"
#include "runtime/server/chat_request.h"
#include "runtime/server/embeddings.h"
#include "runtime/server/http_guard.h"
#include "runtime/server/http_server.h"
#include "runtime/server/key_ring.h"
#include "runtime/server/metrics.h"
#include "runtime/server/page_api.h"
#include "runtime/server/stored_items.h"

namespace ac {

struct ServiceOptions {
  GenerateOptions generate{};        // what a request does not say
  std::optional<std::string> pin{};  // what "auto" stands for, as RouteRequest::pin
  std::map<std::string, std::string> aliases{};  // other names, and the models that they mean
  size_t answers = 8;                // requests at the same time
  size_t queue = 32;                 // requests that wait
  std::chrono::milliseconds idle{3000};  // without a request, before anything is learned
  std::shared_ptr<const KeyRing> keys{};  // nullptr: none are asked for
  bool anonymous_spends = false;          // without keys: other users of this machine, too
  double usd_per_prompt = 0;              // of the full model, for what a promise costs
  std::string embeds{};  // the variant whose vectors "auto" and "local" stand for; empty: none
  PageFacts page{};
};

class ChatService {
 public:
  // `models`: the names of /v1/models beside auto, local and remote.
  ChatService(std::unique_ptr<Router> router, std::vector<std::string> models,
              ServiceOptions options);
  // Stops what runs and answers what waits with 503.
  ~ChatService();
  ChatService(const ChatService&) = delete;
  ChatService& operator=(const ChatService&) = delete;

  // Set before the first request.
  void set_guard(HttpGuard guard) { guard_ = std::move(guard); }
  // As HttpServerOptions::look_at_head: who may not be here, and whoever shows no key.
  std::optional<HttpRefusal> refusal_of_head(const HttpRequest& head);
  // The server stops: who waits is told so, and nobody waits any more. Those that run go on.
  void take_no_more();
  // Those end too, with an error.
  void end_answers() { stop_running_.raise(); }
  // As an HttpHandler. Returns at once.
  void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange);

 private:
  struct Job {
    std::function<void(HttpExchange& exchange)> work;
    std::shared_ptr<HttpExchange> exchange;
  };
  template <class Asked>
  using Read = std::variant<Asked, ChatRefusal> (*)(std::string_view body);
  // Reads a body, and has `then` done with it when it is its turn.
  template <class Asked>
  void take(Read<Asked> read, void (ChatService::*then)(const Asked& asked, HttpExchange& exchange),
            const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  // The same for what the page asks.
  void take_page_call(const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange);
  void answer_page(const HttpRequest& request, HttpExchange& exchange);
  void send_page(const HttpRequest& request, HttpExchange& exchange);
  void respond_json(HttpExchange& exchange, const OrderedJson& json);
  // Why nothing of a request may leave this machine; empty: it may.
  std::string why_kept_here(const HttpRequest& request) const;
  bool is_let_in(const HttpRequest& request) const;
  size_t n_waiting();
  void wait_in_line(Job job);
  void list_models(std::string_view id, HttpExchange& exchange);
  void refuse(HttpExchange& exchange, int status, std::string_view message,
              std::string_view param = {}, std::string_view code = {});
  void give_up(HttpExchange& exchange, int status, std::string_view message, std::string_view code);
  void fail_with_error(HttpExchange& exchange, const Error& error);
  void work();
  void run(const Job& job);
  void learn();
  // `name` without an alias.
  const std::string& meant_by(const std::string& name) const;
  // What the router is asked; nullopt: the model's name is none, and that has been said.
  std::optional<RouteRequest> routed(const ChatRequest& asked, HttpExchange& exchange);
  void answer(const ChatRequest& asked, HttpExchange& exchange);
  void explain(const ChatRequest& asked, HttpExchange& exchange);
  void embed(const EmbeddingsRequest& asked, HttpExchange& exchange);

  std::unique_ptr<Router> router_;
  std::vector<std::string> models_;
  ServiceOptions options_;
  HttpGuard guard_;
  Metrics metrics_;
  StoredItems said_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> waiting_;
  size_t n_running_ = 0;
  bool stopping_ = false;
  bool learning_ = false;
  CancelFlag stop_running_;
  CancelFlag stop_learning_;
  std::vector<PromisePoint> promises_;
  std::vector<std::thread> workers_;
};

}  // namespace ac
