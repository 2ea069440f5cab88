// The words and phrasings of the tasks: the files of data/, embedded in the binary.
//
// A file is a row of sections, `[key split]`, one entry a line. The split is train, calibration or
// evaluation, or `all` for what every split may use (units, words that carry a sign, layouts).
// Lines that begin with # and empty lines are skipped; `\n` in an entry is a line break, `<a|b>` a
// choice (alternation.h).
#pragma once

#include <array>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace ac::tasks {

enum class Split { kTrain, kCalibration, kEvaluation };
inline constexpr int kSplits = 3;
std::string_view split_name(Split split);

class Lexicon {
 public:
  struct File {
    std::string_view name;
    std::string_view text;
  };
  struct Section {
    // Either all[...] or the three lists have entries.
    std::vector<std::string> all;
    std::array<std::vector<std::string>, kSplits> by_split;
  };

  // Errors: kCorruptFile with file and line, for entries outside a section, unknown splits, empty
  // or repeated sections, an entry given twice in its key, and keys that lack one of the splits.
  static Result<Lexicon> parse(std::span<const File> files);

  // REQUIRES: the key is in the data.
  const std::vector<std::string>& list(std::string_view key, Split split) const;
  bool has(std::string_view key) const { return sections_.find(key) != sections_.end(); }
  const std::map<std::string, Section, std::less<>>& sections() const { return sections_; }

 private:
  std::map<std::string, Section, std::less<>> sections_;
};

// Whether the entries of `key` are names and subject words, of which no two splits share one.
bool is_content(std::string_view key);

// Written by the build from data/*.txt.
std::span<const Lexicon::File> embedded_files();
// The embedded data, parsed once. Thread safe.
const Lexicon& lexicon();

}  // namespace ac::tasks
