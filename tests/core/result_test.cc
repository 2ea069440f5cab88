// Result holds a value or an error by hand: every way to copy, move and replace one, with a value
// that counts how many of it there are.
#include "runtime/core/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace ac {
namespace {

class Counted {
 public:
  explicit Counted(int id) : id_(id) { ++alive; }
  Counted(const Counted& other) : id_(other.id_) { ++alive; }
  Counted(Counted&& other) noexcept : id_(std::exchange(other.id_, 0)) { ++alive; }
  Counted& operator=(const Counted&) = delete;
  ~Counted() { --alive; }
  int id() const { return id_; }

  static inline int alive = 0;

 private:
  int id_;
};

Result<Counted> good(int id) { return Counted(id); }
Result<Counted> bad(std::string what) { return fail(ErrorCode::kNotFound, "no {}", what); }

TEST(Result, DestroysWhatItHolds) {
  {
    const Result<Counted> value = good(3);
    const Result<Counted> error = bad("three");
    EXPECT_EQ(Counted::alive, 1);
    ASSERT_TRUE(value.has_value());
    EXPECT_EQ(value->id(), 3);
    ASSERT_FALSE(error.has_value());
    EXPECT_EQ(error.error().code, ErrorCode::kNotFound);
    EXPECT_EQ(error.error().message, "no three");
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST(Result, CopiesAndMoves) {
  {
    Result<Counted> value = good(3);
    const Result<Counted> copy = value;
    EXPECT_EQ(Counted::alive, 2);
    const Result<Counted> moved = std::move(value);
    EXPECT_EQ(copy->id(), 3);
    EXPECT_EQ(moved->id(), 3);
    EXPECT_EQ(value->id(), 0);
    const Result<Counted> error = bad("three");
    const Result<Counted> error_copy = error;
    EXPECT_EQ(error_copy.error().message, error.error().message);
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST(Result, IsReplacedByEither) {
  {
    Result<Counted> result = good(1);
    result = bad("one");
    EXPECT_EQ(Counted::alive, 0);
    EXPECT_EQ(result.error().message, "no one");
    result = bad("two");
    EXPECT_EQ(result.error().message, "no two");
    result = good(2);
    EXPECT_EQ(result->id(), 2);
    result = good(3);
    EXPECT_EQ(result->id(), 3);
    const Result<Counted>& same = result;
    result = same;
    EXPECT_EQ(result->id(), 3);
    EXPECT_EQ(Counted::alive, 1);
  }
  EXPECT_EQ(Counted::alive, 0);
}

TEST(Result, GivesItsValueAway) {
  static_assert(!std::is_copy_constructible_v<Result<std::unique_ptr<int>>>);
  Result<std::unique_ptr<int>> result = std::make_unique<int>(5);
  const std::unique_ptr<int> taken = *std::move(result);
  EXPECT_EQ(*taken, 5);
}

TEST(Error, GetsItsPlaceInFront) {
  const Error error = with_context(fail(ErrorCode::kIo, "{} of {} bytes", 3, 4), "a.zoo");
  EXPECT_EQ(error.code, ErrorCode::kIo);
  EXPECT_EQ(error.message, "a.zoo: 3 of 4 bytes");
}

}  // namespace
}  // namespace ac
