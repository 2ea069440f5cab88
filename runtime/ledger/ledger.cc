#include "runtime/ledger/ledger.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>

#include "runtime/core/log.h"

namespace ac {
namespace {

constexpr int64_t kVersion = 1;
constexpr int64_t kDayMs = 24 * 3600 * 1000;

std::tm utc_parts(int64_t at_ms) {
  const std::time_t seconds = at_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return parts;
}

Status make_tables(Database& database) {
  AC_TRY(Transaction transaction, Transaction::begin(database));
  AC_TRY(Query asked, database.query("PRAGMA user_version"));
  AC_TRY(const bool has_version, asked.next());
  const int64_t version = has_version ? asked.integer(0) : 0;
  AC_TRY_STATUS(asked.run());
  if (version > kVersion) {
    return fail(ErrorCode::kUnsupported, "{}: a ledger of version {}, expected at most {}",
                database.path(), version, kVersion);
  }
  if (version == kVersion) return transaction.commit();
  AC_TRY_STATUS(
      database.run("CREATE TABLE answers(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL,"
                   " source TEXT NOT NULL, place TEXT NOT NULL, model TEXT NOT NULL, level INTEGER,"
                   " reason TEXT NOT NULL, finish TEXT NOT NULL, confidence REAL,"
                   " degraded INTEGER NOT NULL, doubtful INTEGER NOT NULL,"
                   " prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,"
                   " reused_tokens INTEGER NOT NULL, seconds REAL NOT NULL,"
                   " first_token_seconds REAL NOT NULL, cost_micro_usd INTEGER NOT NULL,"
                   " full_cost_micro_usd INTEGER NOT NULL, local_watt_hours REAL NOT NULL) STRICT"));
  AC_TRY_STATUS(database.run("CREATE INDEX answers_at ON answers(at_ms)"));
  AC_TRY_STATUS(
      database.run("CREATE TABLE spending(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL,"
                   " reserved_micro_usd INTEGER NOT NULL, spent_micro_usd INTEGER) STRICT"));
  AC_TRY_STATUS(database.run("CREATE INDEX spending_at ON spending(at_ms)"));
  AC_TRY_STATUS(database.run(
      "CREATE TABLE notes(name TEXT PRIMARY KEY, text TEXT NOT NULL) STRICT, WITHOUT ROWID"));
  AC_TRY_STATUS(database.run("PRAGMA application_id = 0x41434c47"));
  AC_TRY_STATUS(database.run("PRAGMA user_version = 1"));
  return transaction.commit();
}

// Errors: kCorruptFile also for a database of somebody else.
Status check_ours(Database& database) {
  AC_TRY(Query checked, database.query("PRAGMA quick_check(1)"));
  AC_TRY(const bool said, checked.next());
  if (!said || checked.text(0) != "ok") {
    return fail(ErrorCode::kCorruptFile, "{}: {}", database.path(),
                said ? checked.text(0) : "no answer to its check");
  }
  AC_TRY(Query ours, database.query("SELECT (SELECT count(*) FROM sqlite_schema) = 0 OR"
                                    " (SELECT application_id FROM pragma_application_id) ="
                                    " 0x41434c47"));
  AC_TRY(const bool answered, ours.next());
  if (!answered || ours.integer(0) == 0) {
    return fail(ErrorCode::kCorruptFile, "{}: a database that is no ledger", database.path());
  }
  return {};
}

Result<Database> open_checked(const std::string& path) {
  AC_TRY(Database database, Database::open(path));
  AC_TRY_STATUS(check_ours(database));
  AC_TRY_STATUS(make_tables(database));
  return database;
}

// The columns of an answer, in the order of its INSERT.
LedgerRow read_row(const Query& query) {
  LedgerRow row;
  row.id = query.integer(0);
  LedgerEntry& entry = row.entry;
  entry.at_ms = query.integer(1);
  entry.source = query.text(2);
  entry.place = query.text(3);
  entry.model = query.text(4);
  if (!query.is_null(5)) entry.level = query.integer(5);
  entry.reason = query.text(6);
  entry.finish = query.text(7);
  if (!query.is_null(8)) entry.confidence = query.number(8);
  entry.degraded = query.integer(9) != 0;
  entry.doubtful = query.integer(10) != 0;
  entry.prompt_tokens = query.integer(11);
  entry.completion_tokens = query.integer(12);
  entry.reused_tokens = query.integer(13);
  entry.seconds = query.number(14);
  entry.first_token_seconds = query.number(15);
  entry.cost_micro_usd = query.integer(16);
  entry.full_cost_micro_usd = query.integer(17);
  entry.local_watt_hours = query.number(18);
  return row;
}

}  // namespace

int64_t day_start_ms(int64_t at_ms) {
  const int64_t into = at_ms % kDayMs;
  return at_ms - (into < 0 ? into + kDayMs : into);
}

int64_t month_start_ms(int64_t at_ms) {
  return day_start_ms(at_ms) - (utc_parts(at_ms).tm_mday - 1) * kDayMs;
}

std::string utc_text(int64_t at_ms) {
  const std::tm parts = utc_parts(at_ms);
  char text[32];
  return {text, std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts)};
}

