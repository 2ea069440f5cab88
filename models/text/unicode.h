// Characters as the pre-tokenizers see them: UTF-8 decoding that never fails, and general
// categories. ASCII comes from a table here, everything else from utf8proc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ac::text {

// What a character is, as bits; 0 is "something else", also for bytes that are not UTF-8.
enum CharClass : uint8_t {
  kLetter = 1,   // \p{L}
  kNumber = 2,   // \p{N}
  kSpace = 4,    // \s: the property White_Space
  kNewline = 8,  // CR, LF (they are kSpace too)
  kMark = 16,    // \p{M}
  kPunct = 32,   // \p{P}
  kSymbol = 64,  // \p{S}
};

inline constexpr uint32_t kInvalidChar = 0xffffffffu;

struct Char {
  uint32_t code = kInvalidChar;  // kInvalidChar: a byte that is not part of valid UTF-8
  uint8_t size = 1;              // bytes
  uint8_t cls = 0;               // CharClass bits
};

namespace detail {
constexpr std::array<uint8_t, 128> ascii_classes() {
  std::array<uint8_t, 128> table{};
  for (unsigned c = 0; c < 128; ++c) {
    uint8_t cls = 0;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) cls = kLetter;
    if (c >= '0' && c <= '9') cls = kNumber;
    if (c == ' ' || (c >= 9 && c <= 13)) cls = kSpace;
    if (c == '\r' || c == '\n') cls = kSpace | kNewline;
    if (c > ' ' && c < 127 && cls == 0) cls = kPunct;
    for (const char symbol : {'$', '+', '<', '=', '>', '^', '`', '|', '~'}) {
      if (c == static_cast<unsigned>(symbol)) cls = kSymbol;
    }
    table[c] = cls;
  }
  return table;
}
inline constexpr std::array<uint8_t, 128> kAsciiClasses = ascii_classes();

// The character at `p` whose first byte is not ASCII.
Char decode_beyond_ascii(const char* p, const char* end);
}  // namespace detail

// The character at p. REQUIRES: p < end.
inline Char char_at(const char* p, const char* end) {
  const auto byte = static_cast<uint8_t>(*p);
  if (byte < 0x80) return {byte, 1, detail::kAsciiClasses[byte]};
  return detail::decode_beyond_ascii(p, end);
}

// The code point at p without its class, for callers that only need boundaries.
struct CodePoint {
  uint32_t code = kInvalidChar;
  uint32_t size = 1;
};
CodePoint decode_utf8(const char* p, const char* end);

// Writes 1 to 4 bytes, returns how many. REQUIRES: a Unicode scalar value.
size_t encode_utf8(uint32_t code, char* out);

}  // namespace ac::text
