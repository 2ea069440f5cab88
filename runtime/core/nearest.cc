#include "runtime/core/nearest.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace ac {
namespace {

constexpr size_t kLongestWord = 64;  // longer words are not typing mistakes of ours

// Damerau-Levenshtein restricted to neighbours: insert, delete, replace and swap cost one each.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  std::iota(above.begin(), above.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replace = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

}  // namespace

std::optional<std::string_view> nearest_name(std::string_view word,
                                             std::span<const std::string_view> names) {
  if (word.size() > kLongestWord) return std::nullopt;
  std::optional<std::string_view> best;
  size_t best_edits = 0;
  for (const std::string_view name : names) {
    const size_t distance = edits(word, name);
    const size_t allowed = std::max<size_t>(2, std::max(word.size(), name.size()) / 3);
    // All letters replaced is no resemblance, however short the word.
    if (distance > allowed || distance >= std::max(word.size(), name.size())) continue;
    if (!best || distance < best_edits) {
      best = name;
      best_edits = distance;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> names) {
  const auto name = nearest_name(word, names);
  return name ? fmt::format(", did you mean '{}'?", *name) : std::string();
}

}  // namespace ac
