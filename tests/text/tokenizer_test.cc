#include "models/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <numeric>
#include <thread>

#include "runtime/core/rng.h"
#include "tests/text/real_vocabularies.h"
#include "tests/text/tiny_vocabularies.h"

namespace ac {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<const Tokenizer> made(const Checkpoint& checkpoint) {
  auto tokenizer = Tokenizer::from_checkpoint(checkpoint);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  return tokenizer ? std::move(*tokenizer) : nullptr;
}

std::string random_bytes(Rng& rng, uint64_t max_size) {
  std::string text;
  const uint64_t n = rng.below(max_size + 1);
  for (uint64_t i = 0; i < n; ++i) text.push_back(static_cast<char>(rng.below(256)));
  return text;
}

// Bytes that resemble text, with words and marks of vocabularies among them.
std::string random_text(Rng& rng, uint64_t n_parts) {
  static const std::vector<std::string> parts = {
      "hello",  " hello", "aaaaaaa",      "   ",        "\n\n",         "12",
      "\u00e9", "\u0301", "\u4e2d\u6587", "\U0001f680", "<|im_start|>", "<|end|>",
      "<s>",    "</s>",   "<think>",      "<unk>",      "[INST]",       "<|endoftext|>",
      "<0x41>", "\xff",   "\xc3",         "wort",       "\u2581",       "<start_of_turn>",
      "'s",     "."};
  std::string text;
  for (uint64_t i = rng.below(n_parts + 1); i > 0; --i) text += parts[rng.below(parts.size())];
  return text;
}

// --- byte-level BPE

TEST(ByteBpe, MergesByRank) {
  const auto tokenizer = made(tiny_byte_level());
  EXPECT_EQ(tokenizer->encode("hello hello").size(), 2u);
  EXPECT_EQ(tokenizer->token_bytes(tokenizer->encode("hello hello")[1]), " hello");
  EXPECT_TRUE(tokenizer->encode("").empty());
}

TEST(ByteBpe, AnyBytesComeBack) {
  Rng rng(5);
  for (const auto* pre : {"gpt-2", "llama-bpe", "qwen2", "smollm", "falcon", "deepseek-llm",
                          "deepseek-coder", "deepseek-v3", "default"}) {
    const auto tokenizer = made(tiny_byte_level(pre));
    for (int round = 0; round < 2000; ++round) {
      const std::string text = round % 2 == 0 ? random_bytes(rng, 60) : random_text(rng, 30);
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text), true), text) << pre;
    }
  }
}

TEST(ByteBpe, WordsOfUsersNeverBecomeMarks) {
  const auto tokenizer = made(tiny_byte_level());
  for (const char* mark : {"<|begin|>", "<|end|>", "<|endless|>", "<|im_start|>", "<think>"}) {
    const auto id = tokenizer->find_special(mark);
    ASSERT_TRUE(id) << mark;
    const auto ids = tokenizer->encode(std::string("a ") + mark + mark);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), *id), 0) << mark;
    EXPECT_EQ(tokenizer->decode(ids), std::string("a ") + mark + mark);
  }
  // An added word of the language is a token wherever it stands.
  EXPECT_EQ(tokenizer->encode("wort"), std::vector<int32_t>{*tokenizer->find_special("wort")});
  EXPECT_FALSE(tokenizer->find_special("hello"));
}

TEST(ByteBpe, MarksCountInsideLiteralRangesOnly) {
  const auto tokenizer = made(tiny_byte_level());
  const int32_t end = *tokenizer->find_special("<|end|>");
  const int32_t endless = *tokenizer->find_special("<|endless|>");
  const MarkedText all{"<|end|><|endless|>", {{0, 18}}};
  EXPECT_THAT(tokenizer->encode_marked(all), ElementsAre(end, endless));
  // Ranges that touch are one; a mark that reaches into somebody's words is none.
  const MarkedText touching{"<|end|><|endless|>", {{0, 9}, {9, 18}}};
  EXPECT_THAT(tokenizer->encode_marked(touching), ElementsAre(end, endless));
  const MarkedText half{"<|end|>", {{0, 5}}};
  EXPECT_EQ(tokenizer->encode_marked(half), tokenizer->encode("<|end|>"));
  const MarkedText mixed{"<|end|><|end|>", {{7, 14}}};
  auto expected = tokenizer->encode("<|end|>");
  expected.push_back(end);
  EXPECT_EQ(tokenizer->encode_marked(mixed), expected);
}

