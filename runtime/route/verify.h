// Whether a draft may be trusted, as far as its text and its prompt can tell.
//
//  * Grounding: where most of an answer's words come from the prompt, so must its facts: every
//    number, year and name has to be there, or to follow from what is there (the end of a page
//    range, a sum, a difference). Answers that bring knowledge of their own are not held to that.
//  * Arithmetic: what an answer says that two numbers make, they must make.
//  * Repetition: an answer that ends by saying the same thing over and over.
//
// None of it proves an answer right.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ac {

struct DraftCheck {
  bool transforms = false;              // most words come from the prompt: facts were looked up
  size_t n_facts = 0;                   // numbers and names that were
  std::vector<std::string> ungrounded;  // those that were not found, as they stand; each once
  std::vector<std::string> wrong_sums;  // "12 + 7 = 20"
  bool repeats = false;

  bool passes() const { return ungrounded.empty() && wrong_sums.empty() && !repeats; }
  // "not in the prompt: 1846, Okafor; wrong: 12 + 7 = 20"; empty where it passes.
  std::string summary() const;
};

// Any bytes are allowed. Takes time proportional to both texts.
DraftCheck check_draft(std::string_view prompt, std::string_view answer);

}  // namespace ac
