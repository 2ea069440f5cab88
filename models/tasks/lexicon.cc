#include "models/tasks/lexicon.h"

#include <algorithm>

#include "models/tasks/alternation.h"
#include "models/tasks/text.h"

namespace ac::tasks {
namespace {

constexpr std::array<std::string_view, kSplits> kSplitNames = {"train", "calibration",
                                                               "evaluation"};

Result<std::string> unescape(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\') {
      text += line[i];
      continue;
    }
    if (i + 1 >= line.size() || line[i + 1] != 'n') {
      return fail(ErrorCode::kCorruptFile, "'\\' is followed by something other than n");
    }
    text += '\n';
    ++i;
  }
  return text;
}

// The list that "[key split]" opens.
Result<std::vector<std::string>*> open_section(
    std::string_view line, std::map<std::string, Lexicon::Section, std::less<>>& sections) {
  const size_t space = line.find(' ');
  if (line.back() != ']' || space == std::string_view::npos) {
    return fail(ErrorCode::kCorruptFile, "expected [key split], found '{}'", line);
  }
  const std::string key(line.substr(1, space - 1));
  const std::string_view split = line.substr(space + 1, line.size() - space - 2);
  Lexicon::Section& section = sections[key];
  std::vector<std::string>* list = nullptr;
  if (split == "all") {
    list = &section.all;
  } else {
    const auto name = std::find(kSplitNames.begin(), kSplitNames.end(), split);
    if (name == kSplitNames.end()) {
      return fail(ErrorCode::kCorruptFile,
                  "split '{}', expected all, train, calibration or evaluation", split);
    }
    list = &section.by_split[static_cast<size_t>(name - kSplitNames.begin())];
  }
  if (!list->empty()) {
    return fail(ErrorCode::kCorruptFile, "section [{} {}] is there twice", key, split);
  }
  return list;
}

Status check_section(std::string_view key, const Lexicon::Section& section) {
  const auto has_entries = [](const auto& list) { return !list.empty(); };
  const auto n_split = std::count_if(section.by_split.begin(), section.by_split.end(), has_entries);
  const bool complete = section.all.empty() ? n_split == kSplits : n_split == 0;
  if (!complete) {
    return fail(ErrorCode::kCorruptFile,
                "key '{}' needs entries for all, or for each of the splits", key);
  }
  std::vector<std::string> every = section.all;
  for (const auto& list : section.by_split) every.insert(every.end(), list.begin(), list.end());
  std::sort(every.begin(), every.end());
  const auto twice = std::adjacent_find(every.begin(), every.end());
  if (twice != every.end()) {
    return fail(ErrorCode::kCorruptFile, "key '{}' has the entry '{}' twice", key, *twice);
  }
  return {};
}

}  // namespace

std::string_view split_name(Split split) { return kSplitNames[static_cast<size_t>(split)]; }

Result<Lexicon> Lexicon::parse(std::span<const File> files) {
  Lexicon lexicon;
  for (const File& file : files) {
    std::vector<std::string>* list = nullptr;
    size_t n_line = 0;
    for (const std::string_view raw : split_lines(file.text)) {
      ++n_line;
      const std::string_view line = trim(raw);
      if (line.empty() || line[0] == '#') continue;
      const std::string where = fmt::format("{}:{}", file.name, n_line);
      if (line[0] == '[') {
        auto opened = open_section(line, lexicon.sections_);
        if (!opened) return with_context(opened.error(), where);
        list = *opened;
        continue;
      }
      if (list == nullptr) {
        return fail(ErrorCode::kCorruptFile, "{}: '{}' stands before any section", where, line);
      }
      auto entry = unescape(line);
      if (!entry) return with_context(entry.error(), where);
      if (const Status checked = check_alternations(*entry); !checked) {
        return with_context(checked.error(), where);
      }
      list->push_back(std::move(*entry));
    }
  }
  for (const auto& [key, section] : lexicon.sections_) {
    AC_TRY_STATUS(check_section(key, section));
  }
  return lexicon;
}

const std::vector<std::string>& Lexicon::list(std::string_view key, Split split) const {
  const auto found = sections_.find(key);
  AC_CHECK(found != sections_.end());
  const Section& section = found->second;
  return section.all.empty() ? section.by_split[static_cast<size_t>(split)] : section.all;
}

bool is_content(std::string_view key) {
  constexpr std::array<std::string_view, 16> kPrefixes = {
      "name.family", "name.root", "name.given", "place.", "discipline", "quantity",
      "title.setting", "title.method", "title.adjective", "topic", "journal.topic", "term.root",
      "table.named", "table.variable", "review.subjects", "review.method"};
  return key == "code.letter" ||
         std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return key.starts_with(prefix); });
}

const Lexicon& lexicon() {
  static const Lexicon parsed = [] {
    auto result = Lexicon::parse(embedded_files());
    AC_CHECK(result.has_value());
    return std::move(*result);
  }();
  return parsed;
}

}  // namespace ac::tasks