TEST(ByteBpe, ABoundaryDoesNotChangeTheSplit) {
  const auto tokenizer = made(tiny_byte_level());
  const std::string text = "say hello aaaaaaaa";
  for (size_t begin = 0; begin <= text.size(); ++begin) {
    for (size_t end = begin; end <= text.size(); ++end) {
      EXPECT_EQ(tokenizer->encode_marked({text, {{begin, end}}}), tokenizer->encode(text));
    }
  }
}

TEST(ByteBpe, DisorderedRangesAreHarmless) {
  const auto tokenizer = made(tiny_byte_level());
  const std::string text = "<|end|>x<|end|>";
  for (const std::vector<ByteRange>& ranges :
       std::vector<std::vector<ByteRange>>{{{5, 3}},
                                           {{0, 1u << 30}},
                                           {{8, 15}, {0, 7}},
                                           {{0, 7}, {3, 15}},
                                           {{SIZE_MAX, SIZE_MAX}}}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode_marked({text, ranges}), true), text);
  }
}

TEST(ByteBpe, LongPiecesTakeLinearTime) {
  const auto tokenizer = made(tiny_byte_level());
  for (const std::string unit : {"a", " ", "\xcc\x81", "12", "hello", "\xff"}) {
    std::string text;
    while (text.size() < (1u << 20)) text += unit;
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text) << testing::PrintToString(unit);
  }
}

TEST(ByteBpe, SeveralThreadsMayEncode) {
  const auto tokenizer = made(tiny_byte_level());
  const auto other = made(tiny_byte_level("llama-bpe"));
  const std::string text = "hello hello <|end|> 1212 aaaaaaaaaaa \u00e9\u00e9";
  const auto expected = tokenizer->encode(text);
  const auto expected_other = other->encode(text);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        if (tokenizer->encode(text) != expected || other->encode(text) != expected_other) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

// --- SentencePiece

TEST(SentencePiece, MergesByScoreAndFallsBackToBytes) {
  const auto tokenizer = made(tiny_sentencepiece());
  const auto pieces = [&](std::string_view text) {
    std::vector<std::string> out;
    for (const int32_t id : tokenizer->encode(text)) out.emplace_back(tokenizer->token_bytes(id));
    return out;
  };
  EXPECT_THAT(pieces("hello"), ElementsAre(" hello"));
  EXPECT_THAT(pieces("hello hello"), ElementsAre(" hello", " hello"));
  EXPECT_THAT(pieces("b\u00e9\u4e2d"), ElementsAre(" ", "b\u00e9", "\xe4", "\xb8", "\xad"));
  EXPECT_THAT(pieces("\u2581hello"), ElementsAre(" ", " hello"));
  EXPECT_TRUE(pieces("").empty());
}

TEST(SentencePiece, TextsComeBack) {
  const auto tokenizer = made(tiny_sentencepiece());
  Rng rng(6);
  for (int round = 0; round < 5000; ++round) {
    std::string text = round % 2 == 0 ? random_bytes(rng, 60) : random_text(rng, 30);
    const std::string back = tokenizer->decode(tokenizer->encode(text), true);
    // U+2581 stands for a space.
    for (size_t at; (at = text.find("\u2581")) != std::string::npos;) text.replace(at, 3, " ");
    EXPECT_EQ(back, text);
  }
}

TEST(SentencePiece, WordsOfUsersNeverBecomeMarks) {
  const auto tokenizer = made(tiny_sentencepiece());
  // "</s" and "s>" are tokens here, so merging alone would arrive at "</s>".
  for (const char* mark : {"<s>", "</s>", "<unk>", "<start_of_turn>", "<0x41>"}) {
    for (const int32_t id : tokenizer->encode(mark)) {
      EXPECT_NE(tokenizer->token_bytes(id, true), mark);
      EXPECT_NE(id, tokenizer->find_special(mark).value_or(-1));
    }
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(mark)), mark);
  }
  const int32_t bos = *tokenizer->bos();
  EXPECT_EQ(bos, 1);
  // After a mark a text begins anew, with its space.
  auto expected = tokenizer->encode("hello");
  expected.insert(expected.begin(), bos);
  EXPECT_EQ(tokenizer->encode_marked({"<s>hello", {{0, 3}}}), expected);
}

