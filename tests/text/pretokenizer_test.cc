// The hand-written scanners against PCRE2 running the published expressions.
#include "models/text/pretokenizer.h"

#include <gtest/gtest.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <utf8proc.h>

#include <memory>
#include <string>
#include <vector>

#include "models/text/unicode.h"
#include "runtime/core/file.h"
#include "runtime/core/rng.h"

namespace ac::text {
namespace {

// \s is the property White_Space here; PCRE2's own \s also takes U+180E, which no longer has it.
std::string with_white_space(std::string pattern) {
  const std::string inside =
      "\\x{9}-\\x{d} \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}"
      "\\x{205f}\\x{3000}";
  const auto replace = [&](std::string_view what, const std::string& with) {
    for (size_t at = 0; (at = pattern.find(what, at)) != std::string::npos; at += with.size()) {
      pattern.replace(at, what.size(), with);
    }
  };
  replace("[^\\s", "[^" + inside);
  replace("\\s", "[" + inside + "]");
  replace("\\S", "[^" + inside + "]");
  return pattern;
}

class Pattern {
 public:
  explicit Pattern(const std::string& source) {
    int error;
    PCRE2_SIZE offset;
    const std::string pattern = with_white_space(source);
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &offset,
                              nullptr));
    EXPECT_NE(code_, nullptr) << source << " at " << offset;
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    match_.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
  }

  // The matches and what lies between them.
  std::vector<std::string_view> pieces(std::string_view text) const {
    std::vector<std::string_view> out;
    size_t at = 0;
    while (at < text.size()) {
      const int n = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                at, PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK, match_.get(), nullptr);
      const PCRE2_SIZE* found = pcre2_get_ovector_pointer(match_.get());
      const size_t begin = n > 0 ? found[0] : text.size();
      if (begin > at) out.push_back(text.substr(at, begin - at));
      if (n <= 0) break;
      out.push_back(text.substr(begin, found[1] - begin));
      at = found[1];
    }
    return out;
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_data, Free> match_;
};

