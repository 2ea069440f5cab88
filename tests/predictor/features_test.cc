// Features are part of the file format: the golden buckets below come from a separate few lines of
// Python (FNV-1a over the kind and the bytes of a piece, folded to 16 bits), not from the code
// under test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "models/predictor/predictor.h"

namespace ac {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<uint16_t> buckets(std::string_view prompt) {
  const PromptFeatures features = prompt_features(prompt);
  return {features.buckets.begin(), features.buckets.begin() + features.n_tokens};
}

TEST(Features, GoldenBuckets) {
  EXPECT_THAT(buckets("Prove that every bounded monotone sequence converges."),
              ElementsAre(0x4255, 0x7b98, 0x325d, 0xf100, 0x72aa, 0x64ae, 0x0a58, 0x64ae, 0xce53,
                          0xb703, 0x8c65));
  EXPECT_THAT(buckets("1024"), ElementsAre(0x7bfa));
  EXPECT_THAT(buckets("\u8bc1\u660e"), ElementsAre(0x7d56, 0x0b15));
  EXPECT_THAT(buckets("gr\u00f6\u00dfe"), ElementsAre(0xa918));
}

TEST(Features, CutsWordsNumbersAndMarks) {
  EXPECT_THAT(prompt_pieces("Photosynthesis, 123456789!?"),
              ElementsAre("photosy", "nthesis", ",", "1234567", "89", "!", "?"));
  EXPECT_THAT(prompt_pieces("a1b2"), ElementsAre("a", "1", "b", "2"));
  EXPECT_THAT(prompt_pieces("H2O\tis\r\nwet"), ElementsAre("h", "2", "o", "is", "wet"));
  EXPECT_THAT(prompt_pieces("x=y+1;"), ElementsAre("x", "=", "y", "+", "1", ";"));
}

TEST(Features, AContinuedWordDiffersFromAWordOfTheSameLetters) {
  const std::vector<uint16_t> joined = buckets("monotone");
  const std::vector<uint16_t> parted = buckets("monoton e");
  ASSERT_EQ(joined.size(), 2u);
  ASSERT_EQ(parted.size(), 2u);
  EXPECT_EQ(joined[0], parted[0]);
  EXPECT_NE(joined[1], parted[1]);
}

TEST(Features, CaseAndSpaceDoNotMatter) {
  EXPECT_EQ(buckets("  WHAT is\n\nThis"), buckets("what IS this "));
  EXPECT_EQ(buckets("what\u00a0is\u3000this\ufeff"), buckets("what is this"));
}

TEST(Features, CurlyQuotesAreStraight) {
  EXPECT_EQ(buckets("Janet\u2019s \u201cducks\u201d"), buckets("Janet's \"ducks\""));
  EXPECT_THAT(buckets("\u2018"), ElementsAre(0xb69e));
}

TEST(Features, OtherScripts) {
  EXPECT_THAT(prompt_pieces("\u0434\u043e\u043a\u0430\u0437\u0430\u0442\u044c"),
              ElementsAre("\u0434\u043e\u043a\u0430\u0437\u0430\u0442", "\u044c"));
  EXPECT_THAT(prompt_pieces("\u8bc1\u660e\u3002"), ElementsAre("\u8bc1", "\u660e", "\u3002"));
  EXPECT_THAT(prompt_pieces("\U0001F600a"), ElementsAre("\U0001F600a"));
}

TEST(Features, NothingToRead) {
  for (const std::string_view blank : {"", " ", "\n\t\r ", "\u00a0\u3000"}) {
    EXPECT_EQ(prompt_features(blank).n_tokens, 0) << '"' << blank << '"';
    EXPECT_THAT(prompt_pieces(blank), IsEmpty());
  }
  EXPECT_EQ(prompt_features(std::string("\0\0", 2)).n_tokens, 0);
}

TEST(Features, BytesThatAreNoText) {
  // A stray continuation, an overlong slash, a surrogate, a value above U+10FFFF, a cut sequence.
  for (const std::string_view broken :
       {"\x80", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\xFF"}) {
    const PromptFeatures features = prompt_features(broken);
    EXPECT_EQ(features.n_tokens, static_cast<int>(broken.size()));
    for (int t = 0; t < features.n_tokens; ++t) {
      EXPECT_EQ(features.buckets[static_cast<size_t>(t)], 0x0b3c);
    }
  }
  EXPECT_THAT(prompt_pieces("a\xFF"
                            "b"),
              ElementsAre("a", "\uFFFD", "b"));
}

TEST(Features, EveryPairOfBytesIsRead) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      const PromptFeatures features = prompt_features(text);
      ASSERT_LE(features.n_tokens, 2);
      ASSERT_EQ(prompt_pieces(text).size(), static_cast<size_t>(features.n_tokens));
      for (int t = 0; t < features.n_tokens; ++t) {
        ASSERT_NE(features.buckets[static_cast<size_t>(t)], 0);
      }
    }
  }
}

TEST(Features, OnlyFifteenPiecesOfTheOpeningCount) {
  std::string prompt;
  for (int i = 0; i < 15; ++i) prompt += "word ";
  EXPECT_EQ(prompt_features(prompt).n_tokens, kPredictorTokens);
  EXPECT_EQ(buckets(prompt), buckets(prompt + "and more 123 !"));
  // A prompt longer than any that is read: words, one endless word, blanks, and zeros.
  for (const char c : {'x', ' ', '\0', '.', '\xE2'}) {
    const std::string huge(10u << 20, c);
    EXPECT_EQ(buckets(huge), buckets(std::string_view(huge).substr(0, kPromptOpeningBytes)));
  }
  EXPECT_EQ(buckets(std::string(kPromptOpeningBytes, ' ') + "late").size(), 0u);
  EXPECT_EQ(buckets(std::string(kPromptOpeningBytes - 4, ' ') + "late").size(), 1u);
}

}  // namespace
}  // namespace ac