int64_t Ledger::now_ms() const {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             clock_.wall_now().time_since_epoch())
      .count();
}

Result<std::shared_ptr<Ledger>> Ledger::open(const std::string& path, const Clock& clock) {
  Result<Database> database = open_checked(path);
  std::string set_aside;
  if (!database && database.error().code == ErrorCode::kCorruptFile) {
    const std::string why = database.error().message;
    const int64_t now = std::chrono::duration_cast<std::chrono::milliseconds>(
                            clock.wall_now().time_since_epoch())
                            .count();
    set_aside = fmt::format("{}.corrupt-{}", path, now);
    for (const char* ending : {"", "-wal", "-shm"}) {
      std::error_code error;
      std::filesystem::rename(path + ending, set_aside + ending, error);
      if (error && *ending == '\0') {
        return fail(ErrorCode::kIo, "{}: damaged, and it cannot be renamed: {}", path,
                    error.message());
      }
    }
    database = open_checked(path);
    if (!database) return database.error();
    AC_TRY(Query note, database->query("INSERT INTO notes VALUES('stopped', ?)"));
    AC_TRY_STATUS(note.bind(1, std::string_view(fmt::format("{}; it is now {}", why, set_aside)))
                      .run());
    log_warning("{}; it is now {}, and nothing is spent until: agentcompress log accept", why,
                set_aside);
  }
  if (!database) return database.error();
  return std::shared_ptr<Ledger>(new Ledger(std::move(*database), clock, std::move(set_aside)));
}

