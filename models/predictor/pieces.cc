// From text to word pieces. Fixed for ever for one version of the predictor's file: weights learned
// on one kind of pieces mean nothing on another.
//
// Pieces, by code point:
//   letter       ASCII letters, and every code point from U+0080 up that is none of the below
//   digit        0-9
//   space        ASCII white space and controls, U+0085, U+00A0, U+2000..200B, U+2028, U+2029,
//                U+3000, U+FEFF
//   punctuation  the other ASCII characters, U+00A1..00BF, U+2010..2027, U+2030..205E,
//                U+3001..303F, U+FF01..FF0F; the curly quotes U+2018 U+2019 U+201C U+201D as ' and
//                "
//   ideograph    U+2E80..2FFF, U+3040..9FFF, U+AC00..D7AF, U+F900..FAFF, U+20000..3FFFF: one piece
//   each broken       a byte that is no part of a code point: one piece, hashed as U+FFFD
// Upper case ASCII becomes lower case; other scripts keep theirs, as no table of cases is carried.
#include "models/predictor/pieces.h"

#include <cstring>

namespace ac::predictor {
namespace {

enum class CodeKind { kLetter, kDigit, kSpace, kPunctuation, kIdeograph, kBroken };

struct CodePoint {
  uint32_t value = 0xFFFD;
  size_t n_bytes = 1;  // in the text
  CodeKind kind = CodeKind::kBroken;
};

CodeKind kind_of(uint32_t c) {
  const auto in = [c](uint32_t from, uint32_t to) { return from <= c && c <= to; };
  if (c < 0x80) {
    if (in('a', 'z') || in('A', 'Z')) return CodeKind::kLetter;
    if (in('0', '9')) return CodeKind::kDigit;
    return c <= 0x20 || c == 0x7F ? CodeKind::kSpace : CodeKind::kPunctuation;
  }
  if (c == 0x85 || c == 0xA0 || in(0x2000, 0x200B) || c == 0x2028 || c == 0x2029 || c == 0x3000 ||
      c == 0xFEFF) {
    return CodeKind::kSpace;
  }
  if (in(0xA1, 0xBF) || in(0x2010, 0x2027) || in(0x2030, 0x205E) || in(0x3001, 0x303F) ||
      in(0xFF01, 0xFF0F)) {
    return CodeKind::kPunctuation;
  }
  if (in(0x2E80, 0x2FFF) || in(0x3040, 0x9FFF) || in(0xAC00, 0xD7AF) || in(0xF900, 0xFAFF) ||
      in(0x20000, 0x3FFFF)) {
    return CodeKind::kIdeograph;
  }
  return CodeKind::kLetter;
}

// Strict: overlong forms, surrogates and values above U+10FFFF are broken bytes.
CodePoint decode(std::string_view text) {
  const auto byte = [&text](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  CodePoint point;
  uint32_t least = 0;
  if (first < 0x80) {
    point = {first, 1, kind_of(first)};
    return point;
  }
  size_t n = 0;
  uint32_t value = 0;
  if (first >= 0xC2 && first <= 0xDF) {
    n = 2, value = first & 0x1Fu, least = 0x80;
  } else if (first >= 0xE0 && first <= 0xEF) {
    n = 3, value = first & 0x0Fu, least = 0x800;
  } else if (first >= 0xF0 && first <= 0xF4) {
    n = 4, value = first & 0x07u, least = 0x10000;
  }
  if (n == 0 || text.size() < n) return point;
  for (size_t i = 1; i < n; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return point;
    value = value << 6 | (byte(i) & 0x3Fu);
  }
  if (value < least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return point;
  return {value, n, kind_of(value)};
}

void append(Piece& piece, const CodePoint& point, std::string_view text) {
  char* to = piece.bytes + piece.n_bytes;
  if (point.kind == CodeKind::kBroken) {
    std::memcpy(to, "\xEF\xBF\xBD", 3);
    piece.n_bytes += 3;
  } else if (point.value == 0x2018 || point.value == 0x2019) {
    *to = '\'';
    ++piece.n_bytes;
  } else if (point.value == 0x201C || point.value == 0x201D) {
    *to = '"';
    ++piece.n_bytes;
  } else if (point.value >= 'A' && point.value <= 'Z') {
    *to = static_cast<char>(point.value - 'A' + 'a');
    ++piece.n_bytes;
  } else {
    std::memcpy(to, text.data(), point.n_bytes);
    piece.n_bytes += point.n_bytes;
  }
}

PieceKind kind_of_piece(CodeKind kind, bool continued) {
  switch (kind) {
    case CodeKind::kLetter:
      return continued ? PieceKind::kContinued : PieceKind::kWord;
    case CodeKind::kDigit:
      return PieceKind::kDigits;
    case CodeKind::kIdeograph:
      return PieceKind::kIdeograph;
    case CodeKind::kPunctuation:
    case CodeKind::kBroken:
    case CodeKind::kSpace:
      break;
  }
  return PieceKind::kMark;
}

}  // namespace

bool PieceReader::next(Piece& piece) {
  while (!rest_.empty()) {
    CodePoint point = decode(rest_);
    if (point.kind == CodeKind::kSpace) {
      if (point.value == '\n') ++n_lines_;
      rest_.remove_prefix(point.n_bytes);
      continued_ = false;
      continue;
    }
    const CodeKind kind = point.kind;
    const bool runs = kind == CodeKind::kLetter || kind == CodeKind::kDigit;
    piece.kind = kind_of_piece(kind, continued_);
    piece.n_bytes = 0;
    int n_points = 0;
    do {
      append(piece, point, rest_);
      rest_.remove_prefix(point.n_bytes);
      ++n_points;
      if (rest_.empty()) break;
      point = decode(rest_);
    } while (runs && n_points < Piece::kMaxCodePoints && point.kind == kind);
    continued_ = kind == CodeKind::kLetter;  // a letter right after it belongs to the same word
    return true;
  }
  return false;
}

}  // namespace ac::predictor
