// Result<T>: the way an operation that may fail says so.
//
// What may happen (a file, the network, a user's input, memory) is returned as an Error; what must
// not happen (our own bug) is an AC_CHECK (check.h). Nothing in this project throws on purpose.
// Member names follow std::expected, so that a later move to it is one alias.
#pragma once

#include <fmt/core.h>

#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "runtime/core/check.h"

namespace ac {

// Stable names: the command line maps them to exit codes and the server to HTTP statuses.
enum class ErrorCode {
  kInvalidArgument,  // the caller or the user asked for something that makes no sense
  kNotFound,         // a named file, variant, tensor or key does not exist
  kCorruptFile,      // outside data breaks its own format
  kUnsupported,      // valid, but not something this build can do
  kIo,               // the operating system refused
  kRemote,           // the remote model failed or broke the protocol
  kOutOfMemory,      // the memory needed is more than the memory there is
  kContextFull,      // the prompt and answer do not fit the model's context
  kCancelled,        // somebody asked us to stop
};

std::string_view error_code_name(ErrorCode code);

// An error says what failed, where, what was expected and what was found.
// Every function that may fail has paths that copy and destroy errors; those are calls, for they
// are rare, and inline they were much of the code.
struct Error {
  Error();
  Error(ErrorCode error_code, std::string text);
  Error(const Error& other);
  Error(Error&& other) noexcept;
  Error& operator=(const Error& other);
  Error& operator=(Error&& other) noexcept;
  ~Error();

  ErrorCode code = ErrorCode::kInvalidArgument;
  std::string message;
};

// fail() with its arguments gathered.
[[nodiscard]] Error fail_with(ErrorCode code, fmt::string_view format, fmt::format_args arguments);

// Builds an Error from a format string: `return fail(ErrorCode::kNotFound, "no variant '{}'", id);`
template <class... Args>
[[nodiscard]] Error fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return fail_with(code, format, fmt::make_format_args(args...));
}

// Puts where in front of what: "stories.zoo: member 'q4_0': <message>".
[[nodiscard]] Error with_context(Error error, std::string_view where);

// A union by hand: std::variant's visitation took a tenth of the compile time of files that use
// many types of result.
template <class T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : ok_(true), value_(std::move(value)) {}       // NOLINT: implicit
  Result(Error error) : ok_(false), error_(std::move(error)) {}  // NOLINT: implicit

  Result(const Result& other) requires std::is_copy_constructible_v<T> : ok_(other.ok_) {
    if (ok_) {
      std::construct_at(&value_, other.value_);
    } else {
      std::construct_at(&error_, other.error_);
    }
  }
  Result(Result&& other) noexcept : ok_(other.ok_) { take(other); }
  Result& operator=(Result other) noexcept {
    destroy();
    ok_ = other.ok_;
    take(other);
    return *this;
  }
  ~Result() { destroy(); }

  bool has_value() const { return ok_; }
  explicit operator bool() const { return ok_; }

  // REQUIRES: has_value().
  T& value() & {
    AC_CHECK(ok_);
    return value_;
  }
  const T& value() const& {
    AC_CHECK(ok_);
    return value_;
  }
  T&& value() && {
    AC_CHECK(ok_);
    return std::move(value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES: !has_value().
  const Error& error() const {
    AC_CHECK(!ok_);
    return error_;
  }

 private:
  void take(Result& other) noexcept {
    if (ok_) {
      std::construct_at(&value_, std::move(other.value_));
    } else {
      std::construct_at(&error_, std::move(other.error_));
    }
  }
  void destroy() noexcept {
    if (ok_) {
      std::destroy_at(&value_);
    } else {
      std::destroy_at(&error_);
    }
  }

  bool ok_;
  union {
    T value_;
    Error error_;
  };
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit

  bool has_value() const { return ok_; }
  explicit operator bool() const { return ok_; }
  const Error& error() const {
    AC_CHECK(!ok_);
    return error_;
  }

 private:
  Error error_;
  bool ok_ = true;
};

using Status = Result<void>;

#define AC_CONCAT_INNER(a, b) a##b
#define AC_CONCAT(a, b) AC_CONCAT_INNER(a, b)

// AC_TRY(auto x, f()): evaluates f(); on error returns it from the enclosing function, otherwise
// declares x with the value.
#define AC_TRY(declaration, expression) \
  AC_TRY_INNER(AC_CONCAT(ac_try_, __LINE__), declaration, expression)
#define AC_TRY_INNER(temporary, declaration, expression) \
  auto temporary = (expression);                         \
  if (!temporary.has_value()) return temporary.error();  \
  declaration = std::move(*temporary)

// AC_TRY_STATUS(f()): the same for an operation without a value.
#define AC_TRY_STATUS(expression) AC_TRY_STATUS_INNER(AC_CONCAT(ac_try_, __LINE__), expression)
#define AC_TRY_STATUS_INNER(temporary, expression) \
  if (auto temporary = (expression); !temporary.has_value()) return temporary.error()

}  // namespace ac
