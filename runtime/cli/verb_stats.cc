// stats: what the ledger's answers come to.
#include <array>
#include <nlohmann/json.hpp>

#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/ledger/ledger_summary.h"

namespace ac::cli {
namespace {

constexpr std::array kOptions = {
    Option{"--days", "N", "only the last N days (UTC); 0: all (30)"},
    Option{"--plot", "FILE", "write what was paid and what the full model would have taken, as SVG"},
    Option{"--json", "", "as JSON"},
};

Result<int> run(const Invocation& invocation) {
  AC_TRY(const int64_t days, invocation.integer("--days", 30, 0, 100'000));
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const std::shared_ptr<Ledger> ledger, open_ledger(invocation, settings));
  AC_TRY(const std::vector<LedgerRow> rows, ledger->rows(last_days(days)));
  const LedgerSummary summary = summary_of(rows);
  if (const auto file = invocation.value("--plot")) {
    AC_TRY_STATUS(write_file(*file, summary_svg(summary)));
  }
  if (invocation.has("--json")) {
    output().write_line(json_line(summary_to_json(summary)));
  } else {
    output().write(summary_text(summary));
  }
  return 0;
}

}  // namespace

constinit const Verb kStats = {
    .name = "stats",
    .summary = "what was answered where, what it cost, and what was saved",
    .options = kOptions,
    .sections = "ledger log",
    .run = run,
};

}  // namespace ac::cli