std::vector<std::string> expressions(PreTokenizer kind) {
  const std::string gpt2 =
      "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
  const auto llama3 = [](const std::string& digits) {
    return "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" +
           digits + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
  };
  // Upper and lower case letters as DeepSeek-LLM lists them; \x{} forms of its literal characters.
  const std::string cased =
      "A-Za-z\\x{b5}\\x{c0}-\\x{d6}\\x{d8}-\\x{f6}\\x{f8}-\\x{1ba}\\x{1bc}-\\x{1bf}\\x{1c4}-\\x{"
      "293}"
      "\\x{295}-\\x{2af}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37b}-\\x{37d}\\x{37f}\\x{386}"
      "\\x{388}-\\x{38a}\\x{38c}\\x{38e}-\\x{3a1}\\x{3a3}-\\x{3f5}\\x{3f7}-\\x{481}\\x{48a}-\\x{"
      "52f}"
      "\\x{531}-\\x{556}\\x{10a0}-\\x{10c5}\\x{13a0}-\\x{13f5}\\x{13f8}-\\x{13fd}"
      "\\x{1c90}-\\x{1cba}\\x{1cbd}-\\x{1cbf}\\x{1d00}-\\x{1d2b}\\x{1d6b}-\\x{1d77}"
      "\\x{1d79}-\\x{1d9a}\\x{1e00}-\\x{1f15}\\x{1f18}-\\x{1f1d}\\x{1f20}-\\x{1f45}"
      "\\x{1f48}-\\x{1f4d}\\x{1f50}-\\x{1f57}\\x{1f59}\\x{1f5b}\\x{1f5d}\\x{1f5f}-\\x{1f7d}"
      "\\x{1f80}-\\x{1fb4}\\x{1fb6}-\\x{1fbc}\\x{1fbe}\\x{1fc2}-\\x{1fc4}\\x{1fc6}-\\x{1fcc}"
      "\\x{1fd0}-\\x{1fd3}\\x{1fd6}-\\x{1fdb}\\x{1fe0}-\\x{1fec}\\x{1ff2}-\\x{1ff4}"
      "\\x{1ff6}-\\x{1ffc}\\x{2102}\\x{2107}\\x{210a}-\\x{2113}\\x{2115}\\x{2119}-\\x{211d}"
      "\\x{2124}\\x{2126}\\x{2128}\\x{212a}-\\x{212d}\\x{212f}-\\x{2134}\\x{2139}"
      "\\x{213c}-\\x{213f}\\x{2145}-\\x{2149}\\x{214e}\\x{2183}\\x{2184}\\x{2c00}-\\x{2c7b}"
      "\\x{2c7e}-\\x{2ce4}\\x{2ceb}-\\x{2cee}\\x{2cf2}\\x{2cf3}\\x{a640}-\\x{a66d}"
      "\\x{a680}-\\x{a69b}\\x{a722}-\\x{a76f}\\x{a771}-\\x{a787}\\x{a78b}-\\x{a78e}"
      "\\x{ab70}-\\x{abbf}\\x{fb00}-\\x{fb06}\\x{fb13}-\\x{fb17}\\x{ff21}-\\x{ff3a}"
      "\\x{ff41}-\\x{ff5a}\\x{10400}-\\x{1044f}\\x{104b0}-\\x{104d3}\\x{104d8}-\\x{104fb}"
      "\\x{10c80}-\\x{10cb2}\\x{10cc0}-\\x{10cf2}\\x{118a0}-\\x{118df}\\x{1e900}-\\x{1e943}";
  const std::string cjk = "[\\x{4e00}-\\x{9fa5}\\x{800}-\\x{4e00}\\x{ac00}-\\x{d7ff}]+";
  switch (kind) {
    case PreTokenizer::kDefault:
      return {"[\\p{P}\\$\\+<=>\\^~\\|]+", gpt2, "\\p{N}+", "[0-9][0-9][0-9]"};
    case PreTokenizer::kGpt2:
      return {gpt2};
    case PreTokenizer::kLlama3:
      return {llama3("\\p{N}{1,3}")};
    case PreTokenizer::kQwen2:
      return {llama3("\\p{N}")};
    case PreTokenizer::kDigitsThenGpt2:
      return {"\\p{N}", gpt2};
    case PreTokenizer::kFalcon:
      return {"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2, "[0-9][0-9][0-9]"};
    case PreTokenizer::kDeepSeekLlm:
      return {"[\\r\\n]",
              "\\s?[" + cased + "]+",
              "\\s?[!-/:-~\\x{ff01}-\\x{ff0f}\\x{ff1a}-\\x{ff5e}\\x{2018}-\\x{201f}\\x{3000}-"
              "\\x{3002}]+",
              "\\s+$",
              cjk,
              "\\p{N}+"};
    case PreTokenizer::kDeepSeekCoder:
      return {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", cjk, "\\p{N}"};
    case PreTokenizer::kDeepSeekV3:
      return {"\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{309f}\\x{30a0}-\\x{30ff}]+",
              "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
              "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
              "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"};
  }
  return {};
}

constexpr PreTokenizer kAll[] = {
    PreTokenizer::kDefault,     PreTokenizer::kGpt2,           PreTokenizer::kLlama3,
    PreTokenizer::kQwen2,       PreTokenizer::kDigitsThenGpt2, PreTokenizer::kFalcon,
    PreTokenizer::kDeepSeekLlm, PreTokenizer::kDeepSeekCoder,  PreTokenizer::kDeepSeekV3};

class PreTokenizers : public testing::TestWithParam<PreTokenizer> {
 protected:
  void SetUp() override {
    for (const std::string& source : expressions(GetParam())) patterns_.emplace_back(source);
  }

  std::vector<std::string_view> expected(std::string_view text) const {
    std::vector<std::string_view> pieces = {text};
    for (const Pattern& pattern : patterns_) {
      std::vector<std::string_view> finer;
      for (const std::string_view piece : pieces) {
        for (const std::string_view part : pattern.pieces(piece)) finer.push_back(part);
      }
      pieces = std::move(finer);
    }
    return pieces;
  }

  std::vector<std::string_view> actual(std::string_view text) const {
    std::vector<std::string_view> pieces;
    const auto sink = [](void* context, const char* begin, const char* end) {
      static_cast<std::vector<std::string_view>*>(context)->emplace_back(
          begin, static_cast<size_t>(end - begin));
    };
    split_pieces(GetParam(), text, sink, &pieces);
    return pieces;
  }

  std::vector<Pattern> patterns_;
};

// utf8proc and PCRE2 know different versions of Unicode: characters new to one of them are left
// out.
const std::vector<uint32_t>& known_characters() {
  static const std::vector<uint32_t> known = [] {
    const Pattern unassigned("\\p{Cn}");
    std::vector<uint32_t> out;
    for (uint32_t code = 1; code < 0x110000; ++code) {
      if (code >= 0xd800 && code < 0xe000) continue;
      const bool assigned =
          utf8proc_category(static_cast<utf8proc_int32_t>(code)) != UTF8PROC_CATEGORY_CN;
      char bytes[5] = {};
      const size_t size = encode_utf8(code, bytes);
      const std::string two = std::string(bytes, size) + "a";
      const bool assigned_to_pcre = unassigned.pieces(two).size() == 1;
      if (assigned && assigned_to_pcre) out.push_back(code);
    }
    return out;
  }();
  return known;
}

std::string utf8(uint32_t code) {
  char bytes[4];
  return {bytes, encode_utf8(code, bytes)};
}

TEST_P(PreTokenizers, EveryCharacterBetweenOthersIsCutAsPublished) {
  ASSERT_GT(known_characters().size(), 250'000u);
  for (const uint32_t code : known_characters()) {
    const std::string c = utf8(code);
    // 20 contexts would take long for a million characters; planes of ideographs behave alike.
    if (code > 0x3400 && code % 7 != 0 && code < 0xf000) continue;
    if (code > 0x1f000 && code % 11 != 0) continue;
    const std::string text = "a" + c + c + " " + c + "1 " + c + " b  " + c + "." + c + "\n" + c;
    ASSERT_EQ(actual(text), expected(text)) << std::hex << code;
  }
}

TEST_P(PreTokenizers, RandomTextsAreCutAsPublished) {
  // Characters at which expressions differ, many of them, and any others.
  const std::vector<std::string> special = {
      " ",      " ",      "  ",         "\n",         "\r",     "\r\n",   "\t",     "'",
      "'s",     "'LL",    "'Re",        "a",          "Z",      "don",    "0",      "12",
      "345",    "\u00e9", "\u0301",     "\u4e2d",     "\uac00", "\u3042", "\u00a0", "\u3000",
      "\u2009", "$",      "+",          "<",          "=",      "^",      "~",      "|",
      "`",      ".",      ",",          "!",          "\u2026", "\u2018", "\uff01", "\u00b2",
      "\u0663", "\u1e9e", "\U0001f600", "\U0001d400", "_",      "-",      "\x01",   "\u200b",
      "\u180e", "\u0085"};
  Rng rng(7);
  const auto& known = known_characters();
  for (int round = 0; round < 20000; ++round) {
    std::string text;
    const uint64_t n = 1 + rng.below(24);
    for (uint64_t i = 0; i < n; ++i) {
      text += rng.below(10) == 0 ? utf8(known[rng.below(known.size())])
                                 : special[rng.below(special.size())];
    }
    ASSERT_EQ(actual(text), expected(text)) << testing::PrintToString(text);
  }
}

TEST_P(PreTokenizers, BooksAreCutAsPublished) {
  const std::string path = AC_SHARED_DATA "/text/openstax/chemistry-bundle.txt";
  const auto text = read_file(path, 64u << 20);
  if (!text) GTEST_SKIP() << "no " << path;
  const std::string_view part = std::string_view(*text).substr(0, 400'000);
  ASSERT_EQ(actual(part), expected(part));
}

TEST_P(PreTokenizers, PiecesAreTheTextWhateverItsBytes) {
  Rng rng(11);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    const uint64_t n = rng.below(40);
    for (uint64_t i = 0; i < n; ++i) text.push_back(static_cast<char>(rng.below(256)));
    std::string joined;
    for (const std::string_view piece : actual(text)) {
      ASSERT_FALSE(piece.empty());
      joined += piece;
    }
    ASSERT_EQ(joined, text);
  }
}

INSTANTIATE_TEST_SUITE_P(All, PreTokenizers, testing::ValuesIn(kAll));

}  // namespace
}  // namespace ac::text
