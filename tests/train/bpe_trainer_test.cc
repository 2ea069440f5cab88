#include "models/train/bpe_trainer.h"

#include <gtest/gtest.h>

#include <fmt/ranges.h>

#include <algorithm>

#include "models/text/chat_template.h"
#include "models/text/tokenizer.h"
#include "models/train/first_letters.h"
#include "runtime/core/file.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

BpeVocabulary trained(const std::vector<std::string>& texts, BpeOptions options) {
  Result<BpeTrainer> trainer = BpeTrainer::create(std::move(options));
  AC_CHECK(trainer.has_value());
  for (const std::string& text : texts) trainer->add_text(text);
  return trainer->train();
}

std::unique_ptr<const Tokenizer> tokenizer_of(const BpeVocabulary& vocabulary) {
  Checkpoint checkpoint;
  write_tokenizer(vocabulary, &checkpoint);
  auto tokenizer = Tokenizer::from_checkpoint(checkpoint);
  AC_CHECK(tokenizer.has_value());
  return std::move(*tokenizer);
}

// Pieces "low" x 4, "lower" x 2, " low"...: pairs counted by hand.
TEST(BpeTrainer, MergesByHand) {
  // Pieces of "hug hug hug pug pug bun": hug, " hug" x 2, " pug" x 2, " bun".
  // ug 5, hu 3, " h" 2, " p" 2, pu 2, " b" 1 ... -> u+g; then h+ug 3; then " "+hug 2, " "+p 2 and
  // p+ug 2. Ties go to the older left token: a space (byte 0x20) before p (0x70), and of the two
  // with a space the older right token, p, before hug.
  const BpeVocabulary v = trained({"hug hug hug pug pug bun"}, {.n_vocab = 259 + 20});
  std::vector<std::pair<std::string, std::string>> expected = {
      {"u", "g"}, {"h", "ug"}, {" ", "p"}, {" ", "hug"}, {" p", "ug"}};
  EXPECT_EQ(v.merges, expected);  // nothing else is seen twice
  EXPECT_EQ(v.tokens.size(), 259u + 5);
  EXPECT_EQ(v.tokens[0], "<|endoftext|>");
  EXPECT_EQ(v.tokens[3 + 'a'], "a");
  EXPECT_EQ(v.tokens.back(), " pug");
}

TEST(BpeTrainer, LimitsAreKept) {
  const std::string text = "aaaaaaaaaaaaaaaa aaaaaaaaaaaaaaaa bcbcbc bcbcbc";
  EXPECT_EQ(trained({text}, {.n_vocab = 259 + 2}).merges.size(), 2u);
  for (const std::string& token :
       trained({text}, {.n_vocab = 400, .longest_token_bytes = 4}).tokens) {
    EXPECT_TRUE(token.size() <= 4 || token.starts_with("<|")) << token;
  }
  EXPECT_TRUE(trained({"abc"}, {.n_vocab = 400}).merges.empty());
  for (const int32_t n : {0, 258, (1 << 20) + 1}) {
    EXPECT_FALSE(BpeTrainer::create({.n_vocab = n}).has_value()) << n;
  }
  EXPECT_FALSE(BpeTrainer::create({.pre_tokenizer = "nobody"}).has_value());
}

TEST(BpeTrainer, OrderOfTextsDoesNotMatter) {
  Rng rng(5);
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (int j = 0; j < 30; ++j) {
      text += static_cast<char>('a' + rng.below(6));
      if (rng.below(4) == 0) text += ' ';
    }
    texts.push_back(text);
  }
  const BpeVocabulary forward = trained(texts, {.n_vocab = 600});
  std::ranges::reverse(texts);
  const BpeVocabulary back = trained(texts, {.n_vocab = 600});
  EXPECT_EQ(forward.merges, back.merges);
  EXPECT_EQ(forward.tokens, back.tokens);
  EXPECT_GT(forward.merges.size(), 100u);
}

