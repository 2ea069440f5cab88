// The ledger: one row for every answer, of what was done and what it cost, and what may still be
// spent. Never a word of what was asked or answered.
//
// Money is whole micro-dollars. The most that a question can cost is set aside in the ledger before
// it is asked and settled after it, in transactions of their own, so that neither several processes
// together nor one that dies in between can pass a limit. Where the ledger cannot be written nothing
// is spent.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/core/clock.h"
#include "runtime/core/result.h"
#include "runtime/ledger/database.h"

namespace ac {

inline int64_t micro_usd(double usd) { return static_cast<int64_t>(usd * 1e6 + 0.5); }
inline double usd_of(int64_t micro_usd) { return 1e-6 * static_cast<double>(micro_usd); }

struct LedgerEntry {
  int64_t at_ms = 0;   // when the answer was whole, since 1970 UTC; 0: now
  std::string source;  // "ask", "chat", "serve", "learn", "library"
  std::string place;   // "local", "remote"
  std::string model;   // a variant's id or the remote model
  std::optional<int64_t> level{};  // of a nested variant
  std::string reason;  // route_reason_name
  std::string finish;  // "stop", "length", "cancelled", "interrupted"
  std::optional<double> confidence{};
  bool degraded = false;
  bool doubtful = false;
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  int64_t reused_tokens = 0;
  double seconds = 0;
  double first_token_seconds = 0;
  int64_t cost_micro_usd = 0;       // paid to the remote
  int64_t full_cost_micro_usd = 0;  // what the remote would have taken for it
  double local_watt_hours = 0;
};

struct LedgerRow {
  int64_t id = 0;
  LedgerEntry entry;
};

struct LedgerSpan {
  int64_t from_ms = 0;
  int64_t until_ms = INT64_MAX;  // not included
};

struct SpendingLimits {
  double usd_per_day = 0;    // UTC; 0: none
  double usd_per_month = 0;  // 0: none
};

// Thread-safe.
class Ledger {
 public:
  // ":memory:" keeps nothing. A file that is damaged, or none of ours, is set aside under another
  // name and a new one begun; nothing is spent then until accept_loss(). Errors: kIo, kUnsupported
  // (a ledger of a newer program).
  static Result<std::shared_ptr<Ledger>> open(const std::string& path, const Clock& clock);

  // Errors: kIo, kCorruptFile.
  Status append(const LedgerEntry& entry);

  // Sets money aside. Nullopt: a limit would be passed. Errors: as append().
  Result<std::optional<int64_t>> reserve(int64_t micro_usd, const SpendingLimits& limits);
  // What was set aside has become this much. Errors: as append().
  Status settle(int64_t reservation, int64_t micro_usd);
  // Whether reserve() would grant it now. Errors: as append().
  Result<bool> allows(int64_t micro_usd, const SpendingLimits& limits);

  // Why nothing may be spent, whatever the limits say; empty: it may. Errors: as append().
  Result<std::string> stopped();
  // What was lost with a damaged ledger is known and accepted: money may be spent again.
  Status accept_loss();

  // Oldest first; the newest `most` of the span. Errors: as append().
  Result<std::vector<LedgerRow>> rows(const LedgerSpan& span, int64_t most = INT64_MAX);
  // Errors: as append(); kNotFound.
  Result<LedgerRow> row(int64_t id);
  // Rows and settled money older than this. -> how many rows. Errors: as append().
  Result<int64_t> forget_before(int64_t at_ms);

  const std::string& path() const { return database_.path(); }
  // Where a damaged file was put when this one was opened; empty: nowhere.
  const std::string& set_aside() const { return set_aside_; }

 private:
  Ledger(Database database, const Clock& clock, std::string set_aside)
      : database_(std::move(database)), clock_(clock), set_aside_(std::move(set_aside)) {}
  int64_t now_ms() const;
  Result<bool> fits(int64_t micro_usd, const SpendingLimits& limits);

  std::mutex mutex_;
  Database database_;
  const Clock& clock_;
  std::string set_aside_;
};

// The beginning of the day and of the month (UTC) that `at_ms` lies in.
int64_t day_start_ms(int64_t at_ms);
int64_t month_start_ms(int64_t at_ms);
// "2026-11-28 14:03:22"
std::string utc_text(int64_t at_ms);

}  // namespace ac
