// Text to token ids and back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/checkpoint.h"
#include "runtime/core/result.h"

namespace ac {

struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
};

// A text of which some ranges were written by a chat template and may contain special tokens; the
// rest is somebody's words, which never become special tokens.
struct MarkedText {
  std::string text;
  std::vector<ByteRange> literal;  // ascending, disjoint
};

// Immutable after loading; every method is safe from several threads.
class Tokenizer {
 public:
  // Reads the `tokenizer.ggml.*` keys. Errors: kNotFound, kCorruptFile, kUnsupported (an unknown
  // model or pre-tokenizer, naming the known ones).
  static Result<std::unique_ptr<const Tokenizer>> from_checkpoint(const Checkpoint& checkpoint);
  virtual ~Tokenizer() = default;

  // `text` never yields special tokens; no bos, no eos.
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  // Special tokens are recognised inside the literal ranges only.
  virtual std::vector<int32_t> encode_marked(const MarkedText& text) const = 0;

  // The bytes a token stands for; special tokens give their text only when `special` is set.
  // An id outside the vocabulary gives "".
  virtual std::string_view token_bytes(int32_t id, bool special = false) const = 0;
  // Of every id in turn, special ones as "".
  std::vector<std::string> vocabulary() const;
  // The bytes of all, which need not be UTF-8. Undoes encode: byte-level BPE gives back any bytes.
  std::string decode(std::span<const int32_t> ids, bool special = false) const;

  virtual int32_t n_vocab() const = 0;
  virtual std::optional<int32_t> bos() const = 0;
  virtual std::optional<int32_t> eos() const = 0;
  virtual bool adds_bos() const = 0;  // prompts begin with bos
  // SentencePiece writes a space in front of a text; decoding takes it away again.
  virtual bool drops_first_space() const = 0;
  virtual bool ends_generation(
      int32_t id) const = 0;  // eos, <|im_end|>, <|eot_id|>, <end_of_turn>...
  virtual std::optional<int32_t> find_special(std::string_view text) const = 0;
};

struct DetokenizerOptions {
  // The tokens begin a text, as a chat's answer does. Not set: they go on with one, whose last word
  // must not be glued to the first new one.
  bool opens_text = true;
  bool special = false;  // show special tokens
};

// Bytes of tokens to whole UTF-8: holds back an unfinished character until it is complete or can no
// longer become one (then U+FFFD, one for each byte or part of a character that led nowhere).
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, DetokenizerOptions options = {})
      : tokenizer_(tokenizer),
        special_(options.special),
        first_(options.opens_text && tokenizer.drops_first_space()) {}
  // The text that became complete with this token.
  std::string push(int32_t id);
  // What is left at the end.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool special_;
  bool first_;  // the next space is the one that tokenizing added
  std::string held_;
};

}  // namespace ac
