// Forward rules: what must never leave this machine, whatever the router thinks of it.
//
// A file with a rule a line: a phrase, found anywhere in any letter case, or /a regular expression/.
// Blank lines and lines that begin with # mean nothing. Text is compared after Unicode compatibility
// composition and case folding, without invisible characters, with every run of blanks, line ends and
// control characters as one blank: so a phrase is found across a line's end and in fullwidth letters.
// Expressions are tried on that and on the text as it is.
//
// What cannot be read to its end (text that is not UTF-8, an expression that takes too many steps)
// counts as a broken rule: it stays.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/result.h"

namespace ac {

// Thread-safe.
class ForwardRules {
 public:
  // Errors: kInvalidArgument with file and line, kNotFound, kIo.
  static Result<std::shared_ptr<const ForwardRules>> load(const std::string& path);
  // `where` stands for the file's name in messages. Errors: kInvalidArgument.
  static Result<std::shared_ptr<const ForwardRules>> parse(std::string_view text,
                                                           std::string_view where);
  ~ForwardRules();

  // In words, which rule keeps them here: "the rule in line 3 of never.txt keeps it here". Empty: none.
  std::string broken_by(const std::vector<std::string_view>& texts) const;
  size_t n_rules() const;

 private:
  struct Rule;
  ForwardRules(std::string where, std::vector<Rule> rules);
  std::string where_;
  std::vector<Rule> rules_;
};

}  // namespace ac