TEST(SentencePiece, IdsDefaultToTheCustomaryOnes) {
  const auto tokenizer = made(tiny_sentencepiece());
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_TRUE(tokenizer->ends_generation(2));
  EXPECT_FALSE(tokenizer->ends_generation(1));
  Checkpoint none = tiny_sentencepiece();
  none.set_uint("tokenizer.ggml.bos_token_id", 0xffffffff);
  EXPECT_FALSE(made(none)->bos());
  EXPECT_FALSE(made(none)->adds_bos());
}

TEST(SentencePiece, PiecesDoNotChangeTheResult) {
  // With a token that has a space inside, texts can no longer be cut at spaces.
  Checkpoint plain = tiny_sentencepiece();
  Checkpoint bridged = tiny_sentencepiece();
  const auto tokens = *bridged.get_strings("tokenizer.ggml.tokens");
  std::vector<std::string> more(tokens.begin(), tokens.end());
  more.push_back("o\u2581");
  more.push_back("o\u2581h");
  auto types = *bridged.get_integers("tokenizer.ggml.token_type");
  std::vector<int32_t> more_types(types.begin(), types.end());
  more_types.resize(more.size(), kTinyNormal);
  auto scores = *bridged.get_floats("tokenizer.ggml.scores");
  scores.push_back(-1000);
  scores.push_back(-1001);
  bridged.set_strings("tokenizer.ggml.tokens", more);
  bridged.set_integers("tokenizer.ggml.token_type", more_types);
  bridged.set_floats("tokenizer.ggml.scores", scores);
  const auto one = made(plain);
  const auto other = made(bridged);
  EXPECT_EQ(one->encode("hello hello"), other->encode("hello hello"));
  EXPECT_THAT(other->encode("bo hb"), testing::Contains(static_cast<int32_t>(more.size() - 1)));
}

// --- real vocabularies

class RealVocabularies : public testing::TestWithParam<RealVocabulary> {};

TEST_P(RealVocabularies, NoTextOfAUserBecomesAMark) {
  const RealVocabulary& real = GetParam();
  if (!std::filesystem::exists(real.path)) GTEST_SKIP() << "no " << real.path;
  const auto checkpoint = open_vocabulary(real);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto tokenizer = made(*checkpoint);
  const auto types = *checkpoint->get_integers("tokenizer.ggml.token_type");
  std::string marks;
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] == 3)
      marks += " " + std::string(tokenizer->token_bytes(static_cast<int32_t>(i), true));
  }
  ASSERT_FALSE(marks.empty());
  const auto no_marks = [&](const std::string& text) {
    for (const int32_t id : tokenizer->encode(text)) {
      ASSERT_NE(types[static_cast<size_t>(id)], 3) << text;
    }
  };
  no_marks(marks);
  Rng rng(8);
  for (int round = 0; round < 2000; ++round) no_marks(random_text(rng, 20));
  // Inside literal text all of them are found.
  size_t found = 0;
  for (const int32_t id : tokenizer->encode_marked({marks, {{0, marks.size()}}})) {
    found += types[static_cast<size_t>(id)] == 3;
  }
  EXPECT_EQ(found, static_cast<size_t>(std::count(types.begin(), types.end(), 3)));
}

TEST_P(RealVocabularies, RandomTextsComeBack) {
  const RealVocabulary& real = GetParam();
  if (!std::filesystem::exists(real.path)) GTEST_SKIP() << "no " << real.path;
  const auto checkpoint = open_vocabulary(real);
  ASSERT_TRUE(checkpoint);
  const auto tokenizer = made(*checkpoint);
  // Some vocabularies have no token for bytes that UTF-8 never uses; these disappear.
  std::string missing;
  for (int b = 0; b < 256; ++b) {
    if (tokenizer->encode(std::string(1, static_cast<char>(b))).empty()) {
      missing.push_back(static_cast<char>(b));
    }
  }
  EXPECT_LE(missing.size(), 40u);
  Rng rng(9);
  for (int round = 0; round < 500; ++round) {
    std::string text = random_text(rng, 20) + random_bytes(rng, 20);
    std::erase_if(text, [&](char c) { return missing.find(c) != std::string::npos; });
    const std::string back = tokenizer->decode(tokenizer->encode(text), true);
    if (tokenizer->drops_first_space()) {
      for (size_t at; (at = text.find("\u2581")) != std::string::npos;) text.replace(at, 3, " ");
    }
    ASSERT_EQ(back, text);
  }
}

