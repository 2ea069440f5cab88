// What the two kinds of tokenizer share: everything that only asks the vocabulary.
#pragma once

#include "models/text/tokenizer.h"
#include "models/text/vocabulary.h"

namespace ac::text {

class VocabularyTokenizer : public Tokenizer {
 public:
  std::vector<int32_t> encode(std::string_view text) const final { return encode_parts(text, {}); }
  std::vector<int32_t> encode_marked(const MarkedText& text) const final {
    return encode_parts(text.text, text.literal);
  }
  std::string_view token_bytes(int32_t id, bool special) const final {
    if (id < 0 || id >= vocabulary_.size() || (vocabulary_.hidden(id) && !special)) return {};
    return vocabulary_.bytes(id);
  }
  int32_t n_vocab() const final { return vocabulary_.size(); }
  std::optional<int32_t> bos() const final { return vocabulary_.bos; }
  std::optional<int32_t> eos() const final { return vocabulary_.eos; }
  bool adds_bos() const final { return adds_bos_; }
  bool ends_generation(int32_t id) const final { return vocabulary_.ends_generation(id); }
  std::optional<int32_t> find_special(std::string_view text) const final {
    return vocabulary_.find_special(text);
  }

 protected:
  explicit VocabularyTokenizer(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  // -> ids, no bos. Special tokens are recognised inside the ranges `literal` only.
  virtual std::vector<int32_t> encode_parts(std::string_view text,
                                            std::span<const ByteRange> literal) const = 0;

  Vocabulary vocabulary_;
  bool adds_bos_ = false;
};

}  // namespace ac::text
