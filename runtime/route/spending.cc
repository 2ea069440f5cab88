#include "runtime/route/spending.h"

#include <algorithm>
#include <ctime>
#include <nlohmann/json.hpp>

#include "runtime/core/file.h"
#include "runtime/core/json.h"

namespace ac {
namespace {

constexpr uint64_t kMaxFileBytes = 4096;
// Sums of doubles; a limit is kept to a thousandth of a cent.
constexpr double kSlack = 1e-5;

std::string date_text(const Clock& clock, const char* format) {
  const std::time_t now = std::chrono::system_clock::to_time_t(clock.wall_now());
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[16];
  return {text, std::strftime(text, sizeof(text), format, &parts)};
}

}  // namespace

Spending::Spending(std::string path, SpendingLimits limits, const Clock& clock)
    : path_(std::move(path)), limits_(limits), clock_(clock) {}

bool Spending::fits(const Book& book, double usd) const {
  const auto within = [usd](double limit, double spent) {
    return limit <= 0 || spent + usd <= limit + kSlack;
  };
  return within(limits_.usd_per_day, book.day_usd) && within(limits_.usd_per_month, book.month_usd);
}

// Nobody else reads and writes while it is held.
Result<std::optional<FileLock>> Spending::lock_file() const {
  if (path_.empty()) return std::optional<FileLock>();
  AC_TRY(FileLock taken, FileLock::take(path_ + ".lock"));
  return std::optional<FileLock>(std::move(taken));
}

// What was spent so far; of an earlier day or month nothing.
Result<Spending::Book> Spending::read() const {
  Book book = memory_;
  if (!path_.empty()) {
    const auto text = read_file(path_, kMaxFileBytes);
    if (!text && text.error().code != ErrorCode::kNotFound) return text.error();
    if (text) {
      const auto parse = [&]() -> Status {
        AC_TRY(const Json object, parse_json(*text));
        if (!object.is_object()) return fail(ErrorCode::kCorruptFile, "expected an object");
        AC_TRY(book.day, json_string(object, "day"));
        AC_TRY(book.day_usd, json_number(object, "day_usd"));
        AC_TRY(book.month, json_string(object, "month"));
        AC_TRY(book.month_usd, json_number(object, "month_usd"));
        return {};
      };
      if (const Status status = parse(); !status) {
        return fail(ErrorCode::kCorruptFile,
                    "{}: {}; nothing is spent until it is mended or removed", path_,
                    status.error().message);
      }
    }
  }
  const std::string day = date_text(clock_, "%Y-%m-%d"), month = date_text(clock_, "%Y-%m");
  if (book.day != day) book.day_usd = 0;
  if (book.month != month) book.month_usd = 0;
  book.day = day;
  book.month = month;
  return book;
}

Status Spending::write(const Book& book) {
  if (path_.empty()) {
    memory_ = book;
    return {};
  }
  return write_file(path_, json_line(OrderedJson{{"day", book.day},
                                                 {"day_usd", book.day_usd},
                                                 {"month", book.month},
                                                 {"month_usd", book.month_usd}}) +
                               "\n");
}

Result<bool> Spending::reserve(double usd) {
  const std::lock_guard guard(mutex_);
  AC_TRY(const std::optional<FileLock> lock, lock_file());
  AC_TRY(Book book, read());
  if (!fits(book, usd)) return false;
  book.day_usd += usd;
  book.month_usd += usd;
  AC_TRY_STATUS(write(book));
  return true;
}

Status Spending::settle(double reserved, double spent) {
  const std::lock_guard guard(mutex_);
  AC_TRY(const std::optional<FileLock> lock, lock_file());
  AC_TRY(Book book, read());
  book.day_usd = std::max(0.0, book.day_usd + spent - reserved);
  book.month_usd = std::max(0.0, book.month_usd + spent - reserved);
  return write(book);
}

Result<bool> Spending::allows(double usd) const {
  const std::lock_guard guard(mutex_);
  AC_TRY(const Book book, read());
  return fits(book, usd);
}

}  // namespace ac
