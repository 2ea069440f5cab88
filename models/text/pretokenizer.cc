#include "models/text/pretokenizer.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "models/text/unicode.h"

namespace ac::text {
namespace {

// A scanner is a struct with `next(p, end)`: where the piece that starts at p ends. p < end. It
// looks at nothing beyond `end`, which is the end of the piece of the scanner before it.

bool one_of(Char c, unsigned classes) { return (c.cls & classes) != 0; }
bool is_other(Char c) { return !one_of(c, kSpace | kLetter | kNumber); }

template <class Predicate>
const char* skip_while(const char* p, const char* end, Predicate holds) {
  while (p < end) {
    const Char c = char_at(p, end);
    if (!holds(c)) break;
    p += c.size;
  }
  return p;
}

// How many of the eight bytes at p, from the first on, are letters of ASCII.
size_t count_ascii_letters(const char* p) {
  constexpr uint64_t kOnes = 0x0101010101010101u;
  constexpr uint64_t kHigh = 0x80 * kOnes;
  uint64_t bytes;
  std::memcpy(&bytes, p, 8);
  // Seven bits of each byte, in lower case; adding what is missing to 128 carries into the eighth.
  const uint64_t low = (bytes | 0x20 * kOnes) & ~kHigh;
  const uint64_t from_a = low + (0x80 - 'a') * kOnes;
  const uint64_t beyond_z = low + (0x80 - 'z' - 1) * kOnes;
  const uint64_t others = ~(from_a & ~beyond_z & ~bytes) & kHigh;
  return others == 0 ? 8 : static_cast<size_t>(std::countr_zero(others)) / 8;
}

// Letters, most of which are ASCII, by a class that holds them all.
template <class Predicate>
const char* skip_letters_of(const char* p, const char* end, Predicate holds) {
  while (end - p >= 8) {
    const size_t n = count_ascii_letters(p);
    p += n;
    if (n == 8) continue;
    const Char c = char_at(p, end);
    if (c.code < 0x80 || !holds(c)) return p;
    p += c.size;
  }
  return skip_while(p, end, holds);
}

const char* skip_letters(const char* p, const char* end) {
  return skip_letters_of(p, end, [](Char c) { return one_of(c, kLetter); });
}

bool is_ascii_letter(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return byte < 0x80 && (detail::kAsciiClasses[byte] & kLetter) != 0;
}

// 's 't 'm 'd 're 've 'll at an apostrophe; nullptr when there is none.
template <bool kAnyCase>
const char* contraction(const char* p, const char* end) {
  const auto letter = [&](size_t i) {
    const char c = p[i];
    return kAnyCase && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  if (end - p < 2) return nullptr;
  const char first = letter(1);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
  if (end - p < 3) return nullptr;
  const char second = letter(2);
  if ((first == 'r' || first == 'v') && second == 'e') return p + 3;
  return first == 'l' && second == 'l' ? p + 3 : nullptr;
}

// A run of white space. Ends, in this order of preference: after the last line end in it when
// kLineEnds (\s*[\r\n]+), before its last character when a word follows (\s+(?!\S)), at its end.
template <bool kLineEnds>
const char* white_space(const char* p, const char* end) {
  const char* last = p;
  const char* after_line_end = nullptr;
  const char* q = p;
  while (q < end) {
    const Char c = char_at(q, end);
    if (!one_of(c, kSpace)) break;
    last = q;
    q += c.size;
    if (kLineEnds && one_of(c, kNewline)) after_line_end = q;
  }
  if (after_line_end != nullptr) return after_line_end;
  return q == end || last == p ? q : last;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
struct Gpt2 {
  static constexpr bool kFindsWords = true;
  static const char* next(const char* p, const char* end) {
    if (end - p > 1 && *p == ' ' && is_ascii_letter(p[1])) return skip_letters(p + 2, end);
    if (*p == '\'') {
      if (const char* q = contraction<false>(p, end)) return q;
    }
    const char* q = *p == ' ' && end - p > 1 ? p + 1 : p;
    const Char c = char_at(q, end);
    if (one_of(c, kSpace)) return white_space<false>(p, end);
    q += c.size;
    if (one_of(c, kLetter)) return skip_letters(q, end);
    if (one_of(c, kNumber)) {
      return skip_while(q, end, [](Char d) { return one_of(d, kNumber); });
    }
    return skip_while(q, end, is_other);
  }
};

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,kMaxDigits}
// | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
template <int kMaxDigits>
struct Llama3 {
  static constexpr bool kFindsWords = true;
  static const char* next(const char* p, const char* end) {
    if (end - p > 1 && *p == ' ' && is_ascii_letter(p[1])) return skip_letters(p + 2, end);
    if (*p == '\'') {
      if (const char* q = contraction<true>(p, end)) return q;
    }
    const Char c = char_at(p, end);
    const char* q = p + c.size;
    if (one_of(c, kLetter)) return skip_letters(q, end);
    if (one_of(c, kNumber)) {
      for (int n = 1; n < kMaxDigits && q < end; ++n) {
        const Char d = char_at(q, end);
        if (!one_of(d, kNumber)) break;
        q += d.size;
      }
      return q;
    }
    const Char after = q < end ? char_at(q, end) : Char{kInvalidChar, 0, kSpace};
    if (!one_of(c, kNewline) && one_of(after, kLetter)) return skip_letters(q, end);
    if (is_other(c) || (c.code == ' ' && is_other(after))) {
      q = skip_while(q, end, is_other);
      return skip_while(q, end, [](Char d) { return one_of(d, kNewline); });
    }
    return white_space<true>(p, end);
  }
};

// For expressions that do not match everywhere: pieces are the matches and what lies between them.
// Find::match(p, end) gives the end of a match that starts at p, or nullptr, in time that does not
// depend on the text when there is none.
template <class Find>
struct MatchesAndGaps {
  static constexpr bool kFindsWords = Find::kFindsWords;
  static const char* next(const char* p, const char* end) {
    if (const char* q = Find::match(p, end)) return q;
    do {
      p += char_at(p, end).size;
    } while (p < end && Find::match(p, end) == nullptr);
    return p;
  }
};

// [\r\n]
struct LineEnd {
  static constexpr bool kFindsWords = false;
  static const char* match(const char* p, const char*) {
    return *p == '\r' || *p == '\n' ? p + 1 : nullptr;
  }
};

// \p{N}{1,kMax}; kMax 0: \p{N}+
template <int kMax>
struct Digits {
  static constexpr bool kFindsWords = false;
  static const char* match(const char* p, const char* end) {
    const char* q = p;
    for (int n = 0; q < end && (kMax == 0 || n < kMax); ++n) {
      const Char c = char_at(q, end);
      if (!one_of(c, kNumber)) break;
      q += c.size;
    }
    return q == p ? nullptr : q;
  }
};

// [0-9][0-9][0-9]
struct ThreeDigits {
  static constexpr bool kFindsWords = false;
  static const char* match(const char* p, const char* end) {
    if (end - p < 3) return nullptr;
    const auto digit = [p](size_t i) { return p[i] >= '0' && p[i] <= '9'; };
    return digit(0) && digit(1) && digit(2) ? p + 3 : nullptr;
  }
};

// C+ or, with a space allowed in front, \s?C+.
enum class Front { kNothing, kOptionalSpace };
template <class C, Front kFront>
struct RunOf {
  static constexpr bool kFindsWords = false;
  static const char* match(const char* p, const char* end) {
    const Char c = char_at(p, end);
    if (kFront == Front::kOptionalSpace && one_of(c, kSpace) && end - p > c.size) {
      const char* q = p + c.size;
      const Char d = char_at(q, end);
      if (C::has(d)) return skip_while(q + d.size, end, C::has);
    }
    return C::has(c) ? skip_while(p + c.size, end, C::has) : nullptr;
  }
};

// RunOf a class that has the letters of ASCII among others.
template <class C>
struct RunOfLetters {
  static constexpr bool kFindsWords = true;
  static const char* match(const char* p, const char* end) {
    const Char c = char_at(p, end);
    if (one_of(c, kSpace) && end - p > c.size) {
      const char* q = p + c.size;
      const Char d = char_at(q, end);
      if (C::has(d)) return skip_letters_of(q + d.size, end, C::has);
    }
    return C::has(c) ? skip_letters_of(p + c.size, end, C::has) : nullptr;
  }
};

// \s+$
struct SpaceAtEnd {
  static constexpr bool kFindsWords = false;
  static const char* next(const char* p, const char* end) {
    const char* q = p;
    while (q < end) {
      const char* word_end = skip_while(q, end, [](Char c) { return !one_of(c, kSpace); });
      const char* space_end = skip_while(word_end, end, [](Char c) { return one_of(c, kSpace); });
      if (space_end == end) return word_end == p ? end : word_end;
      q = space_end;
    }
    return end;
  }
};

struct AnyLetter {
  static bool has(Char c) { return one_of(c, kLetter); }
};
struct AnyPunct {
  static bool has(Char c) { return one_of(c, kPunct); }
};

// Falcon: [\p{P}\$\+<=>\^~\|`]; the default of files without a name lacks the last.
template <bool kBacktick>
struct FalconPunct {
  static bool has(Char c) {
    if (!one_of(c, kSymbol)) return one_of(c, kPunct);
    switch (c.code) {
      case '$':
      case '+':
      case '<':
      case '=':
      case '>':
      case '^':
      case '~':
      case '|':
        return true;
      case '`':
        return kBacktick;
      default:
        return false;
    }
  }
};

struct Range {
  uint32_t first;
  uint32_t last;
};

template <size_t n>
bool in_ranges(const std::array<Range, n>& ranges, uint32_t code) {
  const auto it = std::upper_bound(ranges.begin(), ranges.end(), code,
                                   [](uint32_t value, Range range) { return value < range.first; });
  return it != ranges.begin() && code <= std::prev(it)->last;
}

// The letters of alphabets with two cases, as DeepSeek-LLM's pre-tokenizer lists them.
constexpr auto kCasedLetters = std::to_array<Range>({
    {0x41, 0x5a},       {0x61, 0x7a},       {0xb5, 0xb5},       {0xc0, 0xd6},
    {0xd8, 0xf6},       {0xf8, 0x1ba},      {0x1bc, 0x1bf},     {0x1c4, 0x293},
    {0x295, 0x2af},     {0x370, 0x373},     {0x376, 0x376},     {0x377, 0x377},
    {0x37b, 0x37d},     {0x37f, 0x37f},     {0x386, 0x386},     {0x388, 0x38a},
    {0x38c, 0x38c},     {0x38e, 0x3a1},     {0x3a3, 0x3f5},     {0x3f7, 0x481},
    {0x48a, 0x52f},     {0x531, 0x556},     {0x10a0, 0x10c5},   {0x13a0, 0x13f5},
    {0x13f8, 0x13fd},   {0x1c90, 0x1cba},   {0x1cbd, 0x1cbf},   {0x1d00, 0x1d2b},
    {0x1d6b, 0x1d77},   {0x1d79, 0x1d9a},   {0x1e00, 0x1f15},   {0x1f18, 0x1f1d},
    {0x1f20, 0x1f45},   {0x1f48, 0x1f4d},   {0x1f50, 0x1f57},   {0x1f59, 0x1f59},
    {0x1f5b, 0x1f5b},   {0x1f5d, 0x1f5d},   {0x1f5f, 0x1f7d},   {0x1f80, 0x1fb4},
    {0x1fb6, 0x1fbc},   {0x1fbe, 0x1fbe},   {0x1fc2, 0x1fc4},   {0x1fc6, 0x1fcc},
    {0x1fd0, 0x1fd3},   {0x1fd6, 0x1fdb},   {0x1fe0, 0x1fec},   {0x1ff2, 0x1ff4},
    {0x1ff6, 0x1ffc},   {0x2102, 0x2102},   {0x2107, 0x2107},   {0x210a, 0x2113},
    {0x2115, 0x2115},   {0x2119, 0x211d},   {0x2124, 0x2124},   {0x2126, 0x2126},
    {0x2128, 0x2128},   {0x212a, 0x212d},   {0x212f, 0x2134},   {0x2139, 0x2139},
    {0x213c, 0x213f},   {0x2145, 0x2149},   {0x214e, 0x214e},   {0x2183, 0x2183},
    {0x2184, 0x2184},   {0x2c00, 0x2c7b},   {0x2c7e, 0x2ce4},   {0x2ceb, 0x2cee},
    {0x2cf2, 0x2cf2},   {0x2cf3, 0x2cf3},   {0xa640, 0xa66d},   {0xa680, 0xa69b},
    {0xa722, 0xa76f},   {0xa771, 0xa787},   {0xa78b, 0xa78e},   {0xab70, 0xabbf},
    {0xfb00, 0xfb06},   {0xfb13, 0xfb17},   {0xff21, 0xff3a},   {0xff41, 0xff5a},
    {0x10400, 0x1044f}, {0x104b0, 0x104d3}, {0x104d8, 0x104fb}, {0x10c80, 0x10cb2},
    {0x10cc0, 0x10cf2}, {0x118a0, 0x118df}, {0x1e900, 0x1e943},
});

struct DeepSeekLetter {
  static bool has(Char c) {
    if (c.code < 0x80) return (c.cls & kLetter) != 0;
    return c.code != kInvalidChar && in_ranges(kCasedLetters, c.code);
  }
};

// [!-/:-~！-／：-～‘-‟　-。]: the second range takes the letters of ASCII with it.
struct DeepSeekPunct {
  static bool has(Char c) {
    const uint32_t u = c.code;
    if (u < 0x80) return (u >= '!' && u <= '/') || (u >= ':' && u <= '~');
    return (u >= 0xff01 && u <= 0xff0f) || (u >= 0xff1a && u <= 0xff5e) ||
           (u >= 0x2018 && u <= 0x201f) || (u >= 0x3000 && u <= 0x3002);
  }
};

// [一-龥ࠀ-一가-퟿]
struct DeepSeekCjk {
  static bool has(Char c) {
    return (c.code >= 0x800 && c.code <= 0x9fa5) || (c.code >= 0xac00 && c.code <= 0xd7ff);
  }
};

// [一-龥぀-ゟ゠-ヿ]
struct DeepSeekV3Cjk {
  static bool has(Char c) {
    return (c.code >= 0x4e00 && c.code <= 0x9fa5) || (c.code >= 0x3040 && c.code <= 0x30ff);
  }
};

// [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
// |\s*[\r\n]+|\s+(?!\S)|\s+
struct DeepSeekV3 {
  static constexpr bool kFindsWords = false;
  static const char* match(const char* p, const char* end) {
    const auto word = [](Char c) { return one_of(c, kLetter | kMark); };
    const auto mark = [](Char c) { return one_of(c, kPunct | kSymbol); };
    const Char c = char_at(p, end);
    const char* q = p + c.size;
    const Char after = q < end ? char_at(q, end) : Char{kInvalidChar, 0, 0};
    const auto ascii_letter = [](Char d) { return d.code < 0x80 && one_of(d, kLetter); };
    if (c.code < 0x80 && mark(c) && ascii_letter(after)) return skip_while(q, end, ascii_letter);
    if (word(c)) return skip_while(q, end, word);
    if (!one_of(c, kNewline | kPunct | kSymbol) && word(after)) return skip_while(q, end, word);
    if (mark(c) || (c.code == ' ' && mark(after))) {
      q = skip_while(q, end, mark);
      return skip_while(q, end, [](Char d) { return one_of(d, kNewline); });
    }
    return one_of(c, kSpace) ? white_space<true>(p, end) : nullptr;
  }
};

struct Sink {
  PieceSink function;
  void* context;
};

// An ASCII word, perhaps with a space in front: no published scanner cuts it once another has found
// it.
bool is_plain_word(const char* p, const char* q) {
  if (q - p > 1 && *p == ' ') ++p;
  while (q - p >= 8 && count_ascii_letters(p) == 8) p += 8;
  while (p < q && is_ascii_letter(*p)) ++p;
  return p == q;
}

template <class Scanner, class... Rest>
void cut(const char* p, const char* end, Sink sink) {
  while (p < end) {
    const char* q = Scanner::next(p, end);
    if (sizeof...(Rest) == 0 || (Scanner::kFindsWords && is_plain_word(p, q))) {
      sink.function(sink.context, p, q);
    } else if constexpr (sizeof...(Rest) != 0) {
      cut<Rest...>(p, q, sink);
    }
    p = q;
  }
}

constexpr auto kPreTokenizers = std::to_array<PreTokenizerInfo>({
    {"default", PreTokenizer::kDefault},
    {"gpt-2", PreTokenizer::kGpt2},
    {"phi-2", PreTokenizer::kGpt2},
    {"mpt", PreTokenizer::kGpt2},
    {"olmo", PreTokenizer::kGpt2},
    {"llama-bpe", PreTokenizer::kLlama3, true, true},
    {"llama3", PreTokenizer::kLlama3, true, true},
    {"llama-v3", PreTokenizer::kLlama3, true, true},
    {"falcon3", PreTokenizer::kLlama3, true, true},
    {"dbrx", PreTokenizer::kLlama3},
    {"smaug-bpe", PreTokenizer::kLlama3},
    {"qwen2", PreTokenizer::kQwen2},
    {"deepseek-r1-qwen", PreTokenizer::kQwen2},
    {"stablelm2", PreTokenizer::kQwen2},
    {"megrez", PreTokenizer::kQwen2},
    {"smollm", PreTokenizer::kDigitsThenGpt2},
    {"starcoder", PreTokenizer::kDigitsThenGpt2},
    {"refact", PreTokenizer::kDigitsThenGpt2},
    {"command-r", PreTokenizer::kDigitsThenGpt2},
    {"codeshell", PreTokenizer::kDigitsThenGpt2},
    {"falcon", PreTokenizer::kFalcon},
    {"deepseek-llm", PreTokenizer::kDeepSeekLlm},
    {"deepseek-coder", PreTokenizer::kDeepSeekCoder},
    {"deepseek-v3", PreTokenizer::kDeepSeekV3},
});

}  // namespace

std::span<const PreTokenizerInfo> pre_tokenizers() { return kPreTokenizers; }

std::optional<PreTokenizerInfo> find_pre_tokenizer(std::string_view name) {
  const auto it = std::find_if(kPreTokenizers.begin(), kPreTokenizers.end(),
                               [&](const PreTokenizerInfo& info) { return info.name == name; });
  if (it == kPreTokenizers.end()) return std::nullopt;
  return *it;
}

void split_pieces(PreTokenizer kind, std::string_view text, PieceSink function, void* context) {
  const char* p = text.data();
  const char* end = p + text.size();
  const Sink sink{function, context};
  switch (kind) {
    case PreTokenizer::kDefault:
      return cut<MatchesAndGaps<RunOf<FalconPunct<false>, Front::kNothing>>, Gpt2,
                 MatchesAndGaps<Digits<0>>, MatchesAndGaps<ThreeDigits>>(p, end, sink);
    case PreTokenizer::kGpt2:
      return cut<Gpt2>(p, end, sink);
    case PreTokenizer::kLlama3:
      return cut<Llama3<3>>(p, end, sink);
    case PreTokenizer::kQwen2:
      return cut<Llama3<1>>(p, end, sink);
    case PreTokenizer::kDigitsThenGpt2:
      return cut<MatchesAndGaps<Digits<1>>, Gpt2>(p, end, sink);
    case PreTokenizer::kFalcon:
      return cut<MatchesAndGaps<RunOf<FalconPunct<true>, Front::kNothing>>, Gpt2,
                 MatchesAndGaps<ThreeDigits>>(p, end, sink);
    case PreTokenizer::kDeepSeekLlm:
      return cut<MatchesAndGaps<LineEnd>, MatchesAndGaps<RunOfLetters<DeepSeekLetter>>,
                 MatchesAndGaps<RunOf<DeepSeekPunct, Front::kOptionalSpace>>, SpaceAtEnd,
                 MatchesAndGaps<RunOf<DeepSeekCjk, Front::kNothing>>, MatchesAndGaps<Digits<0>>>(
          p, end, sink);
    case PreTokenizer::kDeepSeekCoder:
      return cut<MatchesAndGaps<LineEnd>, MatchesAndGaps<RunOfLetters<AnyLetter>>,
                 MatchesAndGaps<RunOf<AnyPunct, Front::kOptionalSpace>>,
                 MatchesAndGaps<RunOf<DeepSeekCjk, Front::kNothing>>, MatchesAndGaps<Digits<1>>>(
          p, end, sink);
    case PreTokenizer::kDeepSeekV3:
      return cut<MatchesAndGaps<Digits<3>>, MatchesAndGaps<RunOf<DeepSeekV3Cjk, Front::kNothing>>,
                 MatchesAndGaps<DeepSeekV3>>(p, end, sink);
  }
}

}  // namespace ac::text
