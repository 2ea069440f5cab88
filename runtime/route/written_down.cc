#include "runtime/route/written_down.h"

namespace ac {

LedgerEntry written_down(const Receipt& receipt, std::string source, const TokenPrices& prices,
                         double watts) {
  constexpr double kSecondsPerHour = 3600;
  LedgerEntry entry;
  entry.source = std::move(source);
  const bool is_local = receipt.place == Place::kLocal;
  entry.place = is_local ? "local" : "remote";
  entry.model = receipt.model;
  if (receipt.level) entry.level = *receipt.level;
  entry.reason = route_reason_name(receipt.reason);
  entry.finish = receipt.finish;
  entry.confidence = receipt.confidence;
  entry.degraded = receipt.degraded;
  entry.doubtful = !receipt.doubts.empty();
  entry.prompt_tokens = receipt.prompt_tokens;
  entry.completion_tokens = receipt.completion_tokens;
  entry.reused_tokens = receipt.reused_tokens;
  entry.seconds = receipt.seconds;
  entry.first_token_seconds = receipt.first_token_seconds;
  entry.cost_micro_usd = micro_usd(receipt.cost_usd);
  entry.full_cost_micro_usd =
      is_local ? micro_usd(prices.of(receipt.prompt_tokens, receipt.completion_tokens))
               : entry.cost_micro_usd;
  entry.local_watt_hours = is_local ? watts * receipt.seconds / kSecondsPerHour : 0;
  return entry;
}

}  // namespace ac
