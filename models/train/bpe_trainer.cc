#include "models/train/bpe_trainer.h"

#include <algorithm>
#include <map>
#include <optional>
#include <queue>

#include "models/text/pretokenizer.h"
#include "models/text/unicode.h"
#include "models/text/vocabulary.h"
#include "models/train/first_letters.h"

namespace ac {
namespace {

constexpr int32_t kBytes = 256;
constexpr int32_t kMostTokens = 1 << 20;
constexpr std::string_view kChatTemplate =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\\n' }}{% endif %}";

using Pair = uint64_t;

Pair pair_of(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

struct Piece {
  std::vector<int32_t> tokens;
  int64_t count = 0;
};

struct PairUse {
  int64_t count = 0;
  std::vector<uint32_t> pieces;  // where it occurs, or once did
};

// What the queue knows of a pair; out of date when the count has changed since.
struct Candidate {
  int64_t count = 0;
  Pair pair = 0;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

class Merging {
 public:
  Merging(const BpeOptions& options, std::vector<Piece> pieces, std::vector<std::string> tokens)
      : options_(options), pieces_(std::move(pieces)), tokens_(std::move(tokens)) {
    for (uint32_t p = 0; p < pieces_.size(); ++p) {
      const std::vector<int32_t>& piece = pieces_[p].tokens;
      for (size_t i = 0; i + 1 < piece.size(); ++i) count(pair_of(piece[i], piece[i + 1]), p, 1);
    }
    for (const auto& [pair, use] : pairs_) queue_.push({use.count, pair});
  }

  // The next merge, or false when there is none.
  bool merge_next(BpeVocabulary* vocabulary) {
    while (!queue_.empty()) {
      const Candidate best = queue_.top();
      queue_.pop();
      PairUse& use = pairs_[best.pair];
      if (use.count < options_.least_count) continue;
      if (use.count != best.count) {
        queue_.push({use.count, best.pair});
        continue;
      }
      const auto left = static_cast<int32_t>(best.pair >> 32);
      const auto right = static_cast<int32_t>(best.pair & 0xffffffffu);
      const std::string whole = token(left) + token(right);
      if (whole.size() > options_.longest_token_bytes || !known_.insert({whole, 0}).second) {
        use.count = 0;  // never to be merged
        continue;
      }
      vocabulary->merges.emplace_back(token(left), token(right));
      tokens_.push_back(whole);
      apply(best.pair, left, right, static_cast<int32_t>(tokens_.size() - 1));
      return true;
    }
    return false;
  }

  std::vector<std::string> take_tokens() { return std::move(tokens_); }

 private:
  const std::string& token(int32_t id) const { return tokens_[static_cast<size_t>(id)]; }

  void count(Pair pair, uint32_t piece, int64_t sign) {
    PairUse& use = pairs_[pair];
    use.count += sign * pieces_[piece].count;
    if (sign > 0 && (use.pieces.empty() || use.pieces.back() != piece)) use.pieces.push_back(piece);
  }

  void apply(Pair pair, int32_t left, int32_t right, int32_t merged) {
    std::vector<uint32_t> places = std::move(pairs_[pair].pieces);
    std::ranges::sort(places);
    places.erase(std::unique(places.begin(), places.end()), places.end());
    std::vector<Pair> grown;
    for (const uint32_t p : places) {
      std::vector<int32_t>& piece = pieces_[p].tokens;
      std::vector<int32_t> next;
      next.reserve(piece.size());
      bool changed = false;
      for (size_t i = 0; i < piece.size(); ++i) {
        if (i + 1 < piece.size() && piece[i] == left && piece[i + 1] == right) {
          next.push_back(merged);
          ++i;
          changed = true;
        } else {
          next.push_back(piece[i]);
        }
      }
      if (!changed) continue;  // another merge took a half away
      for (size_t i = 0; i + 1 < piece.size(); ++i) count(pair_of(piece[i], piece[i + 1]), p, -1);
      for (size_t i = 0; i + 1 < next.size(); ++i) {
        const Pair now = pair_of(next[i], next[i + 1]);
        count(now, p, 1);
        if (next[i] == merged || next[i + 1] == merged) grown.push_back(now);
      }
      piece = std::move(next);
    }
    std::ranges::sort(grown);
    grown.erase(std::unique(grown.begin(), grown.end()), grown.end());
    for (const Pair each : grown) queue_.push({pairs_[each].count, each});
  }

  const BpeOptions& options_;
  std::vector<Piece> pieces_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int> known_;  // merged tokens: two ways to one text are one token
  std::unordered_map<Pair, PairUse> pairs_;
  std::priority_queue<Candidate> queue_;
};

// Special tokens and bytes.
BpeVocabulary bytes_alone(const BpeOptions& options) {
  BpeVocabulary vocabulary;
  vocabulary.pre_tokenizer = options.pre_tokenizer;
  vocabulary.tokens = options.special_tokens;
  vocabulary.n_special = options.special_tokens.size();
  for (int32_t byte = 0; byte < kBytes; ++byte) {
    vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  }
  return vocabulary;
}

Piece piece_of_bytes(const BpeVocabulary& vocabulary, std::string_view text, int64_t count) {
  Piece piece{.tokens = {}, .count = count};
  for (const char c : text) {
    piece.tokens.push_back(static_cast<int32_t>(vocabulary.n_special) + static_cast<uint8_t>(c));
  }
  return piece;
}

size_t room(const BpeOptions& options) {
  return static_cast<size_t>(options.n_vocab) - kBytes - options.special_tokens.size();
}

void merge_up_to(size_t n_merges, Merging* merging, BpeVocabulary* vocabulary) {
  while (vocabulary->merges.size() < n_merges && merging->merge_next(vocabulary)) {
  }
}

template <typename Visit>
void for_each_character(std::string_view text, const Visit& visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t size = text::decode_utf8(text.data() + at, text.data() + text.size()).size;
    visit(text.substr(at, size));
    at += size;
  }
}

// The most frequent first.
template <typename Counts>
std::vector<std::string_view> by_count(const Counts& counts, int64_t least) {
  std::vector<std::pair<int64_t, std::string_view>> ordered;
  for (const auto& [text, count] : counts) {
    if (count >= least) ordered.emplace_back(-count, text);
  }
  std::ranges::sort(ordered);
  std::vector<std::string_view> texts;
  for (const auto& [count, text] : ordered) texts.push_back(text);
  return texts;
}

// Tokens for characters and for what is in front of words, as far as there is room.
class CharacterTokens {
 public:
  CharacterTokens(size_t n_merges, BpeVocabulary* vocabulary)
      : n_merges_(n_merges), vocabulary_(*vocabulary) {
    for (size_t i = vocabulary_.n_special; i < vocabulary_.tokens.size(); ++i) {
      ids_[vocabulary_.tokens[i]] = static_cast<int32_t>(i);
    }
  }

  // Byte by byte.
  void add_character(std::string_view character) {
    if (vocabulary_.merges.size() + character.size() - 1 > n_merges_) return;
    for (size_t n = 1; n < character.size(); ++n) merge(character.substr(0, n), character.substr(n, 1));
  }

  // A character in front of a word, and the first letter.
  void add_lead(std::string_view lead) {
    const size_t size = text::decode_utf8(lead.data(), lead.data() + lead.size()).size;
    const std::string_view letter = lead.substr(size);
    const bool are_tokens = ids_.contains(std::string(letter)) &&
                            ids_.contains(std::string(lead.substr(0, size)));
    if (are_tokens && vocabulary_.merges.size() < n_merges_) merge(lead.substr(0, size), letter);
  }

  std::vector<int32_t> of(std::string_view text) const {
    std::vector<int32_t> ids;
    for_each_character(text, [&](std::string_view character) {
      const auto found = ids_.find(std::string(character));
      if (found != ids_.end()) {
        ids.push_back(found->second);
        return;
      }
      for (const char byte : character) ids.push_back(ids_.at(std::string(1, byte)));
    });
    return ids;
  }

 private:
  void merge(std::string_view left, std::string_view right) {
    const std::string whole = std::string(left) + std::string(right);
    if (!ids_.emplace(whole, static_cast<int32_t>(vocabulary_.tokens.size())).second) return;
    vocabulary_.merges.emplace_back(left, right);
    vocabulary_.tokens.push_back(whole);
  }

  size_t n_merges_;
  BpeVocabulary& vocabulary_;
  std::unordered_map<std::string, int32_t> ids_;
};

}  // namespace

Result<BpeTrainer> BpeTrainer::create(BpeOptions options) {
  const auto least = kBytes + static_cast<int32_t>(options.special_tokens.size());
  if (options.n_vocab < least || options.n_vocab > kMostTokens) {
    return fail(ErrorCode::kInvalidArgument, "a vocabulary of {} tokens, expected {} to {}",
                options.n_vocab, least, kMostTokens);
  }
  if (!text::find_pre_tokenizer(options.pre_tokenizer)) {
    return fail(ErrorCode::kInvalidArgument, "unknown pre-tokenizer '{}'", options.pre_tokenizer);
  }
  return BpeTrainer(std::move(options));
}

void BpeTrainer::add_text(std::string_view text) {
  if (options_.first_letters) {
    size_t begin = 0;
    for (size_t at = 0; at < text.size();) {
      const size_t size = size_of_beginning(text.substr(at));
      if (size == 0) {
        ++at;
        continue;
      }
      add_run(text.substr(begin, at - begin));
      ++beginnings_[std::string(text.substr(at, size))];
      at += size;
      begin = at;
    }
    text.remove_prefix(begin);
  }
  add_run(text);
}

void BpeTrainer::add_run(std::string_view text) {
  const auto sink = [](void* context, const char* begin, const char* end) {
    auto& pieces = *static_cast<std::unordered_map<std::string, int64_t>*>(context);
    ++pieces[std::string(begin, end)];
  };
  text::split_pieces(text::find_pre_tokenizer(options_.pre_tokenizer)->kind, text, sink, &pieces_);
}

BpeVocabulary BpeTrainer::train() const {
  if (options_.first_letters) return train_first_letters();
  BpeVocabulary vocabulary = bytes_alone(options_);
  std::vector<Piece> pieces;
  for (const auto& [text, count] : pieces_) {
    if (text.size() > 1) pieces.push_back(piece_of_bytes(vocabulary, text, count));
  }
  Merging merging(options_, std::move(pieces), std::move(vocabulary.tokens));
  merge_up_to(room(options_), &merging, &vocabulary);
  vocabulary.tokens = merging.take_tokens();
  return vocabulary;
}

BpeVocabulary BpeTrainer::train_first_letters() const {
  BpeVocabulary vocabulary = bytes_alone(options_);
  // In order, so that the same texts give the same merges.
  std::map<std::string_view, int64_t> characters, leads, rest;
  for (const auto& piece : pieces_) {
    const std::string_view text = piece.first;
    const int64_t count = piece.second;
    for_each_character(text, [&](std::string_view character) {
      if (character.size() > 1) characters[character] += count;
    });
    const std::optional<WordParts> word = word_parts(text);
    if (!word) {
      rest[text] += count;
      continue;
    }
    if (!word->lead.empty()) {
      leads[text.substr(0, word->lead.size() + word->first.size())] += count;
    }
    for (const std::string_view tail : word->tails) rest[tail] += count;
  }
  for (const std::string_view beginning : by_count(beginnings_, options_.least_count)) {
    if (vocabulary.n_words == room(options_)) break;
    vocabulary.tokens.emplace_back(beginning);
    ++vocabulary.n_words;
  }
  const size_t n_merges = room(options_) - vocabulary.n_words;
  CharacterTokens tokens(n_merges, &vocabulary);
  for (const std::string_view character : by_count(characters, options_.least_count)) {
    tokens.add_character(character);
  }
  for (const std::string_view lead : by_count(leads, options_.least_count)) tokens.add_lead(lead);
  std::vector<Piece> pieces;
  for (const auto& [text, count] : rest) pieces.push_back({tokens.of(text), count});
  Merging merging(options_, std::move(pieces), std::move(vocabulary.tokens));
  merge_up_to(n_merges, &merging, &vocabulary);
  vocabulary.tokens = merging.take_tokens();
  return vocabulary;
}

void write_tokenizer(const BpeVocabulary& vocabulary, Checkpoint* checkpoint) {
  constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4;
  const size_t words = vocabulary.n_special + kBytes;
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const bool is_special = i < vocabulary.n_special;
    const bool is_word = i >= words && i < words + vocabulary.n_words;
    tokens.push_back(is_special || is_word ? vocabulary.tokens[i]
                                           : text::byte_level_spelling(vocabulary.tokens[i]));
    types.push_back(is_special ? kControl : is_word ? kUserDefined : kNormal);
  }
  for (const auto& [left, right] : vocabulary.merges) {
    merges.push_back(text::byte_level_spelling(left) + " " + text::byte_level_spelling(right));
  }
  checkpoint->set_string("tokenizer.ggml.model", "gpt2");
  checkpoint->set_string("tokenizer.ggml.pre", vocabulary.pre_tokenizer);
  checkpoint->set_strings("tokenizer.ggml.tokens", tokens);
  checkpoint->set_integers("tokenizer.ggml.token_type", types);
  checkpoint->set_strings("tokenizer.ggml.merges", merges);
  checkpoint->set_bool("tokenizer.ggml.add_bos_token", false);
  for (size_t i = 0; i < vocabulary.n_special; ++i) {
    const auto id = static_cast<uint32_t>(i);
    if (vocabulary.tokens[i] == "<|im_end|>") {
      checkpoint->set_uint("tokenizer.ggml.eos_token_id", id);
      checkpoint->set_uint("tokenizer.ggml.padding_token_id", id);
    }
    if (vocabulary.tokens[i] == "<|im_start|>") {
      checkpoint->set_uint("tokenizer.ggml.bos_token_id", id);
    }
  }
  checkpoint->set_string("tokenizer.chat_template", std::string(kChatTemplate));
}

}  // namespace ac
