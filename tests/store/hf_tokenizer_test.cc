// Tokenizers of Hugging Face folders: the vectors of real models, and the translation key by key.
#include "models/store/hf_tokenizer.h"

#include <nlohmann/json.hpp>

#include "models/text/tokenizer.h"
#include "tests/store/store_test_util.h"

namespace ac {
namespace {

using testing::shared_data;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

std::vector<std::string> texts_of(const std::string& path) {
  constexpr std::string_view kMark = "\n__ggml_vocab_test__\n";
  std::string text = slurp(path);
  std::vector<std::string> texts;
  for (size_t at = 0;;) {
    const size_t end = text.find(kMark, at);
    texts.push_back(text.substr(at, end == std::string::npos ? end : end - at));
    if (end == std::string::npos) break;
    at = end + kMark.size();
  }
  return texts;
}

// 47 texts and their ids.
void expect_vectors(const std::string& folder, const std::string& inputs,
                    const std::string& outputs) {
  Checkpoint c;
  c.origin = folder;
  const Status status = read_hf_tokenizer(folder, 0, c);
  ASSERT_TRUE(status) << status.error().message;
  const auto tokenizer = Tokenizer::from_checkpoint(c);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  const std::vector<std::string> texts = texts_of(inputs);
  std::istringstream lines(slurp(outputs));
  std::string line;
  size_t n_right = 0;
  for (const std::string& text : texts) {
    if (!std::getline(lines, line)) line.clear();  // the last text is empty, and so is its line
    std::istringstream numbers(line);
    std::vector<int32_t> want;
    for (int32_t id = 0; numbers >> id;) want.push_back(id);
    const std::vector<int32_t> ids = (*tokenizer)->encode(text);
    EXPECT_EQ(ids, want) << "'" << text << "'";
    if (ids == want) ++n_right;
  }
  EXPECT_EQ(n_right, 47u);
}

TEST(HfTokenizer, Qwen2FromVocabularyAndMerges) {
  const std::string folder = shared_data("tokenizers/qwen2");
  if (folder.empty()) GTEST_SKIP() << "no shared test data";
  expect_vectors(folder, folder + "/ggml-vocab-qwen2.gguf.inp",
                 folder + "/ggml-vocab-qwen2.gguf.out");
}

TEST(HfTokenizer, SmolLm2FromTokenizerJson) {
  const std::string folder = shared_data("tokenizers/smollm2");
  if (folder.empty()) GTEST_SKIP() << "no shared test data";
  expect_vectors(folder, shared_data("tokenizers/qwen2/ggml-vocab-qwen2.gguf.inp"),
                 folder + "/ggml-vocab-smollm.gguf.out");
}

// A real SentencePiece vocabulary, exported as Hugging Face exports it (merges in the order of
// scores), gives the same ids as the original.
TEST(HfTokenizer, SentencePieceSurvivesTheExport) {
  const std::string path = shared_data("tokenizers/ggml-vocab-llama-spm.gguf");
  if (path.empty()) GTEST_SKIP() << "no shared test data";
  const auto original = open_gguf(path);
  ASSERT_TRUE(original);
  const auto tokens = original->get_strings("tokenizer.ggml.tokens").value();
  const auto scores = original->get_floats("tokenizer.ggml.scores").value();
  const auto types = original->get_integers("tokenizer.ggml.token_type").value();
  Json vocabulary = Json::object(), added = Json::array();
  std::map<std::string, size_t, std::less<>> ids;
  for (size_t i = 0; i < tokens.size(); ++i) {
    vocabulary[std::string(tokens[i])] = i;
    if (types[i] == 2 || types[i] == 3)
      added.push_back({{"id", i}, {"content", tokens[i]}, {"special", true}});
    if (types[i] == 1) ids.emplace(tokens[i], i);
  }
  std::vector<std::tuple<float, size_t, Json>> ranked;
  for (const auto& [text, id] : ids) {
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const std::string left = text.substr(0, cut), right = text.substr(cut);
      if (ids.count(left) != 0 && ids.count(right) != 0) {
        ranked.emplace_back(-scores[id], ranked.size(), Json::array({left, right}));
      }
    }
  }
  std::sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  Json merges = Json::array();
  for (auto& [score, order, pair] : ranked) merges.push_back(std::move(pair));
  const Json tokenizer = {
      {"added_tokens", added},
      {"normalizer",
       {{"type", "Sequence"},
        {"normalizers",
         {{{"type", "Prepend"}, {"prepend", "\u2581"}},
          {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}}}}},
      {"pre_tokenizer", nullptr},
      {"model",
       {{"type", "BPE"},
        {"byte_fallback", true},
        {"unk_token", "<unk>"},
        {"vocab", vocabulary},
        {"merges", merges}}}};
  const TemporaryFolder folder;
  spill(folder / "tokenizer.json", tokenizer.dump());
  spill(
      folder / "tokenizer_config.json",
      R"({"bos_token":"<s>","eos_token":{"content":"</s>"},"unk_token":"<unk>","add_bos_token":true})");
  expect_vectors(folder.path(), path + ".inp", path + ".out");
  Checkpoint c;
  ASSERT_TRUE(read_hf_tokenizer(folder.path(), 0, c));
  EXPECT_EQ(c.get_integers("tokenizer.ggml.token_type").value(), types);
  EXPECT_EQ(c.get_uint("tokenizer.ggml.bos_token_id", 0, 99).value(), 1u);
  EXPECT_EQ(c.get_uint("tokenizer.ggml.eos_token_id", 0, 99).value(), 2u);
  EXPECT_EQ(c.get_uint("tokenizer.ggml.unknown_token_id", 0, 99).value(), 0u);
  EXPECT_TRUE(c.get_bool("tokenizer.ggml.add_bos_token").value());
  EXPECT_TRUE(c.get_bool("tokenizer.ggml.add_space_prefix").value());
}

Json small() {
  return {{"added_tokens",
           {{{"id", 3}, {"content", "<|end|>"}, {"special", true}},
            {{"id", 4}, {"content", "<tool>"}, {"special", false}}}},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"use_regex", true}}},
          {"model",
           {{"type", "BPE"}, {"vocab", {{"a", 0}, {"b", 1}, {"ab", 2}}}, {"merges", {"a b"}}}}};
}

