// What all kinds of tokenizers share: the tokens of a checkpoint, their bytes and types, the
// special ones, and a hash from bytes to the id of an ordinary token.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "models/text/special_trie.h"
#include "models/text/tokenizer.h"

namespace ac::text {

// How a vocabulary writes the bytes of a token.
enum class Spelling {
  kByteLevel,      // a printable character for each byte, as GPT-2 does
  kSentencePiece,  // UTF-8 with U+2581 for a space, and <0xHH> for single bytes
};

// `tokenizer.ggml.token_type`. On disk: never renumber.
enum class TokenType : uint8_t {
  kUndefined = 0,
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

class Vocabulary {
 public:
  // Errors: kNotFound, kCorruptFile; messages name the key.
  static Result<Vocabulary> read(const Checkpoint& checkpoint, Spelling spelling);

  int32_t size() const { return static_cast<int32_t>(types_.size()); }
  // The bytes a token stands for; of specials, their text.
  std::string_view bytes(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return {arena_.data() + offsets_[i], offsets_[i + 1] - offsets_[i]};
  }
  TokenType type(int32_t id) const { return types_[static_cast<size_t>(id)]; }
  // Shown to users only on request.
  bool hidden(int32_t id) const {
    return type(id) == TokenType::kControl || type(id) == TokenType::kUnknown;
  }
  // The ordinary token with these bytes, or -1. Ordinary are the tokens that merging may produce:
  // not control, unknown, added, unused and single-byte tokens.
  int32_t find(std::string_view bytes) const;
  // The token of a single byte, or -1.
  int32_t byte_token(uint8_t byte) const { return byte_tokens_[byte]; }
  size_t max_token_bytes() const { return max_token_bytes_; }

  // Tokens recognised in anybody's text: added words of the vocabulary.
  const SpecialTrie& words() const { return words_; }
  // Tokens recognised only in what a template wrote: marks such as <|im_start|>.
  const SpecialTrie& marks() const { return marks_; }

  std::optional<int32_t> bos, eos;
  std::optional<int32_t> unknown;  // for bytes without a token; never a control token
  bool ends_generation(int32_t id) const;
  // A mark or an added word with exactly this text.
  std::optional<int32_t> find_special(std::string_view text) const;

 private:
  Status read_ids(const Checkpoint& checkpoint, Spelling spelling);
  Status read_tokens(const Checkpoint& checkpoint, Spelling spelling);
  void index_specials(Spelling spelling);
  void index_tokens();

  std::string arena_;
  std::vector<uint32_t> offsets_;  // [size + 1]
  std::vector<TokenType> types_;
  std::vector<uint64_t> slots_;  // open addressing: high half of the hash, id + 1; 0 is empty
  size_t max_token_bytes_ = 0;
  std::vector<int32_t> byte_tokens_;  // [256]
  std::vector<int32_t> ends_;         // ascending
  SpecialTrie words_;
  SpecialTrie marks_;
};

// Appends the bytes that a byte-level spelling stands for; false, and nothing appended, where it
// has a character outside GPT-2's alphabet of 256.
bool append_byte_level(std::string_view spelled, std::string& out);
// The other way: the characters that stand for `bytes`.
std::string byte_level_spelling(std::string_view bytes);

}  // namespace ac::text
