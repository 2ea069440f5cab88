// Who is let in, and what the page is told.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "runtime/core/ordered_json.h"
#include "runtime/server/error_reply.h"
#include "runtime/server/page.h"
#include "runtime/server/service.h"

namespace ac {
namespace {

constexpr int64_t kUsualDays = 7, kMostDays = 3660;
constexpr std::array<std::string_view, 5> kOfProxies = {"forwarded", "via", "x-forwarded-for",
                                                        "x-forwarded-host", "x-real-ip"};

// Of "days=30"; nullopt: it is no number of days.
std::optional<int64_t> days_of(std::string_view query) {
  constexpr std::string_view kName = "days=";
  if (query.empty()) return kUsualDays;
  if (!query.starts_with(kName)) return std::nullopt;
  query.remove_prefix(kName.size());
  int64_t days = 0;
  const auto [stop, error] = std::from_chars(query.data(), query.data() + query.size(), days);
  if (error != std::errc() || stop != query.data() + query.size()) return std::nullopt;
  return days >= 1 && days <= kMostDays ? std::optional(days) : std::nullopt;
}

}  // namespace

// The page and the sign of life are no secrets: what the page shows is asked for with a key.
bool ChatService::is_let_in(const HttpRequest& request) const {
  if (options_.keys == nullptr || request.path == "/" || request.path == "/health" ||
      request.path == "/v1/health") {
    return true;
  }
  const auto shown = request.field("authorization");
  return shown && options_.keys->find_bearer(*shown) != nullptr;
}

std::string ChatService::why_kept_here(const HttpRequest& request) const {
  if (options_.keys != nullptr) {
    const auto shown = request.field("authorization");
    const ServerKey* key = shown ? options_.keys->find_bearer(*shown) : nullptr;
    return key != nullptr && key->may_spend ? "" : "the key may not have the remote asked";
  }
  if (options_.anonymous_spends || options_.page.remote_host.empty()) return {};
  // Who stands behind a proxy is not known, whoever runs the proxy.
  const bool is_passed_on =
      std::any_of(kOfProxies.begin(), kOfProxies.end(),
                  [&](std::string_view name) { return request.field(name).has_value(); });
  const auto owner = connection_owner(request.peer, request.own);
  if (!is_passed_on && owner && (*owner == geteuid() || *owner == 0)) return {};
  return "only the server's own user may have the remote asked (anonymous_spends, keys_file)";
}

void ChatService::respond_json(HttpExchange& exchange, const OrderedJson& json) {
  exchange.respond(200, {{"content-type", "application/json"}, {"cache-control", "no-store"}},
                   json_line(json));
}

void ChatService::send_page(const HttpRequest& request, HttpExchange& exchange) {
  const std::string& page = whole_page();
  HttpFields fields = page_fields(page);
  const auto known = request.field("if-none-match");
  const auto tag = std::find_if(fields.begin(), fields.end(),
                                [](const auto& field) { return field.first == "etag"; });
  if (known && *known == tag->second) return exchange.respond(304, std::move(fields), "");
  exchange.respond(200, std::move(fields), page);
}

// What only looks is answered at once; what loads, or reads the ledger, when it is its turn.
void ChatService::take_page_call(const HttpRequest& request,
                                 const std::shared_ptr<HttpExchange>& exchange) {
  const bool get = request.method == "GET";
  if (get && request.path == "/api/state") {
    return respond_json(*exchange, page_state(options_.page, *router_, n_waiting()));
  }
  if (get && request.path == "/api/zoo") {
    return respond_json(*exchange,
                        page_zoo(options_.page, *router_, metrics_.tokens_per_second()));
  }
  if (get && request.path == "/api/router") {
    return respond_json(
        *exchange, page_router(options_.page, promises_, *router_, options_.usd_per_prompt));
  }
  wait_in_line({[this, request](HttpExchange& to) { answer_page(request, to); }, exchange});
}

void ChatService::answer_page(const HttpRequest& request, HttpExchange& exchange) {
  if (request.method == "GET") {
    if (request.path != "/api/savings") {
      return refuse(exchange, 404, fmt::format("there is nothing at {}", request.path));
    }
    const std::shared_ptr<Ledger> ledger = router_->ledger();
    if (ledger == nullptr) return refuse(exchange, 404, "no ledger is kept ([ledger] keep)");
    const auto days = days_of(request.query);
    if (!days) return refuse(exchange, 400, fmt::format("expected days=1 to {}", kMostDays), "days");
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
        system_clock().wall_now().time_since_epoch());
    const Result<OrderedJson> savings = page_savings(*ledger, *days, now.count());
    if (!savings) return fail_with_error(exchange, savings.error());
    return respond_json(exchange, *savings);
  }
  const auto type = request.field("content-type");
  if (!type || !type->starts_with("application/json")) {
    return refuse(exchange, 415, "expected content-type: application/json");
  }
  // Whoever may not spend may not decide for those who may, nor teach the gate.
  if (const std::string why = why_kept_here(request); !why.empty()) {
    return refuse(exchange, 403, why);
  }
  const Result<Json> body = parse_json(request.body);
  if (!body) return refuse(exchange, 400, body.error().message);
  const auto flag = [&](const char* name) -> std::optional<bool> {
    const Json* value = json_find(*body, name);
    if (value != nullptr && value->is_boolean()) return value->get<bool>();
    refuse(exchange, 400, fmt::format("expected {{\"{}\":true}} or false", name), name);
    return std::nullopt;
  };
  if (request.path == "/api/offline") {
    const auto offline = flag("offline");
    if (!offline) return;
    if (options_.page.offline_fixed && !*offline) {
      return refuse(exchange, 409, "offline = yes in the settings: it cannot be turned off here",
                    "offline");
    }
    if (!options_.page.offline_fixed) router_->set_offline(*offline);
    return respond_json(exchange, page_state(options_.page, *router_, n_waiting()));
  }
  if (request.path == "/api/feedback") {
    const auto good = flag("good");
    if (!good) return;
    const Status judged = router_->judge_last(*good);
    if (!judged) return refuse(exchange, 404, judged.error().message);
    return exchange.respond(204, {}, "");
  }
  if (request.path == "/api/zoo/load" || request.path == "/api/zoo/unload") {
    const Result<std::string> variant = json_string(*body, "variant");
    if (!variant) return refuse(exchange, 400, variant.error().message, "variant");
    if (request.path == "/api/zoo/unload") {
      router_->unload(*variant);
    } else if (const Status loaded = router_->with_engine(
                   *variant, [](Engine&) -> Status { return {}; });
               !loaded) {
      return fail_with_error(exchange, loaded.error());
    }
    return respond_json(exchange,
                        page_zoo(options_.page, *router_, metrics_.tokens_per_second()));
  }
  refuse(exchange, 404, fmt::format("there is nothing at {}", request.path));
}

}  // namespace ac
