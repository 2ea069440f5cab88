#include "models/predictor/compare_text.h"

#include <algorithm>
#include <map>
#include <vector>

namespace ac {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\f\v";

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t begin = line.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) continue;
    lines.push_back(line.substr(begin, line.find_last_not_of(kBlanks) - begin + 1));
  }
  return lines;
}

std::map<std::string_view, size_t> words_of(std::string_view text) {
  std::map<std::string_view, size_t> words;
  while (true) {
    const size_t begin = text.find_first_not_of(kBlanks);
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
    ++words[word];
    text.remove_prefix(word.size());
  }
}

}  // namespace

bool same_lines(std::string_view a, std::string_view b) { return lines_of(a) == lines_of(b); }

double word_overlap(std::string_view a, std::string_view b) {
  const auto of_a = words_of(a), of_b = words_of(b);
  size_t n_a = 0, n_b = 0, n_both = 0;
  for (const auto& [word, n] : of_a) {
    n_a += n;
    const auto other = of_b.find(word);
    if (other != of_b.end()) n_both += std::min(n, other->second);
  }
  for (const auto& [word, n] : of_b) n_b += n;
  if (n_a + n_b == 0) return 1;
  return 2 * static_cast<double>(n_both) / static_cast<double>(n_a + n_b);
}

}  // namespace ac
