// Labels whose truth is in their words.
#pragma once

#include <string>

#include "models/train/labels.h"
#include "runtime/core/rng.h"

namespace ac {

// Prompts of random filler words; "prove" makes the small model fail, "riddle" makes both fail.
inline Labels made_up_labels(int n_rows) {
  constexpr const char* kFiller[] = {"the", "a",    "house", "river", "count", "please", "why",
                                     "7",   "blue", "tree",  "since", "write", "!",      "lemma"};
  Rng rng(21);
  std::string text;
  for (int i = 0; i < n_rows; ++i) {
    const double kind = rng.uniform();
    std::string prompt;
    const auto place = rng.below(8);
    for (uint64_t w = 0; w < 10; ++w) {
      if (w == place && kind < 0.4) prompt += "prove ";
      if (w == place && kind >= 0.4 && kind < 0.6) prompt += "riddle ";
      prompt += std::string(kFiller[rng.below(14)]) + " ";
    }
    text += "{\"prompt\": \"" + prompt + std::to_string(i) +
            "\", \"scores\": {\"weak\": " + (kind < 0.6 ? "0" : "1") +
            ", \"strong\": " + (kind >= 0.4 && kind < 0.6 ? "0" : "1") + "}}\n";
  }
  return parse_labels(text, "made_up.jsonl").value();
}

}  // namespace ac
