// What may be spent on the remote, and what has been: dollars per day and month (UTC), remembered
// in a small file that several processes share.
//
// Money is set aside before a question is asked and settled after it, so that questions on their
// way at the same time cannot pass a limit together. A process that dies in between leaves what it
// had set aside as spent: the safe side.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "runtime/core/clock.h"
#include "runtime/core/file_lock.h"
#include "runtime/core/result.h"

namespace ac {

struct TokenPrices {
  double usd_per_million_prompt_tokens = 0;
  double usd_per_million_completion_tokens = 0;
  double of(int64_t prompt_tokens, int64_t completion_tokens) const {
    return 1e-6 * (usd_per_million_prompt_tokens * static_cast<double>(prompt_tokens) +
                   usd_per_million_completion_tokens * static_cast<double>(completion_tokens));
  }
};

struct SpendingLimits {
  double usd_per_day = 0;    // 0: none
  double usd_per_month = 0;  // 0: none
};

class Spending {
 public:
  // `path`: the file, made with its folder when first needed; empty: nothing outlives this object.
  Spending(std::string path, SpendingLimits limits, const Clock& clock);

  // Sets `usd` aside. False, and nothing set aside: a limit would be passed. Errors: kIo,
  // kCorruptFile (a file that is not one of ours: nothing is spent on a guess).
  Result<bool> reserve(double usd);
  // What was set aside has become this much. Errors: as reserve().
  Status settle(double reserved, double spent);
  // Whether reserve() would say yes. Errors: as reserve().
  Result<bool> allows(double usd) const;

 private:
  struct Book {
    std::string day, month;  // "2026-11-28", "2026-11"
    double day_usd = 0, month_usd = 0;
  };
  Result<std::optional<FileLock>> lock_file() const;
  Result<Book> read() const;
  Status write(const Book& book);
  bool fits(const Book& book, double usd) const;

  std::string path_;
  SpendingLimits limits_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  Book memory_;  // without a path
};

}  // namespace ac