INSTANTIATE_TEST_SUITE_P(RealModels, RealVocabularies,
                         testing::ValuesIn(real_vocabularies(AC_SHARED_DATA)),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// --- detokenizer

TEST(Detokenizer, HoldsBackPartOfACharacter) {
  const auto tokenizer = made(tiny_byte_level());
  Detokenizer detokenizer(*tokenizer);
  EXPECT_EQ(detokenizer.push('a'), "a");
  EXPECT_EQ(detokenizer.push(0xf0), "");
  EXPECT_EQ(detokenizer.push(0x9f), "");
  EXPECT_EQ(detokenizer.push(0x9a), "");
  EXPECT_EQ(detokenizer.push(0x80), "\U0001f680");
  EXPECT_EQ(detokenizer.push(0xf0), "");
  EXPECT_EQ(detokenizer.push('b'), "\ufffdb");
  EXPECT_EQ(detokenizer.push(0xff), "\ufffd");
  EXPECT_EQ(detokenizer.push(0xe2), "");
  EXPECT_EQ(detokenizer.finish(), "\ufffd");
  EXPECT_EQ(detokenizer.finish(), "");
}

TEST(Detokenizer, GivesWholeUtf8WhateverComes) {
  const auto tokenizer = made(tiny_byte_level());
  Rng rng(10);
  for (int round = 0; round < 3000; ++round) {
    const std::string text = round % 2 == 0 ? random_bytes(rng, 30) : random_text(rng, 10);
    Detokenizer detokenizer(*tokenizer, {.special = true});
    std::string whole;
    for (const char c : text) {
      const std::string part = detokenizer.push(static_cast<uint8_t>(c));
      for (const char *p = part.data(), *end = p + part.size(); p < end;) {
        const text::CodePoint point = text::decode_utf8(p, end);
        ASSERT_NE(point.code, text::kInvalidChar);
        p += point.size;
      }
      whole += part;
    }
    whole += detokenizer.finish();
    if (text.find('\xff') == std::string::npos && text.find('\xc3') == std::string::npos &&
        round % 2 == 1) {
      EXPECT_EQ(whole, text);
    }
  }
}

TEST(Detokenizer, DropsTheSpaceThatTokenizingAdded) {
  const auto tokenizer = made(tiny_sentencepiece());
  const auto ids = tokenizer->encode("hello hello");
  Detokenizer opening(*tokenizer);
  EXPECT_EQ(opening.push(*tokenizer->bos()), "");
  EXPECT_EQ(opening.push(ids[0]), "hello");
  EXPECT_EQ(opening.push(ids[1]), " hello");
  Detokenizer continuing(*tokenizer, {.opens_text = false});
  EXPECT_EQ(continuing.push(ids[0]), " hello");
}

// --- files that lie

void expect_error(const Checkpoint& checkpoint, ErrorCode code, std::string_view words) {
  const auto tokenizer = Tokenizer::from_checkpoint(checkpoint);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, code) << tokenizer.error().message;
  EXPECT_THAT(tokenizer.error().message, HasSubstr(std::string(words)));
}

