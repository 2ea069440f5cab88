#include "models/train/sequences.h"

#include <algorithm>
#include <numeric>

#include "runtime/core/rng.h"

namespace ac {

Result<SequenceMaker> SequenceMaker::create(const Tokenizer& tokenizer,
                                            std::string_view chat_template,
                                            const SequenceOptions& options) {
  AC_TRY(ChatTemplate parsed, ChatTemplate::parse(chat_template));
  SequenceMaker maker(tokenizer, std::move(parsed), options);
  if (!tokenizer.eos()) {
    return fail(ErrorCode::kUnsupported, "the vocabulary has no token that ends an answer");
  }
  maker.end_of_answer_ = *tokenizer.eos();
  maker.end_of_text_ = tokenizer.find_special("<|endoftext|>").value_or(maker.end_of_answer_);
  return maker;
}

Result<std::vector<Sequence>> SequenceMaker::sequences(const Document& document) const {
  if (document.answer.empty()) {
    return fail(ErrorCode::kInvalidArgument, "a document without words (prompt '{}')",
                document.prompt.substr(0, 60));
  }
  std::vector<int32_t> tokens;
  size_t n_prompt = 1;
  int32_t end = end_of_text_;
  if (document.prompt.empty()) {
    tokens.push_back(end_of_text_);
  } else {
    const auto text_of = [this](std::optional<int32_t> id) {
      return id ? std::string(tokenizer_.token_bytes(*id, true)) : std::string();
    };
    AC_TRY(const MarkedText prompt, template_.render({.messages = {{"user", document.prompt}},
                                                      .bos_token = text_of(tokenizer_.bos()),
                                                      .eos_token = text_of(tokenizer_.eos())}));
    tokens = tokenizer_.encode_marked(prompt);
    n_prompt = tokens.size();
    end = end_of_answer_;
  }
  const std::vector<int32_t> answer = tokenizer_.encode(document.answer);
  tokens.insert(tokens.end(), answer.begin(), answer.end());
  tokens.push_back(end);

  // A sequence of n + 1 tokens takes n positions; the last of one is the first of the next.
  std::vector<Sequence> sequences;
  const auto context = static_cast<size_t>(options_.context);
  for (size_t begin = 0; begin + 1 < tokens.size(); begin += context) {
    const size_t last = std::min(tokens.size() - 1, begin + context);
    Sequence& sequence = sequences.emplace_back();
    for (size_t i = begin; i <= last; ++i) {
      sequence.tokens.push_back(tokens[i]);
      sequence.weights.push_back(i < n_prompt ? options_.prompt_weight : 1.0f);
    }
  }
  return sequences;
}

void Pack::add(const Sequence& sequence) {
  const size_t n = sequence.tokens.size() - 1;
  for (size_t i = 0; i < n; ++i) {
    tokens.push_back(sequence.tokens[i]);
    positions.push_back(static_cast<int32_t>(i));
    slots.push_back(n_slots);
    targets.push_back(sequence.tokens[i + 1]);
    weights.push_back(sequence.weights[i + 1]);
  }
  ++n_slots;
  ++n_used;
  longest = std::max(longest, static_cast<int32_t>(n));
}

double Pack::total_weight() const {
  return std::accumulate(weights.begin(), weights.end(), 0.0);
}

PackStream::PackStream(const DocumentSource& source, const SequenceMaker& maker, uint64_t seed,
                       int32_t tokens_per_pack)
    : source_(source),
      maker_(maker),
      seed_(seed),
      tokens_per_pack_(static_cast<size_t>(tokens_per_pack)) {}

uint64_t PackStream::source_index(uint64_t document) {
  const uint64_t size = source_.size();
  if (size == 0) return document;
  if (document / size != round_) {
    round_ = document / size;
    order_.resize(static_cast<size_t>(size));
    std::iota(order_.begin(), order_.end(), uint64_t{0});
    Rng rng(seed_ + 0x9e3779b97f4a7c15u * (round_ + 1));
    for (size_t i = order_.size(); i > 1; --i) {
      std::swap(order_[i - 1], order_[static_cast<size_t>(rng.below(i))]);
    }
  }
  return order_[static_cast<size_t>(document % size)];
}

Result<Pack> PackStream::next() {
  Pack pack;
  while (true) {
    if (current_.empty()) {
      AC_TRY(current_, maker_.sequences(source_.document(source_index(place_.document))));
    }
    const Sequence& sequence = current_[static_cast<size_t>(place_.sequence)];
    if (!pack.empty() && pack.tokens.size() + sequence.tokens.size() - 1 > tokens_per_pack_) {
      return pack;
    }
    pack.add(sequence);
    if (++place_.sequence == current_.size()) {
      ++place_.document;
      place_.sequence = 0;
      current_.clear();
    }
    if (pack.tokens.size() >= tokens_per_pack_) return pack;
  }
}

}  // namespace ac
