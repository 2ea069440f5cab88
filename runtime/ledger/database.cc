#include "runtime/ledger/database.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

namespace ac {
namespace {

constexpr int kBusyMs = 5000;

Error error_of(sqlite3* database, std::string_view path, int code) {
  const int primary = code & 0xff;
  const bool damaged = primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB;
  return fail(damaged ? ErrorCode::kCorruptFile : ErrorCode::kIo, "{}: {}", path,
              database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code));
}

// Where several machines see one file, the shared memory beside a write-ahead log does not work.
bool is_remote(const std::string& path) {
  constexpr std::array<int64_t, 5> kNetworks = {0x6969, 0xff534d42, 0xfe534d42, 0x517b, 0x65735546};
  struct statfs info {};
  if (statfs(path.c_str(), &info) != 0) return false;
  const auto type = static_cast<int64_t>(static_cast<uint32_t>(info.f_type));
  return std::find(kNetworks.begin(), kNetworks.end(), type) != kNetworks.end();
}

// A folder of our own is our user's alone.
Status make_folder(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) return {};
  std::error_code error;
  const bool made = std::filesystem::create_directories(folder, error);
  if (error) return fail(ErrorCode::kIo, "{}: {}", folder.string(), error.message());
  if (made) chmod(folder.c_str(), S_IRWXU);
  return {};
}

// SQLite takes a new empty file as it finds it, and gives its companions the same permissions. One
// that is there already is left alone: closing it would let go of the locks of this process.
void make_file(const std::string& path) {
  const int file = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, S_IRUSR | S_IWUSR);
  if (file >= 0) ::close(file);
}

}  // namespace

void Query::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

Query& Query::bind(int parameter, int64_t value) {
  bound_all_ &= sqlite3_bind_int64(statement_.get(), parameter, value) == SQLITE_OK;
  return *this;
}
Query& Query::bind(int parameter, double value) {
  bound_all_ &= sqlite3_bind_double(statement_.get(), parameter, value) == SQLITE_OK;
  return *this;
}
Query& Query::bind(int parameter, std::string_view value) {
  bound_all_ &= sqlite3_bind_text64(statement_.get(), parameter, value.data(), value.size(),
                                    SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
  return *this;
}
Query& Query::bind(int parameter, std::nullopt_t) {
  bound_all_ &= sqlite3_bind_null(statement_.get(), parameter) == SQLITE_OK;
  return *this;
}

Result<bool> Query::next() {
  sqlite3* const database = sqlite3_db_handle(statement_.get());
  const int code = bound_all_ ? sqlite3_step(statement_.get()) : SQLITE_NOMEM;
  if (code == SQLITE_ROW) return true;
  Error error;
  if (code != SQLITE_DONE) error = error_of(database, sqlite3_db_filename(database, "main"), code);
  sqlite3_reset(statement_.get());
  if (code == SQLITE_DONE) return false;
  return error;
}

Status Query::run() {
  while (true) {
    AC_TRY(const bool more, next());
    if (!more) return {};
  }
}

int64_t Query::integer(int column) const { return sqlite3_column_int64(statement_.get(), column); }
double Query::number(int column) const { return sqlite3_column_double(statement_.get(), column); }
std::string Query::text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return "";
  return {reinterpret_cast<const char*>(text),
          static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}
bool Query::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<Database> Database::open(const std::string& path) {
  const bool on_disk = path != ":memory:";
  if (on_disk) {
    AC_TRY_STATUS(make_folder(path));
    make_file(path);
  }
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(
      path.c_str(), &opened,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW,
      nullptr);
  Database database(opened, path);
  if (code != SQLITE_OK) return error_of(opened, path, code);
  sqlite3_busy_timeout(opened, kBusyMs);
  sqlite3_limit(opened, SQLITE_LIMIT_LENGTH, 1 << 20);
  AC_TRY_STATUS(database.run("PRAGMA trusted_schema = OFF"));
  AC_TRY_STATUS(database.run("PRAGMA synchronous = FULL"));
  if (!on_disk) return database;
  // Switching to the log needs the file alone; SQLite does not wait for that by itself.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kBusyMs);
  while (true) {
    const Status set = is_remote(path) ? database.run("PRAGMA journal_mode = DELETE")
                                       : database.run("PRAGMA journal_mode = WAL");
    if (set) break;
    const bool busy = (sqlite3_errcode(opened) & 0xff) == SQLITE_BUSY;
    if (!busy || std::chrono::steady_clock::now() > deadline) return set.error();
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  // A small log, so that a nearly full disk is not taken by it.
  AC_TRY_STATUS(database.run("PRAGMA wal_autocheckpoint = 100"));
  AC_TRY_STATUS(database.run("PRAGMA journal_size_limit = 1048576"));
  return database;
}

Result<Query> Database::query(Sql sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(database_.get(), sql.text, -1, 0, &statement, nullptr);
  Query query(statement);
  if (code != SQLITE_OK) return error_of(database_.get(), path_, code);
  return query;
}

Status Database::run(Sql sql) {
  AC_TRY(Query query, this->query(sql));
  return query.run();
}

int64_t Database::last_row() const { return sqlite3_last_insert_rowid(database_.get()); }

Result<Transaction> Transaction::begin(Database& database) {
  AC_TRY_STATUS(database.run("BEGIN IMMEDIATE"));
  return Transaction(&database);
}

Transaction::~Transaction() {
  if (database_ == nullptr) return;
  // Where SQLite has rolled back by itself there is nothing left to do.
  const Status undone = database_->run("ROLLBACK");
  (void)undone;
}

Status Transaction::commit() {
  AC_TRY_STATUS(database_->run("COMMIT"));
  database_ = nullptr;
  return {};
}

}  // namespace ac
