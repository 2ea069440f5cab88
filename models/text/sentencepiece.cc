#include "models/text/sentencepiece.h"

#include <algorithm>
#include <cmath>

#include "models/text/merger.h"
#include "models/text/partition.h"
#include "models/text/piece_cache.h"
#include "models/text/token_buffer.h"
#include "models/text/unicode.h"
#include "models/text/vocabulary_tokenizer.h"

namespace ac::text {
namespace {

constexpr std::string_view kSpaceMark = "\xe2\x96\x81";  // U+2581, a space to SentencePiece
// A single piece beyond this is cut, which may change the tokens at the cut; bounds memory.
constexpr size_t kMaxPieceBytes = 16u << 20;

// Which characters follow one another in some token. Where two neighbours of a text do not, no
// merge can reach across, so the text may be cut there and its pieces merged one by one: the result
// is the same, and short pieces repeat. In most vocabularies no token has a space after a letter,
// and pieces are words.
class Neighbours {
 public:
  Neighbours() : ascii_(128 * 128 / 64, 0), others_(kOtherBits / 64, 0) {}

  void add(std::string_view token) {
    const char* p = token.data();
    const char* end = p + token.size();
    uint32_t before = kInvalidChar;
    while (p < end) {
      const CodePoint c = decode_utf8(p, end);
      if (before != kInvalidChar && c.code != kInvalidChar) set(before, c.code);
      before = c.code;
      p += c.size;
    }
  }

  bool occur(uint32_t left, uint32_t right) const {
    if ((left | right) < 128) return get(ascii_, left * 128 + right);
    return left != kInvalidChar && right != kInvalidChar && get(others_, hash(left, right));
  }

 private:
  static constexpr size_t kOtherBits = 1u << 20;
  static size_t hash(uint32_t left, uint32_t right) {
    const uint64_t pair = uint64_t{left} << 32 | right;
    return (pair * 0x9e3779b97f4a7c15u) >> 44;
  }
  static bool get(const std::vector<uint64_t>& bits, size_t i) {
    return (bits[i / 64] >> (i % 64) & 1) != 0;
  }
  void set(uint32_t left, uint32_t right) {
    const bool ascii = (left | right) < 128;
    const size_t i = ascii ? left * 128 + right : hash(left, right);
    (ascii ? ascii_ : others_)[i / 64] |= uint64_t{1} << (i % 64);
  }

  std::vector<uint64_t> ascii_;   // exact
  std::vector<uint64_t> others_;  // by hash: a collision only makes a piece longer
};

class SentencePiece final : public VocabularyTokenizer {
 public:
  static Result<std::unique_ptr<const Tokenizer>> make(const Checkpoint& checkpoint);

  bool drops_first_space() const override { return adds_space_; }

 private:
  explicit SentencePiece(Vocabulary vocabulary) : VocabularyTokenizer(std::move(vocabulary)) {}
  Status read_scores(const Checkpoint& checkpoint);
  std::vector<int32_t> encode_parts(std::string_view text,
                                    std::span<const ByteRange> literal) const override;

  // One call of encode.
  class Encoder;

  bool adds_space_ = false;
  uint32_t n_ranks_ = 0;
  std::vector<uint32_t> ranks_;  // of each token; equal scores have equal ranks
  Neighbours neighbours_;
  uint32_t cache_owner_ = next_cache_owner();
};

class SentencePiece::Encoder {
 public:
  Encoder(const SentencePiece& model, TokenBuffer& out) : model_(model), out_(out) {}

  void run(std::string_view text, bool add_space) {
    std::string rewritten;  // U+2581 in a text means a space
    if (text.find(kSpaceMark) != std::string_view::npos) {
      for (size_t hit; (hit = text.find(kSpaceMark)) != std::string_view::npos;) {
        rewritten.append(text.substr(0, hit)).push_back(' ');
        text.remove_prefix(hit + kSpaceMark.size());
      }
      text = rewritten.append(text);
    }
    if (add_space) {
      // Only the first piece needs to be copied.
      const size_t size = piece_size(text, ' ');
      std::string first(" ");
      first.append(text.substr(0, size));
      text_end_ = first.data() + first.size();
      piece(first);
      text.remove_prefix(size);
    }
    text_end_ = text.data() + text.size();
    while (!text.empty()) {
      const size_t first_char = decode_utf8(text.data(), text.data() + text.size()).size;
      const uint32_t code = decode_utf8(text.data(), text.data() + text.size()).code;
      const size_t size = first_char + piece_size(text.substr(first_char), code);
      piece(text.substr(0, size));
      text.remove_prefix(size);
    }
  }

  // How two symbols merge, for the mergers.
  uint32_t operator()(const char* left, size_t left_bytes, int32_t, size_t right_bytes, int32_t,
                      int32_t& merged) const {
    const size_t n_bytes = left_bytes + right_bytes;
    if (n_bytes > model_.vocabulary_.max_token_bytes()) return kNoRank;
    merged = model_.vocabulary_.find({left, n_bytes});
    return merged < 0 ? kNoRank : model_.ranks_[static_cast<size_t>(merged)];
  }

 private:
  // How many bytes of `text`, which comes after the character `before`, hang together with it.
  size_t piece_size(std::string_view text, uint32_t before) const {
    const char* p = text.data();
    const char* end = p + text.size();
    while (p < end) {
      const auto byte = static_cast<uint8_t>(*p);
      const CodePoint c = byte < 0x80 ? CodePoint{byte, 1} : decode_utf8(p, end);
      if (!model_.neighbours_.occur(before, c.code)) break;
      before = c.code;
      p += c.size;
    }
    return static_cast<size_t>(p - text.data());
  }