TEST(Malformed, IsAnErrorThatNamesTheKey) {
  expect_error(Checkpoint(), ErrorCode::kNotFound, "tokenizer.ggml.model");
  {
    Checkpoint c = tiny_byte_level("klingon");
    expect_error(c, ErrorCode::kUnsupported, "klingon");
    expect_error(c, ErrorCode::kUnsupported, "llama-bpe");
    c.set_string("tokenizer.ggml.model", "bert");
    expect_error(c, ErrorCode::kUnsupported, "bert");
  }
  {
    Checkpoint c = tiny_byte_level();
    c.set_strings("tokenizer.ggml.tokens", {});
    expect_error(c, ErrorCode::kCorruptFile, "tokens");
  }
  {
    Checkpoint c = tiny_byte_level();
    c.set_integers("tokenizer.ggml.token_type", std::vector<int32_t>{1, 1});
    expect_error(c, ErrorCode::kCorruptFile, "token_type");
  }
  {
    Checkpoint c = tiny_byte_level();
    c.set_strings("tokenizer.ggml.merges", std::vector<std::string>{"ab"});
    expect_error(c, ErrorCode::kCorruptFile, "merges[0]");
  }
  {
    Checkpoint c = tiny_byte_level();
    c.set_uint("tokenizer.ggml.eos_token_id", 100000);
    expect_error(c, ErrorCode::kCorruptFile, "eos_token_id");
  }
  {
    Checkpoint c = tiny_sentencepiece();
    c.set_floats("tokenizer.ggml.scores", std::vector<float>{1});
    expect_error(c, ErrorCode::kCorruptFile, "scores");
    c.set_integers("tokenizer.ggml.scores", std::vector<int32_t>(282, 1));
    expect_error(c, ErrorCode::kCorruptFile, "scores");
    c.set_floats("tokenizer.ggml.scores", std::vector<float>(282, NAN));
    expect_error(c, ErrorCode::kCorruptFile, "scores");
  }
}

TEST(Malformed, EveryKeyWithEveryOtherTypeIsAnError) {
  const std::vector<std::string> keys = {
      "tokenizer.ggml.model",        "tokenizer.ggml.pre",          "tokenizer.ggml.tokens",
      "tokenizer.ggml.token_type",   "tokenizer.ggml.merges",       "tokenizer.ggml.scores",
      "tokenizer.ggml.bos_token_id", "tokenizer.ggml.add_bos_token"};
  for (const std::string& key : keys) {
    for (int type = 0; type < 7; ++type) {
      for (const bool bpe : {true, false}) {
        Checkpoint c = bpe ? tiny_byte_level() : tiny_sentencepiece();
        switch (type) {
          case 0:
            c.set_uint(key, 1);
            break;
          case 1:
            c.set_float(key, 1.5f);
            break;
          case 2:
            c.set_bool(key, true);
            break;
          case 3:
            c.set_string(key, "x");
            break;
          case 4:
            c.set_strings(key, std::vector<std::string>{"x", "y z", ""});
            break;
          case 5:
            c.set_floats(key, std::vector<float>{1, 2});
            break;
          default:
            c.set_integers(key, std::vector<int32_t>{-1, 2});
            break;
        }
        if (const auto tokenizer = Tokenizer::from_checkpoint(c)) {
          (*tokenizer)->decode((*tokenizer)->encode("hello <0x-1> \xff"));
        }
      }
    }
  }
}

TEST(Malformed, OddTokensAreHarmless) {
  // Twice the same token, none at all, bytes that are out of range, bytes that are not UTF-8.
  std::vector<TinyToken> tokens = {{"<unk>", kTinyUnknown},
                                   {"a"},
                                   {"a"},
                                   {""},
                                   {"<0x-1>", kTinyByte},
                                   {"<0xFFF>", kTinyByte},
                                   {"<0xZZ>", kTinyByte},
                                   {"<0x4>", kTinyByte},
                                   {"\xff\xfe"},
                                   {"aa"},
                                   {"", kTinyControl}};
  const auto piece = made(tiny_checkpoint("llama", tokens));
  EXPECT_THAT(piece->encode("a"), ElementsAre(0, 1));  // no token for the space in front
  EXPECT_EQ(piece->token_bytes(-1), "");
  EXPECT_EQ(piece->token_bytes(1000), "");
  piece->encode("\xff\xfe b <0x-1>");
  Checkpoint bpe = tiny_checkpoint("gpt2", tokens);
  bpe.set_strings("tokenizer.ggml.merges",
                  std::vector<std::string>{"a a", "a a", "x y", "aa aa", "a  a", "\xff a"});
  const auto tokenizer = made(bpe);
  EXPECT_THAT(tokenizer->encode("aaa"), ElementsAre(9, 1));
  EXPECT_TRUE(tokenizer->encode("zz").empty());  // no token, and no unknown id either
  bpe.set_uint("tokenizer.ggml.unknown_token_id", 0);
  EXPECT_THAT(made(bpe)->encode("z"), ElementsAre(0));
  // Where the file calls its end of text unknown, a stray byte must not end the text.
  bpe.set_uint("tokenizer.ggml.unknown_token_id", 10);
  EXPECT_TRUE(made(bpe)->encode("z").empty());
}

}  // namespace
}  // namespace ac
