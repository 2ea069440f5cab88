#include "runtime/cli/task_flags.h"

#include <fmt/ranges.h>

#include "models/store/gguf.h"
#include "models/text/tokenizer.h"
#include "runtime/core/nearest.h"

namespace ac::cli {
namespace {

using tasks::Field;
using tasks::Split;
using tasks::TaskKind;

constexpr int64_t kMostAtOnce = 1'000'000;

template <class T>
Result<std::optional<T>> named(const Invocation& invocation, std::string_view flag, int n,
                               std::string_view (*name_of)(T)) {
  const auto text = invocation.value(flag);
  if (!text) return std::optional<T>();
  std::vector<std::string_view> names;
  for (int i = 0; i < n; ++i) {
    names.push_back(name_of(static_cast<T>(i)));
    if (names.back() == *text) return std::optional<T>(static_cast<T>(i));
  }
  return usage_error(invocation.verb(),
                     fmt::format("{} is '{}', expected {}{}", flag, *text, fmt::join(names, "|"),
                                 did_you_mean(*text, names)));
}

}  // namespace

Result<TaskRange> task_range(const Invocation& invocation, Split split, int64_t n) {
  TaskRange range;
  AC_TRY(range.kind, named<TaskKind>(invocation, "--kind", tasks::kTaskKinds, tasks::kind_name));
  AC_TRY(range.field, named<Field>(invocation, "--field", tasks::kFields, tasks::field_name));
  AC_TRY(const auto given, named<Split>(invocation, "--split", tasks::kSplits, tasks::split_name));
  range.split = given.value_or(split);
  if (invocation.has("--respelled")) range.wording = tasks::Wording::kRespelled;
  AC_TRY(const int64_t seed, invocation.integer("--seed", 0, 0, INT64_MAX - kMostAtOnce));
  AC_TRY(const int64_t number, invocation.integer("--n", n, 1, kMostAtOnce));
  range.first = static_cast<uint64_t>(seed);
  range.n = static_cast<uint64_t>(number);
  return range;
}

Result<std::optional<tasks::WordPieces>> word_pieces(const Invocation& invocation) {
  const auto path = invocation.value("--tokens-of");
  if (!path) return std::optional<tasks::WordPieces>();
  if (!invocation.has("--respelled")) {
    return usage_error(invocation.verb(), "--tokens-of without --respelled, expected both");
  }
  AC_TRY(const Checkpoint checkpoint, open_checkpoint(std::string(*path)));
  AC_TRY(const auto tokenizer, Tokenizer::from_checkpoint(checkpoint));
  return std::optional<tasks::WordPieces>(tokenizer->vocabulary());
}

}  // namespace ac::cli
