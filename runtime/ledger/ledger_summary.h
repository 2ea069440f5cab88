// What the ledger's rows come to: how much stayed here, what it cost, and what it would have cost.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/json.h"
#include "runtime/ledger/ledger.h"

namespace ac {

// Of answers that were made by one model, or on one day, or of all.
struct LedgerTotals {
  int64_t n = 0, n_local = 0, n_degraded = 0, n_doubtful = 0, n_interrupted = 0;
  int64_t prompt_tokens = 0, completion_tokens = 0;
  int64_t cost_micro_usd = 0, full_cost_micro_usd = 0;
  double local_watt_hours = 0;
  double p50_seconds = 0, p90_seconds = 0;

  double usd() const { return usd_of(cost_micro_usd); }
  double full_usd() const { return usd_of(full_cost_micro_usd); }
  double saved_usd() const { return full_usd() - usd(); }
};

struct LedgerSummary {
  LedgerTotals all;
  struct OfModel {
    std::string place, model;
    LedgerTotals totals;
  };
  std::vector<OfModel> models;  // most answers first
  struct OfDay {
    int64_t start_ms = 0;  // UTC
    LedgerTotals totals;
  };
  std::vector<OfDay> days;  // in order; days without answers are left out
};

LedgerSummary summary_of(std::span<const LedgerRow> rows);
std::string summary_text(const LedgerSummary& summary);
OrderedJson summary_to_json(const LedgerSummary& summary);
// What was paid and what the full model alone would have taken, added up over time.
std::string summary_svg(const LedgerSummary& summary);

// "id,at,source,place,..." and a line for every row; no field holds what a spreadsheet would run.
std::string rows_to_csv(std::span<const LedgerRow> rows);
OrderedJson row_to_json(const LedgerRow& row);

}  // namespace ac
