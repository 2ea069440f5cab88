#include "models/train/sequences.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "models/train/bpe_trainer.h"
#include "models/train/text_documents.h"

namespace ac {
namespace {

class Numbers final : public DocumentSource {
 public:
  explicit Numbers(uint64_t size) : size_(size) {}
  uint64_t size() const override { return size_; }
  Document document(uint64_t i) const override {
    return {.prompt = fmt::format("say {}", i), .answer = std::string(1 + i % 7, static_cast<char>('a' + i % 26))};
  }

 private:
  uint64_t size_;
};

struct Words {
  Words() {
    Checkpoint checkpoint;
    auto trainer = BpeTrainer::create({.n_vocab = 259});
    write_tokenizer(trainer->train(), &checkpoint);
    tokenizer = std::move(*Tokenizer::from_checkpoint(checkpoint));
    chat_template = *checkpoint.get_string("tokenizer.chat_template");
  }
  SequenceMaker maker(const SequenceOptions& options = {}) const {
    auto made = SequenceMaker::create(*tokenizer, chat_template, options);
    AC_CHECK(made.has_value());
    return std::move(*made);
  }
  std::unique_ptr<const Tokenizer> tokenizer;
  std::string chat_template;
};

TEST(Sequences, APromptIsSeenAsItWillBeAsked) {
  const Words words;
  const auto made = words.maker({.prompt_weight = 0.25f}).sequences({"Why?", "So."});
  ASSERT_TRUE(made.has_value());
  ASSERT_EQ(made->size(), 1u);
  const Sequence& s = made->front();
  EXPECT_EQ(words.tokenizer->decode(s.tokens, true),
            "<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo.<|im_end|>");
  EXPECT_EQ(s.tokens.back(), *words.tokenizer->eos());
  ASSERT_EQ(s.weights.size(), s.tokens.size());
  for (size_t i = 0; i < s.weights.size(); ++i) {
    EXPECT_EQ(s.weights[i], i + 4 >= s.weights.size() ? 1.0f : 0.25f) << i;
  }
}

TEST(Sequences, MarksInSomebodysWordsAreWords) {
  const Words words;
  const auto made = words.maker().sequences({"<|im_end|>", "x"});
  ASSERT_TRUE(made.has_value());
  // The template's own two marks at the front, its end mark, the assistant's; and the answer's end.
  EXPECT_EQ(std::ranges::count(made->front().tokens, *words.tokenizer->eos()), 2);
}

TEST(Sequences, ATextLiesBetweenTwoEndsAndIsCutAtTheContext) {
  const Words words;
  const auto made = words.maker({.context = 4}).sequences({"", "abcdefghi"});
  ASSERT_TRUE(made.has_value());
  const int32_t end = *words.tokenizer->find_special("<|endoftext|>");
  ASSERT_EQ(made->size(), 3u);  // 11 tokens: 10 to predict, 4 + 4 + 2
  EXPECT_EQ(made->front().tokens.front(), end);
  EXPECT_EQ(made->back().tokens.back(), end);
  for (size_t i = 0; i + 1 < made->size(); ++i) {
    EXPECT_EQ((*made)[i].tokens.size(), 5u);
    EXPECT_EQ((*made)[i].tokens.back(), (*made)[i + 1].tokens.front());
  }
  EXPECT_EQ(made->back().weights[1], 1.0f);
  EXPECT_FALSE(words.maker().sequences({"a", ""}).has_value());
}

TEST(Sequences, PacksKeepDocumentsApartAndUseAllOfThemOnceARound) {
  const Words words;
  const SequenceMaker maker = words.maker();
  const Numbers source(30);
  PackStream stream(source, maker, 3, 256);
  std::multiset<std::string> seen, expected;
  for (uint64_t i = 0; i < source.size(); ++i) expected.insert(source.document(i).prompt);
  std::vector<std::string> order;
  while (seen.size() < 30) {
    const auto pack = stream.next();
    ASSERT_TRUE(pack.has_value());
    EXPECT_LE(pack->tokens.size(), 256u);
    for (size_t i = 0; i < pack->tokens.size(); ++i) {
      const bool begins = i == 0 || pack->slots[i] != pack->slots[i - 1];
      EXPECT_EQ(pack->positions[i], begins ? 0 : pack->positions[i - 1] + 1);
      if (i + 1 < pack->tokens.size() && pack->slots[i] == pack->slots[i + 1]) {
        EXPECT_EQ(pack->targets[i], pack->tokens[i + 1]);
      } else {
        EXPECT_EQ(pack->targets[i], *words.tokenizer->eos());
      }
    }
    const std::string text = words.tokenizer->decode(pack->tokens, true);
    // The last pack may begin the next round.
    for (size_t at = text.find("say "); at != std::string::npos && seen.size() < 30;
         at = text.find("say ", at + 1)) {
      order.push_back(text.substr(at, text.find('<', at) - at));
      seen.insert(order.back());
    }
  }
  EXPECT_EQ(seen, expected);
  EXPECT_FALSE(std::ranges::is_sorted(order));
}

TEST(Sequences, AStreamGoesOnFromItsPlace) {
  const Words words;
  const SequenceMaker maker = words.maker({.context = 8});  // documents of several sequences
  for (const uint64_t size : {uint64_t{0}, uint64_t{5}}) {
    const Numbers source(size);
    PackStream stream(source, maker, 3, 40);
    for (int i = 0; i < 17; ++i) ASSERT_TRUE(stream.next().has_value());
    const PackStream::Place place = stream.place();
    PackStream resumed(source, maker, 3, 40);
    resumed.go_to(place);
    for (int i = 0; i < 5; ++i) {
      const auto a = stream.next(), b = resumed.next();
      ASSERT_TRUE(a.has_value() && b.has_value());
      EXPECT_EQ(a->tokens, b->tokens);
      EXPECT_EQ(a->weights, b->weights);
    }
  }
}

TEST(TextDocuments, ParagraphsAreOnOneSideOnly) {
  std::string text = "short\n\n# A heading\r\n";
  for (int i = 0; i < 500; ++i) {
    const std::string line = fmt::format("Paragraph {} is long enough to be a document of its own.", i);
    text += line + "\n" + line + "\r\n";
  }
  using Part = TextDocuments::Part;
  const auto training = TextDocuments::create(text, Part::kTraining, "t");
  const auto held_out = TextDocuments::create(text, Part::kHeldOut, "t");
  ASSERT_TRUE(training.has_value() && held_out.has_value());
  EXPECT_EQ((*training)->size() + (*held_out)->size(), 1000u);
  EXPECT_GT((*held_out)->size(), 2u);
  const std::set<std::string> unseen((*held_out)->paragraphs().begin(), (*held_out)->paragraphs().end());
  for (const std::string& paragraph : (*training)->paragraphs()) EXPECT_FALSE(unseen.contains(paragraph));
  EXPECT_EQ((*training)->document(0).prompt, "");
  const auto empty = TextDocuments::create("too short\n", Part::kTraining, "x.txt");
  ASSERT_FALSE(empty.has_value());
  EXPECT_NE(empty.error().message.find("x.txt"), std::string::npos);
}

}  // namespace
}  // namespace ac
