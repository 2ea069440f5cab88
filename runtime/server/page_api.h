// What the page at "/" is told beside OpenAI's API: state, savings, variants, and what a promise
// costs. Made for that page alone; nothing here is an interface to build on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/predictor/gates.h"
#include "runtime/core/interval.h"
#include "runtime/core/json.h"
#include "runtime/ledger/ledger.h"
#include "runtime/route/router.h"
#include "runtime/route/token_prices.h"

namespace ac {

struct PageVariant {
  std::string id;
  std::string method;  // "prune, low_rank 0.5, quantize q4_0"
  uint64_t bytes = 0;
  double bits = 0;              // of a weight; 0: not known
  double relative_compute = 1;  // bit-operations of a token, the dearest variant's being 1
  std::optional<double> divergence{};  // from the base, nats
  SuccessCount tasks{};                // of research tasks; n = 0: not measured
  double ms_per_token = 0;             // as measured when the zoo was made; 0: not
};

// What does not change while the server runs.
struct PageFacts {
  std::string version{};
  std::vector<PageVariant> variants{};  // cheapest first
  std::map<std::string, std::string> aliases{};
  std::string remote_host{}, remote_model{};  // empty: none
  bool offline_fixed = false;                 // by the settings
  bool learns = false;
  bool needs_key = false;
  double threshold = 0.7;
  double target_success = 0, target_confidence = 0;
  std::shared_ptr<const Gates> gates{};  // nullptr: none
  bool paper = false;                    // the paper's gate decides
};

// What one promise would mean on the calibration labels.
struct PromisePoint {
  double target_success = 0;
  double local_share = 0;
  double retained = 1, low = 1, high = 1;  // share of the full model's success, 95 % interval
};
// Ascending in target_success; empty without labels.
std::vector<PromisePoint> promise_curve(const CalibrationTable& table, double confidence);

OrderedJson page_state(const PageFacts& facts, const Router& router, size_t n_waiting);
// Of the last `days` days (UTC) before and with `now_ms`. Errors: those of Ledger::rows.
Result<OrderedJson> page_savings(Ledger& ledger, int64_t days, int64_t now_ms);
// `tokens_per_second`: of variants that have answered in this process.
OrderedJson page_zoo(const PageFacts& facts, const Router& router,
                     const std::map<std::string, double>& tokens_per_second);
// `usd_per_prompt`: what the full model takes for one.
OrderedJson page_router(const PageFacts& facts, const std::vector<PromisePoint>& curve,
                        const Router& router, double usd_per_prompt);

}  // namespace ac
