// Text to token windows: documents, their hashes, and how they are packed.
//
// A file holds documents: in a `.jsonl` file each line is an object whose "text" is one; in any
// other, documents are separated by blank lines.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/tokenizer.h"
#include "runtime/core/result.h"

namespace ac {

struct TextDocument {
  std::string text;
  uint64_t hash = 0;  // of the text without the space around it
};

inline constexpr uint64_t kMaxTextBytes = uint64_t{1} << 30;

// Documents of a text; empty ones are left out. `origin` names it in errors, its end tells the
// format. Errors: kCorruptFile (a line of .jsonl that is not such an object).
Result<std::vector<TextDocument>> split_documents(std::string_view text, std::string_view origin);
// Errors: those of read_file and split_documents.
Result<std::vector<TextDocument>> read_documents(const std::string& path);

// Token sequences, each read from position 0 on by a model with an empty cache.
struct TokenWindows {
  std::vector<int32_t> tokens;  // windows one after the other
  std::vector<size_t> ends;     // where each ends; ascending

  size_t n_windows() const { return ends.size(); }
  std::span<const int32_t> window(size_t i) const {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::span(tokens).subspan(begin, ends[i] - begin);
  }
  void add(std::span<const int32_t> window) {
    tokens.insert(tokens.end(), window.begin(), window.end());
    ends.push_back(tokens.size());
  }
};

// Documents one after the other, cut into windows of `window` tokens; every document and every
// window begins with bos where the tokenizer puts one before prompts. Stops at max_tokens.
// REQUIRES: window >= 2.
TokenWindows pack_documents(std::span<const TextDocument> documents, const Tokenizer& tokenizer,
                            int32_t window, size_t max_tokens);

// Two texts of which the second judges what the first made.
struct SplitText {
  std::vector<TextDocument> calibration;
  std::vector<TextDocument> held_out;
};
// Every tenth document is held out, and whatever repeats one of those is left out of both.
SplitText split_held_out(std::vector<TextDocument> documents);
// Errors: kInvalidArgument when a held-out document is also one of the calibration text.
Status check_apart(std::span<const TextDocument> calibration,
                   std::span<const TextDocument> held_out);
// One number for a text, whatever the file's name.
uint64_t hash_of(std::span<const TextDocument> documents);

}  // namespace ac
