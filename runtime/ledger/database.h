// SQLite behind Results. Only literals become SQL, values are bound: no text from outside is ever
// part of a statement.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace ac {

// SQL that was there when the program was compiled.
struct Sql {
  template <size_t n>
  consteval Sql(const char (&literal)[n]) : text(literal) {}  // NOLINT: implicit
  const char* text;
};

// A statement that can be run again and again. Not thread-safe; outlived by its database.
class Query {
 public:
  // Parameters from 1. Bound until the next bind() to the same one.
  Query& bind(int parameter, int64_t value);
  Query& bind(int parameter, double value);
  Query& bind(int parameter, std::string_view value);
  Query& bind(int parameter, std::nullopt_t);
  template <class T>
  Query& bind(int parameter, const std::optional<T>& value) {
    return value ? bind(parameter, *value) : bind(parameter, std::nullopt);
  }

  // The next row. False: there is none, and the query is ready to be run again. Errors: kIo (also a
  // full disk, and a lock that others held for too long), kCorruptFile.
  Result<bool> next();
  // To its end. Errors: as next().
  Status run();

  // Of the row, columns from 0.
  int64_t integer(int column) const;
  double number(int column) const;
  std::string text(int column) const;
  bool is_null(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  explicit Query(sqlite3_stmt* statement) : statement_(statement) {}
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  bool bound_all_ = true;  // no bind() has failed
};

class Database {
 public:
  // Made where there is none, with its folder, readable by its owner alone. Survives the death of
  // processes and of the machine: write-ahead log, synced with every transaction; on a network's
  // file system, where processes cannot share the log's index, the older journal. ":memory:": in
  // memory. Errors: kIo, kCorruptFile (not a database, or a damaged one).
  static Result<Database> open(const std::string& path);

  Result<Query> query(Sql sql);
  Status run(Sql sql);
  // Of the last row that was inserted.
  int64_t last_row() const;
  const std::string& path() const { return path_; }

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  Database(sqlite3* database, std::string path) : database_(database), path_(std::move(path)) {}
  std::unique_ptr<sqlite3, Close> database_;
  std::string path_;
};

// Everything up to commit() or nothing; others wait meanwhile.
class Transaction {
 public:
  static Result<Transaction> begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  // Errors: kIo; then nothing has happened.
  Status commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace ac
