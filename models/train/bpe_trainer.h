// Learns a byte-level BPE vocabulary from texts: of all neighbouring tokens merge the pair that is
// seen most often, and again, until there are enough tokens (Sennrich et al. 2016,
// arXiv:1508.07909). Texts are cut into pieces first, by the pre-tokenizer that the vocabulary will
// be used with, and pieces are counted, so the work depends on the number of different pieces.
//
// Ties go to the pair whose left, then right token is older: the same texts give the same
// vocabulary, in whatever order they were added.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/core/checkpoint.h"

namespace ac {

struct BpeOptions {
  int32_t n_vocab = 4096;  // special tokens and the 256 bytes included
  // Splits digits one by one, so that numbers are read place by place.
  std::string pre_tokenizer = "smollm";
  std::vector<std::string> special_tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  int64_t least_count = 2;         // pairs seen less often are not merged
  bool first_letters = false;      // the first letter of a word is a token (first_letters.h)
  size_t longest_token_bytes = 32;
};

using BpeMerge = std::pair<std::string, std::string>;  // bytes of left and right

struct BpeVocabulary {
  // Bytes: special tokens first, then the 256 bytes, then n_words words, then what merges make.
  std::vector<std::string> tokens;
  size_t n_special = 0;
  size_t n_words = 0;  // cut out of a text before it is cut into pieces; with first_letters only
  std::vector<BpeMerge> merges;
  std::string pre_tokenizer;
};

class BpeTrainer {
 public:
  // Errors: kInvalidArgument (a size too small for the bytes or above 2^20, an unknown
  // pre-tokenizer).
  static Result<BpeTrainer> create(BpeOptions options);
  void add_text(std::string_view text);
  // May give fewer tokens than asked for, when no pair is seen often enough.
  BpeVocabulary train() const;

 private:
  explicit BpeTrainer(BpeOptions options) : options_(std::move(options)) {}
  void add_run(std::string_view text);
  BpeVocabulary train_first_letters() const;
  BpeOptions options_;
  std::unordered_map<std::string, int64_t> pieces_;
  std::map<std::string, int64_t> beginnings_;  // of words (first_letters.h)
};

// Sets the tokenizer.ggml keys of `checkpoint`, with ChatML as the chat template: <|im_end|> ends an
// answer, and no token is put in front of a prompt.
void write_tokenizer(const BpeVocabulary& vocabulary, Checkpoint* checkpoint);

}  // namespace ac
