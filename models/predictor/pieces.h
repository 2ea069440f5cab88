// A prompt as the word pieces that both gates read. Not an interface: models/predictor only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ac::predictor {

// Hashed: never renumber.
enum class PieceKind : uint8_t {
  kWord = 1,
  kContinued = 2,  // a further piece of a long word
  kDigits = 3,
  kMark = 4,  // punctuation, or a byte that is no part of a code point
  kIdeograph = 5
};

// Its bytes as hashed: at most seven code points of at most four bytes.
struct Piece {
  static constexpr int kMaxCodePoints = 7;
  char bytes[kMaxCodePoints * 4];
  size_t n_bytes = 0;
  PieceKind kind = PieceKind::kWord;

  std::string_view text() const { return {bytes, n_bytes}; }
};

// FNV-1a, 64 bit, over a byte for the kind of the piece and its bytes.
inline uint64_t piece_hash(const Piece& piece) {
  constexpr uint64_t kPrime = 0x100000001b3u;
  uint64_t hash = 0xcbf29ce484222325u;
  hash = (hash ^ static_cast<uint64_t>(piece.kind)) * kPrime;
  for (size_t i = 0; i < piece.n_bytes; ++i) {
    hash = (hash ^ static_cast<uint8_t>(piece.bytes[i])) * kPrime;
  }
  return hash;
}

class PieceReader {
 public:
  explicit PieceReader(std::string_view text) : rest_(text) {}
  // False at the end of the text.
  bool next(Piece& piece);
  size_t n_lines() const { return n_lines_; }  // line ends passed so far

 private:
  std::string_view rest_;
  size_t n_lines_ = 0;
  bool continued_ = false;  // the next letter goes on with a word whose last piece was full
};

}  // namespace ac::predictor
