#include "models/tasks/alternation.h"

#include <set>
#include <vector>

namespace ac::tasks {
namespace {

// The parts of the "<...>" that begins at `begin`; `end` is past its ">". No part where it is not
// closed.
std::vector<std::string_view> parts_at(std::string_view entry, size_t begin, size_t& end) {
  std::vector<std::string_view> parts;
  size_t depth = 0, part_begin = begin + 1;
  for (size_t i = begin; i < entry.size(); ++i) {
    if (entry[i] == '<') ++depth;
    if (depth == 1 && (entry[i] == '|' || entry[i] == '>')) {
      parts.push_back(entry.substr(part_begin, i - part_begin));
      part_begin = i + 1;
    }
    if (entry[i] == '>' && --depth == 0) {
      end = i + 1;
      return parts;
    }
  }
  return {};
}

// Where a text that begins at each of `starts` may end.
std::set<size_t> ends_of(std::string_view entry, std::string_view text, std::set<size_t> starts) {
  for (size_t i = 0; i < entry.size() && !starts.empty();) {
    std::set<size_t> ends;
    if (entry[i] != '<') {
      for (const size_t at : starts) {
        if (at < text.size() && text[at] == entry[i]) ends.insert(at + 1);
      }
      ++i;
    } else {
      size_t end = 0;
      for (const std::string_view part : parts_at(entry, i, end)) ends.merge(ends_of(part, text, starts));
      i = end;
    }
    starts = std::move(ends);
  }
  return starts;
}

}  // namespace

Status check_alternations(std::string_view entry) {
  for (size_t i = 0; i < entry.size(); ++i) {
    if (entry[i] != '<') continue;
    size_t end = 0;
    const auto parts = parts_at(entry, i, end);
    if (parts.empty()) return fail(ErrorCode::kCorruptFile, "'<' without its '>'");
    for (const std::string_view part : parts) AC_TRY_STATUS(check_alternations(part));
    i = end - 1;
  }
  return {};
}

std::string chosen(std::string_view entry, const std::function<size_t(size_t n)>& below) {
  std::string text;
  for (size_t i = 0; i < entry.size();) {
    if (entry[i] != '<') {
      text += entry[i++];
      continue;
    }
    size_t end = 0;
    const auto parts = parts_at(entry, i, end);
    text += chosen(parts[below(parts.size())], below);
    i = end;
  }
  return text;
}

bool may_become(std::string_view entry, std::string_view text) {
  return ends_of(entry, text, {0}).contains(text.size());
}

}  // namespace ac::tasks
