// Ids that the models' own tokenizers gave for 47 texts each.
#include <gtest/gtest.h>

#include <charconv>

#include "models/text/tokenizer.h"
#include "tests/text/real_vocabularies.h"

namespace ac {
namespace {

std::vector<std::string> split(std::string_view text, std::string_view separator) {
  std::vector<std::string> parts;
  for (;;) {
    const size_t hit = text.find(separator);
    parts.emplace_back(text.substr(0, hit));
    if (hit == std::string_view::npos) return parts;
    text.remove_prefix(hit + separator.size());
  }
}

std::vector<int32_t> ids_of(const std::string& line) {
  std::vector<int32_t> ids;
  for (const std::string& word : split(line, " ")) {
    int32_t id = 0;
    if (!word.empty()) {
      std::from_chars(word.data(), word.data() + word.size(), id);
      ids.push_back(id);
    }
  }
  return ids;
}

class Vectors : public testing::TestWithParam<RealVocabulary> {};

TEST_P(Vectors, AllTextsGiveThePublishedIds) {
  const RealVocabulary& real = GetParam();
  if (!std::filesystem::exists(real.path)) GTEST_SKIP() << "no " << real.path;
  const auto texts_file =
      read_file(std::string(AC_SHARED_DATA) + "/tokenizers/ggml-vocab-gpt-2.gguf.inp", 1 << 20);
  const auto ids_file = read_file(real.expected, 1 << 20);
  ASSERT_TRUE(texts_file && ids_file);
  const auto texts = split(*texts_file, "\n__ggml_vocab_test__\n");
  const auto lines = split(*ids_file, "\n");
  ASSERT_EQ(texts.size(), 47u);
  ASSERT_EQ(lines.size(), 47u);

  const auto checkpoint = open_vocabulary(real);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto tokenizer = Tokenizer::from_checkpoint(*checkpoint);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (size_t i = 0; i < texts.size(); ++i) {
    const auto ids = (*tokenizer)->encode(texts[i]);
    EXPECT_EQ(ids, ids_of(lines[i])) << "text " << i << ": " << texts[i];
    EXPECT_EQ((*tokenizer)->decode(ids), texts[i]) << "text " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(RealModels, Vectors, testing::ValuesIn(real_vocabularies(AC_SHARED_DATA)),
                         [](const auto& test) {
                           std::string name = test.param.name;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace ac
