#include "models/tasks/task.h"

#include <array>

namespace ac::tasks {
namespace {

constexpr std::array<std::string_view, kTaskKinds> kKindNames = {"citation", "data-to-text",
                                                                 "review", "hypothesis"};

// The order of Truth's alternatives is the order of TaskKind.
static_assert(std::is_same_v<std::variant_alternative_t<0, Truth>, CitationTruth>);
static_assert(std::is_same_v<std::variant_alternative_t<1, Truth>, TableTruth>);
static_assert(std::is_same_v<std::variant_alternative_t<2, Truth>, ReviewTruth>);
static_assert(std::is_same_v<std::variant_alternative_t<3, Truth>, HypothesisTruth>);
static_assert(std::variant_size_v<Truth> == kTaskKinds);

template <class Enum, class Name>
std::optional<Enum> from_name(std::string_view name, int n, Name name_of) {
  for (int i = 0; i < n; ++i) {
    if (name_of(static_cast<Enum>(i)) == name) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

struct Check {
  std::string_view answer;
  Verdict operator()(const CitationTruth& truth) const { return check_citation(truth, answer); }
  Verdict operator()(const TableTruth& truth) const { return check_table(truth, answer); }
  Verdict operator()(const ReviewTruth& truth) const { return check_review(truth, answer); }
  Verdict operator()(const HypothesisTruth& truth) const { return check_hypothesis(truth, answer); }
};

struct SkillName {
  std::string_view operator()(const CitationTruth& truth) const {
    constexpr std::array<std::string_view, 3> kNames = {"format", "bibliography", "in-text"};
    return kNames[static_cast<size_t>(truth.skill)];
  }
  std::string_view operator()(const TableTruth& truth) const {
    if (truth.layout == Layout::kNone) return "compare";
    return truth.asked.empty() ? "describe" : "describe-and-compare";
  }
  std::string_view operator()(const ReviewTruth& truth) const {
    constexpr std::array<std::string_view, 3> kNames = {"full", "extract", "synthesise"};
    return kNames[static_cast<size_t>(truth.skill)];
  }
  std::string_view operator()(const HypothesisTruth& truth) const {
    constexpr std::array<std::string_view, 4> kNames = {"predict", "continue", "from-review",
                                                        "experiment"};
    return kNames[static_cast<size_t>(truth.skill)];
  }
};

}  // namespace

std::string_view kind_name(TaskKind kind) { return kKindNames[static_cast<size_t>(kind)]; }
std::optional<TaskKind> kind_from_name(std::string_view name) {
  return from_name<TaskKind>(name, kTaskKinds, kind_name);
}
std::optional<Field> field_from_name(std::string_view name) {
  return from_name<Field>(name, kFields, field_name);
}
std::optional<Split> split_from_name(std::string_view name) {
  return from_name<Split>(name, kSplits, split_name);
}

Task make_task(TaskKind kind, Field field, Split split, uint64_t seed, Wording wording,
               const WordPieces* pieces) {
  constexpr uint64_t kSalt = 100;
  Draw draw(seed, kSalt + static_cast<uint64_t>(kind), field, split, wording, pieces);
  switch (kind) {
    case TaskKind::kCitation:
      return as_task(draw, make_citation(draw));
    case TaskKind::kDataToText:
      return as_task(draw, make_table_task(draw));
    case TaskKind::kReview:
      return as_task(draw, make_review(draw));
    case TaskKind::kHypothesis:
      return as_task(draw, make_hypothesis(draw));
  }
  AC_CHECK(false);
}

Verdict check(const Truth& truth, std::string_view answer) {
  // Longer than any answer by far: not worth reading.
  constexpr size_t kMostBytes = 64 << 10;
  if (answer.size() > kMostBytes) return failed("the answer is longer than 64 KiB");
  return std::visit(Check{answer}, truth);
}

std::string_view skill_name(const Truth& truth) { return std::visit(SkillName{}, truth); }

}  // namespace ac::tasks