Status read(const Json& tokenizer, const std::string& config, Checkpoint& out,
            int64_t n_vocab = 0) {
  const TemporaryFolder folder;
  spill(folder / "tokenizer.json", tokenizer.dump());
  if (!config.empty()) spill(folder / "tokenizer_config.json", config);
  return read_hf_tokenizer(folder.path(), n_vocab, out);
}

TEST(HfTokenizer, TokensTypesAndHoles) {
  Checkpoint c;
  const Status status = read(small(), R"({"eos_token":"<|end|>","chat_template":"T"})", c, 7);
  ASSERT_TRUE(status) << status.error().message;
  const auto tokens = c.get_strings("tokenizer.ggml.tokens").value();
  ASSERT_EQ(tokens.size(), 7u);
  EXPECT_EQ(tokens[2], "ab");
  EXPECT_EQ(tokens[5], "[PAD5]");
  EXPECT_EQ(c.get_integers("tokenizer.ggml.token_type").value(),
            (std::vector<int64_t>{1, 1, 1, 3, 4, 5, 5}));
  EXPECT_EQ((*c.get_strings("tokenizer.ggml.merges"))[0], "a b");
  EXPECT_EQ(c.get_string("tokenizer.ggml.model").value(), "gpt2");
  EXPECT_EQ(c.get_string("tokenizer.ggml.pre").value(), "gpt-2");
  EXPECT_EQ(c.get_string("tokenizer.chat_template").value(), "T");
  EXPECT_EQ(c.get_uint("tokenizer.ggml.eos_token_id", 0, 9).value(), 3u);
  EXPECT_FALSE(c.has("tokenizer.ggml.bos_token_id"));
  EXPECT_FALSE(c.get_bool("tokenizer.ggml.add_bos_token").value());
}

