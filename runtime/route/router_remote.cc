// What the remote answers, with its price set aside before and settled after.
#include <algorithm>

#include "runtime/core/log.h"
#include "runtime/route/remote_pool.h"
#include "runtime/route/router_state.h"

namespace ac {

// The only place where the client comes into being. REQUIRES: make_remote. Errors: kUnsupported
// (offline by now), those of making it.
Result<RemoteClient*> Router::State::remote() {
  AC_CHECK(make_remote);
  if (offline()) return fail(ErrorCode::kRemote, "offline");
  const std::lock_guard lock(shared);
  if (client == nullptr && !client_error.has_value()) {
    Result<std::unique_ptr<RemoteClient>> made = make_remote();
    if (made.has_value()) {
      client = std::move(*made);
    } else {
      client_error = made.error();
    }
  }
  if (client_error.has_value()) return *client_error;
  return client.get();
}

Result<RoutedAnswer> Router::State::run_remote(Journey& journey) {
  const double price = highest_price(journey.request);
  AC_TRY(const bool has_room, set_aside_in_workflow(journey, price));
  if (!has_room) return fail(ErrorCode::kRemote, "the workflow's budget has no room for it");
  std::optional<int64_t> reservation;
  if (ledger != nullptr && price > 0) {
    AC_TRY(reservation, ledger->reserve(micro_usd(price), options.limits));
    if (!reservation) return fail(ErrorCode::kRemote, "the budget has no room for it");
  }
  double spent = 0;
  Result<RoutedAnswer> answer = ask_remote(journey, spent);
  journey.spent += spent;
  if (reservation) {
    if (const Status settled = ledger->settle(*reservation, micro_usd(spent)); !settled) {
      log_warning("{}", settled.error().message);
    }
  }
  return answer;
}

// `spent`: what it came to, whether or not there is an answer.
Result<RoutedAnswer> Router::State::ask_remote(Journey& journey, double& spent) {
  AC_TRY(RemoteClient * remote_client, remote());
  const GenerateOptions& generate = journey.request.options;
  // Who goes offline means at once.
  bool begun = false;
  const CancelFlag nobody;
  const CancelFlag ends(generate.cancel != nullptr ? *generate.cancel : nobody, goes_offline);
  const RemoteRequest request{.messages = journey.request.messages,
                              .max_tokens = std::max(1, generate.max_tokens),
                              .temperature = generate.sampler.temperature,
                              .top_p = generate.sampler.top_p,
                              .seed = generate.sampler.seed,
                              .stop = generate.stop,
                              .response_format = journey.request.response_format,
                              .tools = journey.request.tools,
                              .tool_choice = journey.request.tool_choice,
                              .on_text = journey.relay.callback(),
                              .cancel = &ends,
                              .begun = &begun};
  Result<RemoteAnswer> remote_answer = remote_client->complete(request);
  if (!remote_answer.has_value()) {
    Error error = remote_answer.error();
    const bool left = generate.cancel != nullptr && generate.cancel->raised();
    if (error.code == ErrorCode::kCancelled && offline() && !left) {
      error = {ErrorCode::kRemote, "offline by now"};
    }
    // Text that came was made, and whoever made it will want to be paid.
    if (begun || journey.relay.has_text()) spent = highest_price(journey.request);
    if (journey.relay.relayed() || error.code == ErrorCode::kCancelled) {
      return broken_off(journey, remote_client->model(), error);
    }
    journey.relay.restart();
    return error;
  }
  spent = remote_answer->usage_known ? remote_answer->cost_usd : highest_price(journey.request);
  if (remote_answer->usage_known) {
    constexpr double kShareOfNew = 0.1;
    const std::lock_guard lock(shared);
    usual_completion_tokens +=
        kShareOfNew *
        (static_cast<double>(remote_answer->completion_tokens) - usual_completion_tokens);
  }
  RoutedAnswer answer;
  answer.receipt = receipt_of(journey);
  answer.receipt.model = remote_answer->model;
  answer.receipt.completion_tokens = remote_answer->completion_tokens;
  answer.receipt.prompt_tokens = remote_answer->prompt_tokens;
  answer.receipt.cost_usd = remote_answer->cost_usd;
  answer.receipt.finish = remote_answer->finish_reason;
  if (!remote_answer->usage_known) add_note(&answer.receipt.note, kNotCounted);
  answer.text = std::move(remote_answer->text);
  answer.tool_calls = std::move(remote_answer->tool_calls);
  return answer;
}

}  // namespace ac
