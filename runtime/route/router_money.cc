// What answers cost: looked at before they are asked for, set aside, and written down.
#include <algorithm>

#include "runtime/core/log.h"
#include "runtime/route/leaving_text.h"
#include "runtime/route/router_state.h"
#include "runtime/route/written_down.h"

namespace ac {

// No text has more tokens than bytes, beside what a template puts around its messages.
double Router::State::highest_price(const RouteRequest& request) const {
  constexpr int64_t kTokensPerMessage = 32;
  const auto n_messages = static_cast<int64_t>(request.messages.size());
  const auto prompt_tokens =
      static_cast<int64_t>(leaving_bytes(request)) + kTokensPerMessage * n_messages;
  return options.prices.of(prompt_tokens, std::max(1, request.options.max_tokens));
}

// What it will cost if the answer is like those before.
double Router::State::usual_price(const RouteRequest& request) const {
  constexpr int64_t kBytesPerToken = 4;
  int64_t n_bytes = 0;
  for (const ChatMessage& message : request.messages) {
    n_bytes += static_cast<int64_t>(message.content.size());
  }
  return options.prices.of(n_bytes / kBytesPerToken,
                           static_cast<int64_t>(usual_completion_tokens));
}

Result<bool> Router::State::may_spend(const RouteRequest& request) {
  const double price = highest_price(request);
  if (options.usd_per_workflow > 0 && !request.workflow.empty()) {
    AC_TRY(const WorkflowState workflow, workflow_of(request));
    if (workflow.usd + price > options.usd_per_workflow) return false;
  }
  if (ledger == nullptr || price == 0) return true;
  // What cannot be accounted for is not spent.
  const Result<bool> allowed = ledger->allows(micro_usd(price), options.limits);
  if (!allowed) log_warning("{}", allowed.error().message);
  return allowed && *allowed;
}

void Router::State::write_down(const RoutedAnswer& answer) {
  if (ledger == nullptr || options.source.empty()) return;
  const Status written = ledger->append(
      written_down(answer.receipt, options.source, options.prices, options.local_watts));
  if (!written) log_warning("not in the ledger: {}", written.error().message);
}

Result<bool> Router::State::set_aside_in_workflow(Journey& journey, double price) {
  const std::string& id = journey.request.workflow;
  if (options.usd_per_workflow <= 0 || id.empty()) return true;
  AC_TRY(const WorkflowState workflow, workflow_of(journey.request));
  const std::lock_guard lock(shared);
  double& aside = set_aside[id];
  if (workflow.usd + journey.spent + aside + price > options.usd_per_workflow) return false;
  aside += price;
  journey.set_aside += price;
  return true;
}

void Router::State::release(Journey& journey) {
  if (journey.set_aside == 0) return;
  const std::lock_guard lock(shared);
  const auto aside = set_aside.find(journey.request.workflow);
  aside->second -= std::exchange(journey.set_aside, 0);
  if (aside->second <= 1e-12) set_aside.erase(aside);
}

}  // namespace ac