TEST(HfTokenizer, MergesAsPairsAreTheSame) {
  Json pairs = small();
  pairs["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  Checkpoint a, b;
  ASSERT_TRUE(read(small(), "", a));
  ASSERT_TRUE(read(pairs, "", b));
  EXPECT_EQ(testing::difference(a, b), "");
}

TEST(HfTokenizer, TemplatesFromListsAndFiles) {
  Checkpoint c;
  ASSERT_TRUE(read(
      small(),
      R"({"chat_template":[{"name":"tool_use","template":"X"},{"name":"default","template":"D"}]})",
      c));
  EXPECT_EQ(c.get_string("tokenizer.chat_template").value(), "D");
  const TemporaryFolder folder;
  spill(folder / "tokenizer.json", small().dump());
  spill(folder / "chat_template.jinja", "from a file");
  Checkpoint d;
  ASSERT_TRUE(read_hf_tokenizer(folder.path(), 0, d));
  EXPECT_EQ(d.get_string("tokenizer.chat_template").value(), "from a file");
}

TEST(HfTokenizer, BosFromThePostProcessor) {
  Json t = small();
  t["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       {{{"type", "ByteLevel"}},
        {{"type", "TemplateProcessing"},
         {"single", {{{"SpecialToken", {{"id", "<|end|>"}}}}, {{"Sequence", {{"id", "A"}}}}}}}}}};
  Checkpoint c;
  ASSERT_TRUE(read(t, R"({"bos_token":"<|end|>"})", c));
  EXPECT_TRUE(c.get_bool("tokenizer.ggml.add_bos_token").value());
  Checkpoint stated;
  ASSERT_TRUE(read(t, R"({"bos_token":"<|end|>","add_bos_token":false})", stated));
  EXPECT_FALSE(stated.get_bool("tokenizer.ggml.add_bos_token").value());
}

TEST(HfTokenizer, GemmaHasNoSpacePrefixAndMetaspaceSaysItself) {
  Json gemma = small();
  gemma["normalizer"] = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}};
  gemma["pre_tokenizer"] = {
      {"type", "Split"}, {"pattern", {{"String", " "}}}, {"behavior", "MergedWithPrevious"}};
  Checkpoint c;
  ASSERT_TRUE(read(gemma, "", c));
  EXPECT_EQ(c.get_string("tokenizer.ggml.model").value(), "llama");
  EXPECT_FALSE(c.get_bool("tokenizer.ggml.add_space_prefix").value());
  for (const auto& [scheme, want] :
       {std::pair{"first", true}, std::pair{"always", true}, std::pair{"never", false}}) {
    Json meta = small();
    meta["pre_tokenizer"] = {
        {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", scheme}};
    Checkpoint m;
    ASSERT_TRUE(read(meta, "", m));
    EXPECT_EQ(m.get_bool("tokenizer.ggml.add_space_prefix").value(), want) << scheme;
  }
}

Json split(const std::string& regex) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", "Isolated"},
          {"invert", false}};
}
Json bytes(bool use_regex) {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", use_regex}};
}
Json digits(bool individual) { return {{"type", "Digits"}, {"individual_digits", individual}}; }
Json sequence(std::initializer_list<Json> steps) {
  Json list = Json::array();
  for (const Json& step : steps) list.push_back(step);
  return {{"type", "Sequence"}, {"pretokenizers", list}};
}