Status Ledger::append(const LedgerEntry& entry) {
  const std::lock_guard guard(mutex_);
  AC_TRY(Query query,
         database_.query("INSERT INTO answers VALUES(NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                         " ?, ?, ?, ?)"));
  query.bind(1, entry.at_ms != 0 ? entry.at_ms : now_ms());
  query.bind(2, std::string_view(entry.source)).bind(3, std::string_view(entry.place));
  query.bind(4, std::string_view(entry.model)).bind(5, entry.level);
  query.bind(6, std::string_view(entry.reason)).bind(7, std::string_view(entry.finish));
  query.bind(8, entry.confidence);
  query.bind(9, int64_t{entry.degraded}).bind(10, int64_t{entry.doubtful});
  query.bind(11, entry.prompt_tokens).bind(12, entry.completion_tokens);
  query.bind(13, entry.reused_tokens).bind(14, entry.seconds).bind(15, entry.first_token_seconds);
  query.bind(16, entry.cost_micro_usd).bind(17, entry.full_cost_micro_usd);
  query.bind(18, entry.local_watt_hours);
  return query.run();
}

// Money that was set aside and never settled counts whole: whoever took it may have spent it.
Result<bool> Ledger::fits(int64_t micro_usd, const SpendingLimits& limits) {
  AC_TRY(Query stop, database_.query("SELECT 1 FROM notes WHERE name = 'stopped'"));
  AC_TRY(const bool is_stopped, stop.next());
  if (is_stopped) return false;
  const int64_t now = now_ms();
  const auto within = [&](double limit_usd, int64_t from_ms) -> Result<bool> {
    if (limit_usd <= 0) return true;
    AC_TRY(Query spent, database_.query("SELECT coalesce(sum(coalesce(spent_micro_usd,"
                                        " reserved_micro_usd)), 0) FROM spending WHERE at_ms >= ?"));
    spent.bind(1, from_ms);
    AC_TRY(const bool answered, spent.next());
    return answered && spent.integer(0) + micro_usd <= ac::micro_usd(limit_usd);
  };
  AC_TRY(const bool fits_day, within(limits.usd_per_day, day_start_ms(now)));
  if (!fits_day) return false;
  return within(limits.usd_per_month, month_start_ms(now));
}

Result<std::optional<int64_t>> Ledger::reserve(int64_t micro_usd, const SpendingLimits& limits) {
  const std::lock_guard guard(mutex_);
  AC_TRY(Transaction transaction, Transaction::begin(database_));
  AC_TRY(const bool may, fits(micro_usd, limits));
  if (!may) return std::optional<int64_t>();
  AC_TRY(Query query, database_.query("INSERT INTO spending VALUES(NULL, ?, ?, NULL)"));
  AC_TRY_STATUS(query.bind(1, now_ms()).bind(2, micro_usd).run());
  const int64_t id = database_.last_row();
  AC_TRY_STATUS(transaction.commit());
  return std::optional(id);
}

Status Ledger::settle(int64_t reservation, int64_t micro_usd) {
  const std::lock_guard guard(mutex_);
  AC_TRY(Query query, database_.query("UPDATE spending SET spent_micro_usd = ? WHERE id = ?"));
  return query.bind(1, micro_usd).bind(2, reservation).run();
}

Result<bool> Ledger::allows(int64_t micro_usd, const SpendingLimits& limits) {
  const std::lock_guard guard(mutex_);
  return fits(micro_usd, limits);
}

Result<std::string> Ledger::stopped() {
  const std::lock_guard guard(mutex_);
  AC_TRY(Query query, database_.query("SELECT text FROM notes WHERE name = 'stopped'"));
  AC_TRY(const bool is_stopped, query.next());
  return is_stopped ? query.text(0) : std::string();
}

Status Ledger::accept_loss() {
  const std::lock_guard guard(mutex_);
  return database_.run("DELETE FROM notes WHERE name = 'stopped'");
}

Result<std::vector<LedgerRow>> Ledger::rows(const LedgerSpan& span, int64_t most) {
  const std::lock_guard guard(mutex_);
  AC_TRY(Query query, database_.query("SELECT * FROM answers WHERE at_ms >= ? AND at_ms < ?"
                                      " ORDER BY at_ms DESC, id DESC LIMIT ?"));
  query.bind(1, span.from_ms).bind(2, span.until_ms).bind(3, most);
  std::vector<LedgerRow> rows;
  while (true) {
    AC_TRY(const bool more, query.next());
    if (!more) break;
    rows.push_back(read_row(query));
  }
  std::reverse(rows.begin(), rows.end());
  return rows;
}

Result<LedgerRow> Ledger::row(int64_t id) {
  const std::lock_guard guard(mutex_);
  AC_TRY(Query query, database_.query("SELECT * FROM answers WHERE id = ?"));
  query.bind(1, id);
  AC_TRY(const bool found, query.next());
  if (!found) return fail(ErrorCode::kNotFound, "{}: no answer {}", database_.path(), id);
  return read_row(query);
}

Result<int64_t> Ledger::forget_before(int64_t at_ms) {
  const std::lock_guard guard(mutex_);
  AC_TRY(Transaction transaction, Transaction::begin(database_));
  AC_TRY(Query counted, database_.query("SELECT count(*) FROM answers WHERE at_ms < ?"));
  counted.bind(1, at_ms);
  AC_TRY(const bool answered, counted.next());
  const int64_t n = answered ? counted.integer(0) : 0;
  AC_TRY_STATUS(counted.run());
  AC_TRY(Query answers, database_.query("DELETE FROM answers WHERE at_ms < ?"));
  AC_TRY_STATUS(answers.bind(1, at_ms).run());
  // The month that runs still counts.
  AC_TRY(Query spending, database_.query("DELETE FROM spending WHERE at_ms < ?"));
  AC_TRY_STATUS(spending.bind(1, std::min(at_ms, month_start_ms(now_ms()))).run());
  AC_TRY_STATUS(transaction.commit());
  return n;
}

}  // namespace ac