TEST(BpeTrainer, TheTokenizerReadsItAndGivesBackAnyBytes) {
  const auto tokenizer = tokenizer_of(trained(
      {"The mass is 3.14 kg; the mass is 2718 kg. Größe größer größte", "the the the mass"}, {.n_vocab = 400}));
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
  for (const std::string& text :
       {std::string("The mass is 12 kg."), std::string("größe"), std::string("\xff\xfe invalid"),
        every_byte, std::string("<|im_end|> is text here"), std::string()}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
  // Words that were frequent are one token; digits are always one by one.
  EXPECT_EQ(tokenizer->encode(" mass").size(), 1u);
  EXPECT_EQ(tokenizer->encode("2718").size(), 4u);
  EXPECT_FALSE(tokenizer->adds_bos());
  ASSERT_TRUE(tokenizer->eos().has_value());
  EXPECT_TRUE(tokenizer->ends_generation(*tokenizer->eos()));
  EXPECT_EQ(tokenizer->token_bytes(*tokenizer->eos(), true), "<|im_end|>");
}

// A word is the same tokens after its first letter, whatever is in front of it and whether it has a capital;
// its initial is its first token.
TEST(BpeTrainer, FirstLettersAreTokens) {
  Rng rng(3);
  std::vector<std::string> words;
  for (int i = 0; i < 300; ++i) {
    std::string word;
    for (uint64_t n = 2 + rng.below(3); n > 0; --n) {
      word += "bdfglmnprst"[rng.below(11)];
      word += "aeiou"[rng.below(5)];
    }
    words.push_back(word);
  }
  const auto raised = [](std::string word) {
    word[0] = static_cast<char>(word[0] - 'a' + 'A');
    return word;
  };
  std::vector<std::string> texts;
  for (int i = 0; i < 3000; ++i) {
    const std::string& word = words[rng.below(words.size())];
    texts.push_back(fmt::format("{} {} f({}-{}) {}", word, word, word, word, raised(word)));
    texts.push_back(raised(word) + " \u00c5sa");
    texts.push_back(fmt::format("{}: \"{}\"\n{} ({}),{}", i, word, word, word, word));
  }
  const BpeOptions options{.n_vocab = 600, .pre_tokenizer = "qwen2", .first_letters = true};
  const auto tokenizer = tokenizer_of(trained(texts, options));
  const auto plain = tokenizer_of(trained(texts, {.n_vocab = 600, .pre_tokenizer = "qwen2"}));
  const auto rest = [](const Tokenizer& of, const std::string& text) {
    std::vector<int32_t> ids = of.encode(text);
    ids.erase(ids.begin());
    return ids;
  };
  const auto n_unlike = [&](const Tokenizer& of) {
    int n = 0;
    for (const std::string& word : words) {
      const auto expected = rest(of, " " + word);
      n += rest(of, raised(word)) != expected || rest(of, " " + raised(word)) != expected ||
           rest(of, "(" + word) != expected || rest(of, "-" + word) != expected;
    }
    return n;
  };
  // In front of a word there may be nothing that the pre-tokenizer would leave with it.
  const auto n_hidden = [&](const Tokenizer& of) {
    int n = 0;
    for (const std::string& word : words) {
      const auto expected = rest(of, " " + word);
      for (const char* before : {"12\n", "{\"", ": \"", "),", " ("}) {
        std::vector<int32_t> ids = of.encode(before + word);
        n += ids.size() < expected.size() ||
             !std::equal(expected.rbegin(), expected.rend(), ids.rbegin());
      }
    }
    return n;
  };
  EXPECT_EQ(n_unlike(*tokenizer), 0);
  EXPECT_EQ(n_hidden(*tokenizer), 0);
  EXPECT_GT(n_unlike(*plain), 150) << "as plain BPE does it";
  size_t n_tokens = 0;
  for (const std::string& word : words) {
    EXPECT_EQ(tokenizer->encode(" " + raised(word)).front(),
              tokenizer->encode(fmt::format(" {}.", raised(word)[0])).front());
    n_tokens += tokenizer->encode(" " + word).size();
  }
  EXPECT_LT(n_tokens, 4 * words.size()) << "the rest of a word is not spelled letter by letter";
  EXPECT_EQ(tokenizer->encode(" \u00c5sa").front(), tokenizer->encode(" \u00c5.").front());
  for (const std::string& text :
       {std::string("  two  spaces\n\nÅse DFT-3 don't 12 McDonald O'Neill \xff\xfe"), texts[7],
        std::string("{\"gas\": \"argon\"}\nargon (argon),argon")}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text)), text);
  }
  const auto merges = trained(texts, options).merges;
  std::ranges::reverse(texts);
  EXPECT_EQ(trained(texts, options).merges, merges);
}

