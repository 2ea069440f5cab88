// Text to token windows: documents, their hashes, and how they are packed.
//
// A file holds documents: in a `.jsonl` file each line is an object whose "text" is one, or whose
// "prompt" and "answer" are; in any other, documents are separated by blank lines.
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
  std::string text;       // or the answer to
  std::string prompt{};   // what was asked; empty: nothing, it is a text
  uint64_t hash = 0;      // of both without the space around them
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
  // What each token counts when it is to be predicted; empty: all count 1. Those of prompts count
  // 0, since nobody needs a model to guess what is asked.
  std::vector<float> weights;

  size_t n_windows() const { return ends.size(); }
  std::span<const int32_t> window(size_t i) const {
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    return std::span(tokens).subspan(begin, ends[i] - begin);
  }
  // Of token j of window i.
  float weight(size_t i, size_t j) const {
    return weights.empty() ? 1.0f : weights[(i == 0 ? 0 : ends[i - 1]) + j];
  }
  void add(std::span<const int32_t> window) {
    tokens.insert(tokens.end(), window.begin(), window.end());
    if (!weights.empty()) weights.resize(tokens.size(), 1.0f);
    ends.push_back(tokens.size());
  }
  void add(std::span<const int32_t> window, std::span<const float> its_weights) {
    weights.resize(tokens.size(), 1.0f);
    weights.insert(weights.end(), its_weights.begin(), its_weights.end());
    tokens.insert(tokens.end(), window.begin(), window.end());
    ends.push_back(tokens.size());
  }
};

// Texts one after the other, cut into windows of `window` tokens; every text and every window begins
// with bos where the tokenizer puts one before prompts. A prompt with its answer has a window of its
// own, by way of the chat template, as the model meets it when it is asked. Stops at max_tokens.
// REQUIRES: window >= 2. Errors: kUnsupported (prompts, and no template), those of rendering it.
Result<TokenWindows> pack_documents(std::span<const TextDocument> documents,
                                    const Tokenizer& tokenizer, std::string_view chat_template,
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
