#include "models/text/byte_bpe.h"

#include <algorithm>

#include "models/text/merger.h"
#include "models/text/partition.h"
#include "models/text/piece_cache.h"
#include "models/text/pretokenizer.h"
#include "models/text/token_buffer.h"
#include "models/text/vocabulary_tokenizer.h"

namespace ac::text {
namespace {

constexpr size_t kMaxMerges = 1u << 24;
// A single piece beyond this is cut, which may change the tokens at the cut; bounds memory.
constexpr size_t kMaxPieceBytes = 16u << 20;

// Pairs of neighbouring tokens to the rank of their merge and what it makes.
class MergeTable {
 public:
  void reserve(size_t n_merges) {
    size_t capacity = 64;
    shift_ = 64 - 6;
    while (capacity < n_merges * 2) {
      capacity *= 2;
      --shift_;
    }
    entries_.assign(capacity, Entry{kFree, 0, 0});
  }

  // The first of two merges of the same pair stays.
  void insert(int32_t left, int32_t right, uint32_t rank, int32_t merged) {
    const uint64_t pair = key(left, right);
    size_t at = first_slot(pair);
    while (entries_[at].pair != kFree) {
      if (entries_[at].pair == pair) return;
      at = (at + 1) & (entries_.size() - 1);
    }
    entries_[at] = {pair, rank, merged};
  }

  uint32_t find(int32_t left, int32_t right, int32_t& merged) const {
    const uint64_t pair = key(left, right);
    for (size_t at = first_slot(pair); entries_[at].pair != kFree;
         at = (at + 1) & (entries_.size() - 1)) {
      if (entries_[at].pair != pair) continue;
      merged = entries_[at].merged;
      return entries_[at].rank;
    }
    return kNoRank;
  }

 private:
  struct Entry {
    uint64_t pair;
    uint32_t rank;
    int32_t merged;
  };
  static constexpr uint64_t kFree = ~uint64_t{0};
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  size_t first_slot(uint64_t pair) const {
    pair ^= pair >> 29;
    return (pair * 0x9e3779b97f4a7c15u) >> shift_;
  }

  std::vector<Entry> entries_;
  int shift_ = 0;
};

class ByteBpe final : public VocabularyTokenizer {
 public:
  static Result<std::unique_ptr<const Tokenizer>> make(const Checkpoint& checkpoint);

  bool drops_first_space() const override { return false; }

 private:
  explicit ByteBpe(Vocabulary vocabulary) : VocabularyTokenizer(std::move(vocabulary)) {}
  Status read_merges(const Checkpoint& checkpoint);
  std::vector<int32_t> encode_parts(std::string_view text,
                                    std::span<const ByteRange> literal) const override;

  // One call of encode.
  class Encoder;

  PreTokenizerInfo pre_{};
  uint32_t n_ranks_ = 0;
  MergeTable merges_;
  uint32_t cache_owner_ = next_cache_owner();
};

class ByteBpe::Encoder {
 public:
  Encoder(const ByteBpe& bpe, TokenBuffer& out) : bpe_(bpe), out_(out) {}

  void run(std::string_view text) {
    const auto sink = [](void* self, const char* begin, const char* end) {
      static_cast<Encoder*>(self)->piece({begin, static_cast<size_t>(end - begin)});
    };
    text_end_ = text.data() + text.size();
    split_pieces(bpe_.pre_.kind, text, sink, this);
  }

  // How two tokens merge, for the mergers.
  uint32_t operator()(const char*, size_t, int32_t left, size_t, int32_t right,
                      int32_t& merged) const {
    return bpe_.merges_.find(left, right, merged);
  }

 private:
  void piece(std::string_view text) {
    if (text.size() > PieceCache::kMaxBytes) return merge(text);
    const auto readable = static_cast<size_t>(text_end_ - text.data());
    const PieceCache::Key key = PieceCache::key(bpe_.cache_owner_, text, readable);
    PieceCache::Entry& entry = cache_.slot(key);
    if (entry.holds(key)) return out_.push(entry);
    const size_t before = out_.size();
    merge(text);
    PieceCache::store(entry, key, out_.from(before));
  }

  void merge(std::string_view text) {
    if (bpe_.pre_.whole_words && text.size() <= bpe_.vocabulary_.max_token_bytes()) {
      if (const int32_t id = bpe_.vocabulary_.find(text); id >= 0) return out_.push(id);
    }
    const auto byte_symbol = [this](char c) {
      return Symbol{1, bpe_.vocabulary_.byte_token(static_cast<uint8_t>(c))};
    };
    if (text.size() <= kShortSymbols) {
      Symbol symbols[kShortSymbols];
      std::transform(text.begin(), text.end(), symbols, byte_symbol);
      const size_t n = merge_short(text.data(), symbols, text.size(), *this);
      for (size_t i = 0; i < n; ++i) put(symbols[i].token);
      return;
    }
    if (!long_) long_.emplace(bpe_.n_ranks_);
    for (; !text.empty(); text.remove_prefix(std::min(text.size(), kMaxPieceBytes))) {
      const std::string_view part = text.substr(0, kMaxPieceBytes);
      symbols_.resize(part.size());
      std::transform(part.begin(), part.end(), symbols_.begin(), byte_symbol);
      long_->merge(part, symbols_, *this,
                   [this](uint32_t, uint32_t, int32_t token) { put(token); });
    }
  }