TEST(HfTokenizer, PreTokenizersByName) {
  const std::string words = R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)";
  const std::string rest = R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
  const std::vector<std::pair<std::string, Json>> cases = {
      {"gpt-2", bytes(true)},
      {"smollm", sequence({digits(true), bytes(true)})},
      {"llama-bpe", sequence({split(words + R"(\p{N}{1,3})" + rest), bytes(false)})},
      {"qwen2", sequence({split(words + R"(\p{N})" + rest), bytes(false)})},
      {"falcon", sequence({{{"type", "Punctuation"}, {"behavior", "Contiguous"}},
                           bytes(true),
                           digits(false),
                           split("[0-9][0-9][0-9]")})},
      {"deepseek-llm",
       sequence({split("[\r\n]"), split("\\s?[A-Za-z\u00b5\u00c0-\u00d6]+"),
                 split("\\s?[!-/:-~\uff01-\uff0f]+"), split("\\s+$"),
                 split("[\u4e00-\u9fa5\u0800-\u4e00]+"), digits(true), bytes(false)})},
      {"deepseek-coder",
       sequence({split("[\r\n]"), split("\\s?\\p{L}+"), split("\\s?\\p{P}+"),
                 split("[\u4e00-\u9fa5\u0800-\u4e00]+"), digits(true), bytes(false)})},
      {"deepseek-v3", sequence({split("\\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f]+"),
                                split("[!\"#$%&'()*+,]"), bytes(false)})}};
  for (const auto& [name, pre_tokenizer] : cases) {
    const auto found = recognise_pre_tokenizer(pre_tokenizer, false);
    ASSERT_TRUE(found) << name << ' ' << found.error().message;
    EXPECT_EQ(*found, name);
  }
  EXPECT_EQ(recognise_pre_tokenizer(bytes(true), true).value(), "smollm");
  for (const Json& unknown :
       {Json{{"type", "Whitespace"}}, bytes(false), sequence({split("a+"), bytes(false)}),
        Json::object(), sequence({}), Json{{"type", "Sequence"}, {"pretokenizers", 1}},
        Json(nullptr), Json(1)}) {
    const auto refused = recognise_pre_tokenizer(unknown, false);
    ASSERT_FALSE(refused) << unknown.dump();
    EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  }
}

TEST(HfTokenizer, AnythingElseIsAnErrorOrSound) {
  const std::vector<Json> others = {nullptr,
                                    true,
                                    -1,
                                    2,
                                    5,
                                    1u << 31,
                                    1e300,
                                    "",
                                    "x",
                                    "a b c",
                                    " ",
                                    Json::array(),
                                    Json::array({1}),
                                    Json::array({"a"}),
                                    Json::object()};
  const Json right = small();
  size_t n_refused = 0;
  const Json flat = right.flatten();
  for (const auto& [pointer, value] : flat.items()) {
    for (const Json& other : others) {
      Json changed = right;
      changed[Json::json_pointer(pointer)] = other;
      Checkpoint c;
      if (!read(changed, "", c)) {
        ++n_refused;
        continue;
      }
      EXPECT_EQ(c.get_strings("tokenizer.ggml.tokens")->size(),
                c.get_integers("tokenizer.ggml.token_type")->size());
      (void)Tokenizer::from_checkpoint(c);
    }
  }
  EXPECT_GT(n_refused, 50u);
  const std::string text = right.dump();
  for (size_t n = 0; n < text.size(); ++n) {
    const TemporaryFolder folder;
    spill(folder / "tokenizer.json", text.substr(0, n));
    Checkpoint c;
    EXPECT_FALSE(read_hf_tokenizer(folder.path(), 0, c)) << n;
  }
  Checkpoint c;
  EXPECT_FALSE(read(right, "", c, 2));                        // more tokens than rows
  EXPECT_FALSE(read(right, R"({"bos_token":"<none>"})", c));  // not in the vocabulary
  EXPECT_FALSE(read(right, R"({"bos_token":1})", c));
  EXPECT_FALSE(read(right, R"({"added_tokens_decoder":{"x":{"content":"y"}}})", c));
  EXPECT_FALSE(
      read(right, R"({"added_tokens_decoder":{"0":{"content":"y"}}})", c));  // another token's id
  const TemporaryFolder empty;
  EXPECT_EQ(read_hf_tokenizer(empty.path(), 0, c).error().code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace ac
