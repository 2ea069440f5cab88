// log: the ledger's rows, one by one.
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "runtime/cli/setup.h"
#include "runtime/cli/terminal.h"
#include "runtime/cli/verbs.h"
#include "runtime/core/file.h"
#include "runtime/core/json.h"
#include "runtime/core/log.h"
#include "runtime/ledger/ledger_summary.h"

namespace ac::cli {
namespace {

constexpr const char* kSections = "ledger log";

constexpr std::array kTailOptions = {
    Option{"--n", "N", "so many, the newest (20)"},
    Option{"--json", "", "a JSON object a line"},
};
constexpr std::array kShowOptions = {Option{"--json", "", "as JSON"}};
constexpr std::array kExportOptions = {
    Option{"--days", "N", "only the last N days (UTC); 0: all (0)"},
    Option{"--out", "FILE", "write there instead of to the terminal"},
    Option{"--json", "", "a JSON object a line instead of CSV"},
};
constexpr std::array kForgetOptions = {
    Option{"--days", "N", "what is older than N days (UTC); 0: everything before today"},
};

std::string line_of(const LedgerRow& row) {
  const LedgerEntry& entry = row.entry;
  std::string what = fmt::format("{} {}", entry.place, entry.model);
  if (entry.level) what += fmt::format("@{}", *entry.level);
  std::string line = fmt::format("{:>7}  {}  {:<24} {:<13} {:>6} tok {:>7.2f} s  ${:.4f} of ${:.4f}",
                                 row.id, utc_text(entry.at_ms), what, entry.reason,
                                 entry.prompt_tokens + entry.completion_tokens, entry.seconds,
                                 usd_of(entry.cost_micro_usd), usd_of(entry.full_cost_micro_usd));
  if (entry.degraded) line += "  degraded";
  if (entry.doubtful) line += "  doubtful";
  if (entry.finish != "stop") line += "  " + entry.finish;
  return line;
}

Result<int> run_tail(const Invocation& invocation) {
  AC_TRY(const int64_t n, invocation.integer("--n", 20, 1, 1'000'000));
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const std::shared_ptr<Ledger> ledger, open_ledger(invocation, settings));
  AC_TRY(const std::vector<LedgerRow> rows, ledger->rows({}, n));
  for (const LedgerRow& row : rows) {
    output().write_line(invocation.has("--json") ? json_line(row_to_json(row)) : line_of(row));
  }
  if (rows.empty()) note_line("no answers yet");
  AC_TRY(const std::string stopped, ledger->stopped());
  if (!stopped.empty()) {
    note_line(fmt::format("nothing is spent: {}; agentcompress log accept goes on", stopped));
  }
  return 0;
}

Result<int> run_show(const Invocation& invocation) {
  const std::string& text = invocation.arguments()[0];
  int64_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) {
    return usage_error(invocation.verb(), fmt::format("'{}' is no number of an answer", text));
  }
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const std::shared_ptr<Ledger> ledger, open_ledger(invocation, settings));
  AC_TRY(const LedgerRow row, ledger->row(id));
  const OrderedJson object = row_to_json(row);
  if (invocation.has("--json")) {
    output().write_line(json_line(object));
    return 0;
  }
  for (const auto& [key, value] : object.items()) {
    print("{:<22}{}\n", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return 0;
}

Result<int> run_export(const Invocation& invocation) {
  AC_TRY(const int64_t days, invocation.integer("--days", 0, 0, 100'000));
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const std::shared_ptr<Ledger> ledger, open_ledger(invocation, settings));
  AC_TRY(const std::vector<LedgerRow> rows, ledger->rows(last_days(days)));
  std::string text;
  if (invocation.has("--json")) {
    for (const LedgerRow& row : rows) text += json_line(row_to_json(row)) + "\n";
  } else {
    text = rows_to_csv(rows);
  }
  if (const auto file = invocation.value("--out")) {
    AC_TRY_STATUS(write_file(*file, text));
    return 0;
  }
  output().write(text);
  return 0;
}

Result<int> run_forget(const Invocation& invocation) {
  if (!invocation.has("--days")) {
    return usage_error(invocation.verb(), "expected --days N: what is older than that is forgotten");
  }
  AC_TRY(const int64_t days, invocation.integer("--days", 0, 0, 100'000));
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const std::shared_ptr<Ledger> ledger, open_ledger(invocation, settings));
  AC_TRY(const int64_t n, ledger->forget_before(days_ago_ms(days)));
  print("{} answers forgotten\n", n);
  return 0;
}

Result<int> run_accept(const Invocation& invocation) {
  AC_TRY(const Settings settings, invocation.load_settings());
  AC_TRY(const std::shared_ptr<Ledger> ledger, open_ledger(invocation, settings));
  AC_TRY(const std::string stopped, ledger->stopped());
  if (stopped.empty()) {
    print("nothing was lost\n");
    return 0;
  }
  AC_TRY_STATUS(ledger->accept_loss());
  print("accepted: {}\n", stopped);
  return 0;
}

}  // namespace

constinit const Verb kLogTail = {
    .name = "log tail",
    .summary = "the last answers: where, why, how long, what they cost",
    .options = kTailOptions,
    .sections = kSections,
    .run = run_tail,
};
constinit const Verb kLogShow = {
    .name = "log show",
    .arguments = "ID",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "everything that is known of one answer",
    .options = kShowOptions,
    .sections = kSections,
    .run = run_show,
};
constinit const Verb kLogExport = {
    .name = "log export",
    .summary = "all of it as CSV or JSON",
    .options = kExportOptions,
    .sections = kSections,
    .run = run_export,
};
constinit const Verb kLogForget = {
    .name = "log forget",
    .summary = "remove what is old",
    .options = kForgetOptions,
    .sections = kSections,
    .run = run_forget,
};
constinit const Verb kLogAccept = {
    .name = "log accept",
    .summary = "go on spending after a damaged ledger was set aside",
    .sections = kSections,
    .run = run_accept,
};

}  // namespace ac::cli