  void put(int32_t token) {
    if (token < 0 && bpe_.vocabulary_.unknown) token = *bpe_.vocabulary_.unknown;
    if (token >= 0) out_.push(token);
  }

  const ByteBpe& bpe_;
  TokenBuffer& out_;
  const char* text_end_ = nullptr;  // of the run of text that pieces point into
  PieceCache& cache_ = PieceCache::of_this_thread();
  std::optional<LongMerger> long_;
  std::vector<Symbol> symbols_;
};

std::vector<int32_t> ByteBpe::encode_parts(std::string_view text,
                                           std::span<const ByteRange> literal) const {
  TokenBuffer out(text.size());
  Encoder encoder(*this, out);
  for (const Fragment& fragment : partition(vocabulary_, text, literal)) {
    if (fragment.special >= 0) {
      out.push(fragment.special);
    } else {
      encoder.run(fragment.text);
    }
  }
  return std::move(out).take();
}

Status ByteBpe::read_merges(const Checkpoint& checkpoint) {
  AC_TRY(const auto merges, checkpoint.get_strings("tokenizer.ggml.merges"));
  if (merges.size() > kMaxMerges) {
    return fail(ErrorCode::kCorruptFile,
                "{}: tokenizer.ggml.merges has {} entries, want at most {}", checkpoint.origin,
                merges.size(), kMaxMerges);
  }
  n_ranks_ = static_cast<uint32_t>(merges.size());
  merges_.reserve(merges.size());
  std::string both;
  int32_t guess = 0;  // trainers number tokens in the order of their merges
  for (uint32_t rank = 0; rank < n_ranks_; ++rank) {
    const std::string_view merge = merges[rank];
    const size_t space = merge.find(' ', 1);
    if (space == std::string_view::npos) {
      return fail(ErrorCode::kCorruptFile, "{}: tokenizer.ggml.merges[{}] is not two tokens",
                  checkpoint.origin, rank);
    }
    // A merge of or into something that is no token can never happen: it is left out.
    both.clear();
    if (!append_byte_level(merge.substr(0, space), both)) continue;
    const size_t left_bytes = both.size();
    if (!append_byte_level(merge.substr(space + 1), both)) continue;
    const std::string_view whole = both;
    const int32_t left = vocabulary_.find(whole.substr(0, left_bytes));
    const int32_t right = vocabulary_.find(whole.substr(left_bytes));
    int32_t merged = guess + 1;
    if (merged >= vocabulary_.size() || vocabulary_.bytes(merged) != whole ||
        vocabulary_.type(merged) != TokenType::kNormal) {
      merged = vocabulary_.find(whole);
    }
    if (left < 0 || right < 0 || merged < 0) continue;
    guess = merged;
    merges_.insert(left, right, rank, merged);
  }
  return {};
}

Result<std::unique_ptr<const Tokenizer>> ByteBpe::make(const Checkpoint& checkpoint) {
  AC_TRY(const std::string_view pre, checkpoint.get_string_or("tokenizer.ggml.pre", "default"));
  const auto info = find_pre_tokenizer(pre);
  if (!info) {
    std::string known;
    for (const PreTokenizerInfo& each : pre_tokenizers()) {
      known.append(known.empty() ? "" : ", ").append(each.name);
    }
    return fail(ErrorCode::kUnsupported, "{}: tokenizer.ggml.pre '{}' is not one of {}",
                checkpoint.origin, pre, known);
  }
  AC_TRY(Vocabulary vocabulary, Vocabulary::read(checkpoint, Spelling::kByteLevel));
  std::unique_ptr<ByteBpe> bpe(new ByteBpe(std::move(vocabulary)));
  bpe->pre_ = *info;
  AC_TRY_STATUS(bpe->read_merges(checkpoint));
  AC_TRY(const bool adds_bos,
         checkpoint.get_bool_or("tokenizer.ggml.add_bos_token", info->adds_bos));
  bpe->adds_bos_ = adds_bos && bpe->vocabulary_.bos.has_value();
  return std::unique_ptr<const Tokenizer>(std::move(bpe));
}

}  // namespace

Result<std::unique_ptr<const Tokenizer>> make_byte_bpe(const Checkpoint& checkpoint) {
  return ByteBpe::make(checkpoint);
}

}  // namespace ac::text