  void piece(std::string_view text) {
    if (text.size() > PieceCache::kMaxBytes) return merge(text);
    const auto readable = static_cast<size_t>(text_end_ - text.data());
    const PieceCache::Key key = PieceCache::key(model_.cache_owner_, text, readable);
    PieceCache::Entry& entry = cache_.slot(key);
    if (entry.holds(key)) return out_.push(entry);
    const size_t before = out_.size();
    merge(text);
    PieceCache::store(entry, key, out_.from(before));
  }

  void merge(std::string_view text) {
    for (; !text.empty(); text.remove_prefix(std::min(text.size(), kMaxPieceBytes))) {
      const std::string_view part = text.substr(0, kMaxPieceBytes);
      symbols_.clear();
      for (const char *p = part.data(), *end = p + part.size(); p < end;) {
        const uint32_t size = decode_utf8(p, end).size;
        symbols_.push_back({size, model_.vocabulary_.find({p, size})});
        p += size;
      }
      if (symbols_.size() <= kShortSymbols) {
        const size_t n = merge_short(part.data(), symbols_.data(), symbols_.size(), *this);
        const char* at = part.data();
        for (size_t i = 0; i < n; at += symbols_[i++].size) {
          put({at, symbols_[i].size}, symbols_[i].token);
        }
        continue;
      }
      if (!long_) long_.emplace(model_.n_ranks_);
      long_->merge(part, symbols_, *this, [&](uint32_t begin, uint32_t size, int32_t token) {
        put(part.substr(begin, size), token);
      });
    }
  }

  void put(std::string_view bytes, int32_t token) {
    if (token >= 0) return out_.push(token);
    for (const char c : bytes) {
      const int32_t id = model_.vocabulary_.byte_token(static_cast<uint8_t>(c));
      if (id >= 0) {
        out_.push(id);
      } else if (model_.vocabulary_.unknown) {
        return out_.push(*model_.vocabulary_.unknown);
      }
    }
  }

  const SentencePiece& model_;
  TokenBuffer& out_;
  const char* text_end_ = nullptr;  // of the run of text that pieces point into
  PieceCache& cache_ = PieceCache::of_this_thread();
  std::optional<LongMerger> long_;
  std::vector<Symbol> symbols_;
};

std::vector<int32_t> SentencePiece::encode_parts(std::string_view text,
                                                 std::span<const ByteRange> literal) const {
  TokenBuffer out(text.size());
  Encoder encoder(*this, out);
  bool opens = adds_space_;  // at the start and after a mark
  for (const Fragment& fragment : partition(vocabulary_, text, literal)) {
    if (fragment.special >= 0) {
      out.push(fragment.special);
      opens = adds_space_ && vocabulary_.hidden(fragment.special);
    } else {
      encoder.run(fragment.text, opens);
      opens = false;
    }
  }
  return std::move(out).take();
}

Status SentencePiece::read_scores(const Checkpoint& checkpoint) {
  AC_TRY(const auto scores, checkpoint.get_floats("tokenizer.ggml.scores"));
  const auto n_vocab = static_cast<size_t>(vocabulary_.size());
  if (scores.size() != n_vocab) {
    return fail(ErrorCode::kCorruptFile,
                "{}: tokenizer.ggml.scores has {} entries, tokenizer.ggml.tokens {}",
                checkpoint.origin, scores.size(), n_vocab);
  }
  std::vector<uint32_t> order(n_vocab);
  for (uint32_t i = 0; i < n_vocab; ++i) {
    if (!std::isfinite(scores[i])) {
      return fail(ErrorCode::kCorruptFile, "{}: tokenizer.ggml.scores[{}] is not a number",
                  checkpoint.origin, i);
    }
    order[i] = i;
  }
  const auto better = [&](uint32_t a, uint32_t b) { return scores[a] > scores[b]; };
  // Trained vocabularies are in order already, but for a few at the front.
  if (!std::is_sorted(order.begin(), order.end(), better)) {
    std::stable_sort(order.begin(), order.end(), better);
  }
  ranks_.resize(n_vocab);
  for (size_t i = 0; i < n_vocab; ++i) {
    if (i > 0 && better(order[i - 1], order[i])) ++n_ranks_;
    ranks_[order[i]] = n_ranks_;
  }
  ++n_ranks_;
  return {};
}

Result<std::unique_ptr<const Tokenizer>> SentencePiece::make(const Checkpoint& checkpoint) {
  AC_TRY(Vocabulary vocabulary, Vocabulary::read(checkpoint, Spelling::kSentencePiece));
  std::unique_ptr<SentencePiece> model(new SentencePiece(std::move(vocabulary)));
  AC_TRY_STATUS(model->read_scores(checkpoint));
  for (int32_t id = 0; id < model->n_vocab(); ++id) {
    const TokenType type = model->vocabulary_.type(id);
    if (type == TokenType::kNormal || type == TokenType::kUndefined) {
      model->neighbours_.add(model->vocabulary_.bytes(id));
    }
  }
  AC_TRY(const bool adds_bos, checkpoint.get_bool_or("tokenizer.ggml.add_bos_token", true));
  AC_TRY(model->adds_space_, checkpoint.get_bool_or("tokenizer.ggml.add_space_prefix", true));
  model->adds_bos_ = adds_bos && model->vocabulary_.bos.has_value();
  return std::unique_ptr<const Tokenizer>(std::move(model));
}

}  // namespace

Result<std::unique_ptr<const Tokenizer>> make_sentencepiece(const Checkpoint& checkpoint) {
  return SentencePiece::make(checkpoint);
}

}  // namespace ac::text