TEST(BpeTrainer, FirstLettersWithoutRoomForThem) {
  for (const int32_t n : {259, 260, 262, 270}) {
    const BpeVocabulary v = trained({" aa bb aa bb cc ÅÅ ÅÅ öö öö (a (a\nb\nb"},
                                    {.n_vocab = n, .pre_tokenizer = "qwen2", .first_letters = true});
    EXPECT_LE(v.tokens.size(), static_cast<size_t>(n));
    EXPECT_EQ(v.tokens.size(), 259 + v.n_words + v.merges.size());
    const auto tokenizer = tokenizer_of(v);
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(" aa ÅÅ öö")), " aa ÅÅ öö");
  }
}

TEST(FirstLetters, PartsOfAWord) {
  const auto spelled = [](std::string_view piece) {
    const std::optional<WordParts> word = word_parts(piece);
    return word ? fmt::format("{}|{}|{}", word->lead, word->first, fmt::join(word->tails, ",")) : "none";
  };
  EXPECT_EQ(spelled(" isolation"), " |i|solation");
  EXPECT_EQ(spelled("Isolation"), "|I|solation");
  EXPECT_EQ(spelled("“McDonald"), "“|M|c,onald");
  EXPECT_EQ(spelled("DFT"), "|D|");
  EXPECT_EQ(spelled(" Åsa"), " |Å|sa");
  EXPECT_EQ(spelled(" a"), " |a|");
  for (const std::string_view none : {"", " ", "12", "),", " \"", "\xff", " 3"}) {
    EXPECT_EQ(spelled(none), "none") << none;
  }
}

TEST(BpeTrainer, TheChatTemplateIsChatMl) {
  Checkpoint checkpoint;
  write_tokenizer(trained({"x"}, {.n_vocab = 259}), &checkpoint);
  auto chat = ChatTemplate::parse(*checkpoint.get_string("tokenizer.chat_template"));
  ASSERT_TRUE(chat.has_value()) << chat.error().message;
  const auto text = chat->render({.messages = {{"user", "Why?"}}});
  ASSERT_TRUE(text.has_value()) << text.error().message;
  EXPECT_EQ(text->text, "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n");
}

// A real text of 3 MB: a useful vocabulary, quickly.
TEST(BpeTrainer, OfATextbook) {
  const auto text = read_file(AC_SHARED_DATA "/text/openstax/microbiology.txt", 64u << 20);
  if (!text) GTEST_SKIP() << text.error().message;
  const BpeVocabulary vocabulary = trained({*text}, {.n_vocab = 2048});
  ASSERT_EQ(vocabulary.tokens.size(), 2048u);
  const auto tokenizer = tokenizer_of(vocabulary);
  const std::vector<int32_t> ids = tokenizer->encode(*text);
  EXPECT_EQ(tokenizer->decode(ids), *text);
  // English with 2048 tokens: well above three bytes a token.
  EXPECT_GT(static_cast<double>(text->size()) / static_cast<double>(ids.size()), 3.0);
}

}  // namespace
}  // namespace ac
