// From documents to steps: what a language model is trained on, in order.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/text/chat_template.h"
#include "models/text/tokenizer.h"
#include "runtime/core/backend.h"

namespace ac {

// A prompt and what should be answered; or, with an empty prompt, a text.
struct Document {
  std::string prompt;
  std::string answer;
};

// Where documents come from. document(i) is the same whenever it is asked for; thread-safe.
class DocumentSource {
 public:
  virtual ~DocumentSource() = default;
  // 0: there is no end, every i is a document of its own.
  virtual uint64_t size() const = 0;
  // REQUIRES: i < size() where that is not 0.
  virtual Document document(uint64_t i) const = 0;
  // The vocabulary that a model is trained with, as bytes; its documents may be others from here on. A source
  // that makes words up sees to it that there is none which never occurs.
  virtual void learn_tokens(std::span<const std::string> tokens) { static_cast<void>(tokens); }
};

// Token i + 1 is to be predicted from the tokens up to i, and counts weights[i + 1] times.
struct Sequence {
  std::vector<int32_t> tokens;
  std::vector<float> weights;  // [0] is not used
};

struct SequenceOptions {
  float prompt_weight = 0.1f;  // of a prompt's tokens; an answer's count 1
  int32_t context = 512;       // a longer document becomes several sequences
};

// Documents as the model will see them: a prompt by way of the chat template, exactly as when it is
// asked, then the answer and the mark that ends it; a text between two <|endoftext|>, or the mark
// that ends an answer where the vocabulary has no such token.
class SequenceMaker {
 public:
  // `tokenizer` outlives it. Errors: kUnsupported (a vocabulary without an end mark, a template that
  // cannot be rendered).
  static Result<SequenceMaker> create(const Tokenizer& tokenizer, std::string_view chat_template,
                                      const SequenceOptions& options);
  // Errors: kInvalidArgument (a document without words).
  Result<std::vector<Sequence>> sequences(const Document& document) const;

 private:
  SequenceMaker(const Tokenizer& tokenizer, ChatTemplate chat_template,
                const SequenceOptions& options)
      : tokenizer_(tokenizer), template_(std::move(chat_template)), options_(options) {}
  const Tokenizer& tokenizer_;
  ChatTemplate template_;
  SequenceOptions options_;
  int32_t end_of_answer_ = -1;
  int32_t end_of_text_ = -1;
};

// Sequences back to back, each its own slot: no token sees another document.
struct Pack {
  std::vector<int32_t> tokens, positions, slots, targets;
  std::vector<float> weights;  // of targets
  int32_t n_slots = 0;
  int32_t longest = 0;
  size_t n_used = 0;  // sequences

  void add(const Sequence& sequence);
  bool empty() const { return tokens.empty(); }
  Batch batch() const { return {.tokens = tokens, .positions = positions, .slots = slots}; }
  double total_weight() const;
};

// Endless packs from a source: documents in a new random order each time round (as they come, where
// there is no end), as many to a pack as fit. The place in the stream is two numbers, so training
// goes on where it was.
class PackStream {
 public:
  struct Place {
    uint64_t document = 0;  // counted through all rounds
    uint64_t sequence = 0;  // of that document
  };

  // `source` and `maker` outlive it.
  PackStream(const DocumentSource& source, const SequenceMaker& maker, uint64_t seed,
             int32_t tokens_per_pack);
  // At most tokens_per_pack tokens, at least one sequence. Errors: those of the maker.
  Result<Pack> next();
  Place place() const { return place_; }
  void go_to(const Place& place) { place_ = place; current_.clear(); }

 private:
  uint64_t source_index(uint64_t document);

  const DocumentSource& source_;
  const SequenceMaker& maker_;
  uint64_t seed_;
  size_t tokens_per_pack_;
  Place place_;
  std::vector<Sequence> current_;  // of document place_.document, or empty
  std::vector<uint64_t> order_;    // of this round
  uint64_t round_ = ~uint64_t{0};
};

}  // namespace ac
