// From a base to a zoo and back: what goes in comes out, what cannot be held is said.
#include "models/compress/pack.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "cpu/formats/codecs.h"
#include "models/arch/model.h"
#include "models/compress/requantize.h"
#include "models/predictor/network.h"
#include "models/predictor/predictor.h"
#include "models/store/gguf.h"
#include "runtime/core/rng.h"
#include "tests/store/store_test_util.h"
#include "tests/support/compare.h"
#include "tests/support/plain_backend.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

using testing::shared_data;
using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

void write_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  auto out = create_file(path);
  ASSERT_TRUE(out);
  ASSERT_TRUE(write_gguf(checkpoint, **out));
  ASSERT_TRUE((*out)->commit());
}

std::vector<float> decoded(const TensorView& view) {
  const auto n = static_cast<size_t>(view.n_cols());
  std::vector<float> out(static_cast<size_t>(view.n_rows()) * n);
  for (size_t r = 0; r < static_cast<size_t>(view.n_rows()); ++r) {
    cpu::codec(view.format)
        .decode_row(view.data + r * cpu::row_bytes(view.format, n), out.data() + r * n, n);
  }
  return out;
}

// What GGUF says of one model, read back from `zoo extract`.
Checkpoint extracted(const std::string& zoo_path, const std::string& id,
                     const TemporaryFolder& folder) {
  const auto zoo = Zoo::open(zoo_path);
  AC_CHECK(zoo.has_value());
  const std::string path = folder / (id + ".out.gguf");
  const auto report = zoo_extract(**zoo, id, path);
  EXPECT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->bytes, std::filesystem::file_size(path));
  auto read = open_gguf(path);
  AC_CHECK(read.has_value());
  return std::move(*read);
}

TEST(Pack, Stories260KBecomesThreeVariants) {
  const std::string base_path = shared_data("models/stories260K.gguf");
  if (base_path.empty()) GTEST_SKIP() << "no shared test data";
  const TemporaryFolder folder;
  const std::string zoo_path = folder / "stories.zoo";
  uint64_t last_done = 0, last_total = 0;
  const auto report =
      pack_zoo({.base_path = base_path,
                .zoo_path = zoo_path,
                .variants = {"q8_0", "q4_0", "f32", "q8_0"},
                .progress = [&](uint64_t done, uint64_t total, std::string_view note) {
                  EXPECT_LE(done, total);
                  EXPECT_FALSE(note.empty());
                  last_done = done;
                  last_total = total;
                }});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(last_done, last_total);
  EXPECT_EQ(report->zoo_bytes, std::filesystem::file_size(zoo_path));
  const ZooManifest& m = report->manifest;
  EXPECT_EQ(m.base, "stories260K");
  EXPECT_EQ(m.architecture, "llama");
  ASSERT_EQ(m.variants.size(), 3u);
  EXPECT_EQ(m.variants[0].id, "q4_0");  // cheapest first
  EXPECT_EQ(m.variants[1].id, "q8_0");
  EXPECT_EQ(m.variants[2].id, "f32");
  EXPECT_EQ(m.variants[0].techniques, std::vector<std::string>{"quantize q4_0"});
  EXPECT_TRUE(m.variants[2].techniques.empty());
  EXPECT_TRUE(m.variants[2].notes.empty());
  for (const ZooVariant& variant : m.variants) {
    EXPECT_EQ(variant.macs_per_token, m.variants[2].macs_per_token) << variant.id;
    EXPECT_EQ(variant.parameters, m.variants[2].parameters);
    uint64_t n_tensors = 0;
    for (const auto& [format, count] : variant.formats) n_tensors += count;
    EXPECT_EQ(n_tensors, 48u);
  }
  EXPECT_LT(m.variants[0].weight_bytes, m.variants[1].weight_bytes);
  EXPECT_LT(m.variants[1].weight_bytes, m.variants[2].weight_bytes);
  // d_ff is 172: the five matrices with rows that wide stay f16, and the manifest says so. The
  // output keeps 8 bits in q4_0.
  EXPECT_EQ(m.variants[1].formats.at("f16"), 5u);
  EXPECT_EQ(m.variants[1].formats.at("q8_0_r16"), 32u);
  EXPECT_EQ(m.variants[1].notes.size(), 5u);
  EXPECT_NE(m.variants[1].notes[0].find("172"), std::string::npos) << m.variants[1].notes[0];
  EXPECT_EQ(m.variants[0].formats.at("f16"), 5u);
  EXPECT_EQ(m.variants[0].formats.at("q8_0_r16"), 1u);
  EXPECT_EQ(m.variants[0].notes.size(), 6u);

  const auto zoo = Zoo::open(zoo_path);
  ASSERT_TRUE(zoo);
  EXPECT_TRUE((*zoo)->verify());
  // The base comes out as it went in, tokenizer and all.
  const auto base = open_gguf(base_path);
  ASSERT_TRUE(base);
  EXPECT_EQ(testing::difference(*base, extracted(zoo_path, "f32", folder)), "");
  // The others are what rounding the base row by row gives, and are standard files.
  for (const auto& [id, format] :
       {std::pair{"q8_0", WeightFormat::kQ8_0}, std::pair{"q4_0", WeightFormat::kQ4_0}}) {
    const Checkpoint out = extracted(zoo_path, id, folder);
    EXPECT_EQ(out.get_strings("tokenizer.ggml.tokens")->size(), 512u);
    for (const auto& [name, view] : out.tensors) {
      const TensorView source = base->tensor(name).value();
      ASSERT_LE(static_cast<uint32_t>(view.format), 30u) << name;
      if (view.n_axes == 1) {
        EXPECT_TRUE(testing::same_tensor(view, source)) << name;
        continue;
      }
      const WeightFormat want = name.ends_with("ffn_down.weight") ? WeightFormat::kF16
                                : name == "output.weight"         ? WeightFormat::kQ8_0
                                                                  : format;
      ASSERT_EQ(view.format, want) << name;
      const auto n = static_cast<size_t>(view.n_cols());
      const std::vector<float> weights = decoded(source);
      std::vector<std::byte> row(cpu::row_bytes(want, n));
      for (size_t r = 0; r < static_cast<size_t>(view.n_rows()); ++r) {
        cpu::codec(want).encode_row(weights.data() + r * n, row.data(), n);
        ASSERT_EQ(std::memcmp(row.data(), view.data + r * row.size(), row.size()), 0)
            << name << ' ' << r;
      }
    }
  }
}

std::vector<float> logits(const Checkpoint& c) {
  const auto backend = test::make_plain_backend();
  const auto result = test::run_logits(c, *backend, test::random_tokens(9, 100, 3));
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : std::vector<float>();
}

// Every family and every format that can be written: a zoo that runs. The error falls as bits grow.
TEST(Pack, EveryFamilyInEveryFormat) {
  const std::vector<std::string> formats = {"f16",  "bf16", "q8_0", "q6_k", "q5_1",
                                            "q5_0", "q4_k", "q4_1", "q4_0"};
  for (const std::string_view family : test::random_model_families()) {
    SCOPED_TRACE(family);
    const TemporaryFolder folder;
    // Rows of 256 fit every format.
    const Checkpoint base =
        test::random_model({.family = family, .format = WeightFormat::kF32, .tokenizer = true});
    write_checkpoint(folder / "base.gguf", base);
    const auto report = pack_zoo(
        {.base_path = folder / "base.gguf", .zoo_path = folder / "a.zoo", .variants = formats});
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_EQ(report->manifest.variants.size(), formats.size() + 1);
    const auto zoo = Zoo::open(folder / "a.zoo");
    ASSERT_TRUE(zoo);
    const std::vector<float> right = logits(base);
    for (const ZooVariant& variant : report->manifest.variants) {
      const Checkpoint out = extracted(folder / "a.zoo", variant.id, folder);
      const double error =
          test::nmse(std::span<const float>(logits(out)), std::span<const float>(right));
      EXPECT_LE(error, variant.id == "f32" ? 0.0 : variant.id == "f16" ? 1e-5 : 0.2) << variant.id;
    }
  }
}

TEST(Pack, TheTiedEmbeddingKeepsEightBits) {
  for (const bool untied : {false, true}) {
    const TemporaryFolder folder;
    Checkpoint base =
        test::random_model({.family = "llama", .format = WeightFormat::kQ8_0, .untied = untied});
    Checkpoint f32 = std::move(base);
    for (const std::string& name : std::vector<std::string>(f32.tensor_order)) {
      const TensorView view = f32.tensor(name).value();
      if (view.format == WeightFormat::kF32) continue;
      const std::vector<float> weights = decoded(view);
      auto bytes = f32.add_tensor(name, WeightFormat::kF32, view.axes());
      ASSERT_TRUE(bytes);
      std::memcpy(bytes->data(), weights.data(), bytes->size());
    }
    write_checkpoint(folder / "base.gguf", f32);
    ASSERT_TRUE(pack_zoo(
        {.base_path = folder / "base.gguf", .zoo_path = folder / "a.zoo", .variants = {"q4_0"}}));
    const Checkpoint out = extracted(folder / "a.zoo", "q4_0", folder);
    EXPECT_EQ(out.tensor("token_embd.weight")->format,
              untied ? WeightFormat::kQ4_0 : WeightFormat::kQ8_0);
    if (untied) {
      EXPECT_EQ(out.tensor("output.weight")->format, WeightFormat::kQ8_0);
    }
    EXPECT_EQ(out.tensor("blk.0.attn_q.weight")->format, WeightFormat::kQ4_0);
  }
}

TEST(Pack, ANarrowBaseIsKeptAsItIs) {
  const TemporaryFolder folder;
  const Checkpoint base =
      test::random_model({.family = "qwen2", .format = WeightFormat::kQ4_0, .tokenizer = true});
  write_checkpoint(folder / "base.gguf", base);
  const auto report = pack_zoo(
      {.base_path = folder / "base.gguf", .zoo_path = folder / "a.zoo", .variants = {"q4_0"}});
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_EQ(report->manifest.variants.size(), 1u);
  EXPECT_EQ(testing::difference(base, extracted(folder / "a.zoo", "q4_0", folder)), "");
  const auto wider = pack_zoo(
      {.base_path = folder / "base.gguf", .zoo_path = folder / "b.zoo", .variants = {"q8_0"}});
  ASSERT_FALSE(wider);
  EXPECT_EQ(wider.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(std::filesystem::exists(folder / "b.zoo"));
}

// Files of any format of blocks lie in a zoo as kernels read them, and come out byte for byte.
TEST(Pack, ABaseOfBlocksIsInterleavedAndComesOutAsItWent) {
  for (const std::string name : {"q6_k", "q5_1", "q5_0", "q4_k", "q4_1"}) {
    SCOPED_TRACE(name);
    const TemporaryFolder folder;
    const Checkpoint base = test::random_model(
        {.family = "llama", .format = *weight_format_from_name(name), .tokenizer = true});
    write_checkpoint(folder / "base.gguf", base);
    const auto report = pack_zoo({.base_path = folder / "base.gguf", .zoo_path = folder / "a.zoo"});
    ASSERT_TRUE(report) << report.error().message;
    ASSERT_EQ(report->manifest.variants.size(), 1u);
    const ZooVariant& variant = report->manifest.variants[0];
    EXPECT_GT(variant.formats.at(name + "_r16"), 0u);
    EXPECT_EQ(variant.formats.count(name), 0u);
    EXPECT_EQ(testing::difference(base, extracted(folder / "a.zoo", variant.id, folder)), "");
  }
}

TEST(Pack, WeightsThatAreNotNumbersOrTooLargeForHalf) {
  const TemporaryFolder folder;
  Checkpoint base = test::random_model({.family = "llama"});
  const TensorView w = base.tensor("blk.1.ffn_up.weight").value();
  auto* values = reinterpret_cast<float*>(const_cast<std::byte*>(w.data));
  values[7] = 1e6f;
  write_checkpoint(folder / "large.gguf", base);
  const auto large = pack_zoo(
      {.base_path = folder / "large.gguf", .zoo_path = folder / "a.zoo", .variants = {"f16"}});
  ASSERT_TRUE(large) << large.error().message;
  ASSERT_EQ(large->manifest.variants[0].id, "f16");
  EXPECT_EQ(large->manifest.variants[0].formats.at("f32"),
            1u + 2 * 3 + 1);  // norms, and that matrix
  EXPECT_EQ(large->manifest.variants[0].notes.size(), 1u);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    values[7] = bad;
    write_checkpoint(folder / "bad.gguf", base);
    const auto refused = pack_zoo(
        {.base_path = folder / "bad.gguf", .zoo_path = folder / "b.zoo", .variants = {"f16"}});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kCorruptFile);
    EXPECT_NE(refused.error().message.find("blk.1.ffn_up.weight"), std::string::npos);
  }
}

TEST(Pack, UnknownFormatsAndBases) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "base.gguf", test::random_model({.family = "llama"}));
  const auto code = [&](const std::string& format) {
    const auto report = pack_zoo(
        {.base_path = folder / "base.gguf", .zoo_path = folder / "a.zoo", .variants = {format}});
    EXPECT_FALSE(report);
    return report ? ErrorCode::kCancelled : report.error().code;
  };
  EXPECT_EQ(code("q9_9"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(""), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code("q2_k"), ErrorCode::kUnsupported);
  EXPECT_EQ(code("q8_0_r16"), ErrorCode::kUnsupported);
  spill(folder / "text.gguf", "hello");
  EXPECT_FALSE(pack_zoo({.base_path = folder / "text.gguf", .zoo_path = folder / "a.zoo"}));
  EXPECT_FALSE(pack_zoo({.base_path = folder / "none.gguf", .zoo_path = folder / "a.zoo"}));
  // A vocabulary alone is not a model.
  Checkpoint vocabulary;
  vocabulary.set_string("general.architecture", "llama");
  write_checkpoint(folder / "vocab.gguf", vocabulary);
  EXPECT_FALSE(pack_zoo({.base_path = folder / "vocab.gguf", .zoo_path = folder / "a.zoo"}));
  EXPECT_FALSE(std::filesystem::exists(folder / "a.zoo"));
}

TEST(Pack, TheSameForAnyNumberOfThreads) {
  const TemporaryFolder folder;
  write_checkpoint(folder / "base.gguf",
                   test::random_model({.family = "gemma2", .tokenizer = true}));
  std::string first;
  for (const int n_threads : {1, 2, 3}) {
    ASSERT_TRUE(pack_zoo({.base_path = folder / "base.gguf",
                          .zoo_path = folder / "a.zoo",
                          .variants = {"f16"},
                          .n_threads = n_threads}));
    if (first.empty()) first = slurp(folder / "a.zoo");
    EXPECT_EQ(slurp(folder / "a.zoo"), first) << n_threads;
  }
}

TEST(ZooAdd, VariantsAndPredictor) {
  const TemporaryFolder folder;
  const std::string zoo_path = folder / "a.zoo";
  const Checkpoint base = test::random_model(
      {.family = "llama", .format = WeightFormat::kF16, .whole_blocks = true, .tokenizer = true});
  write_checkpoint(folder / "base.gguf", base);
  ASSERT_TRUE(
      pack_zoo({.base_path = folder / "base.gguf", .zoo_path = zoo_path, .variants = {"q8_0"}}));
  const std::string before = slurp(zoo_path);

  const auto again = zoo_add({.zoo_path = zoo_path, .variants = {"q8_0"}});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(slurp(zoo_path), before);

  const auto more = zoo_add({.zoo_path = zoo_path, .variants = {"q4_0"}});
  ASSERT_TRUE(more) << more.error().message;
  ASSERT_EQ(more->manifest.variants.size(), 3u);
  EXPECT_EQ(more->manifest.variants[0].id, "q4_0");
  // Adding one at a time or packing at once: the same weights.
  ASSERT_TRUE(pack_zoo({.base_path = folder / "base.gguf",
                        .zoo_path = folder / "b.zoo",
                        .variants = {"q8_0", "q4_0"}}));
  EXPECT_EQ(testing::difference(extracted(zoo_path, "q4_0", folder),
                                extracted(folder / "b.zoo", "q4_0", folder)),
            "");

  spill(folder / "wrong.gguf", slurp(folder / "base.gguf"));
  const auto wrong = zoo_add({.zoo_path = zoo_path, .predictor_path = folder / "wrong.gguf"});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().message.find("not a predictor"), std::string::npos);
  EXPECT_EQ(zoo_add({.zoo_path = folder / "none.zoo", .variants = {"q4_0"}}).error().code,
            ErrorCode::kNotFound);
}

TEST(ZooRemove, TakesAVariantAndLeavesTheOthers) {
  const TemporaryFolder folder;
  const std::string zoo_path = folder / "a.zoo";
  write_checkpoint(folder / "base.gguf",
                   test::random_model({.family = "llama", .format = WeightFormat::kF16,
                                       .whole_blocks = true, .tokenizer = true}));
  ASSERT_TRUE(pack_zoo({.base_path = folder / "base.gguf",
                        .zoo_path = zoo_path,
                        .variants = {"q8_0", "q4_0"}}));
  const std::string before = slurp(zoo_path);
  const auto unknown = zoo_remove(zoo_path, "q5_0");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
  EXPECT_NE(unknown.error().message.find("q4_0, q8_0, f16"), std::string::npos)
      << unknown.error().message;
  EXPECT_EQ(slurp(zoo_path), before);

  const Checkpoint kept = extracted(zoo_path, "q4_0", folder);
  const auto report = zoo_remove(zoo_path, "q8_0");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->manifest.variants.size(), 2u);
  EXPECT_LT(slurp(zoo_path).size(), before.size());
  EXPECT_TRUE((*Zoo::open(zoo_path))->verify());
  EXPECT_EQ(testing::difference(extracted(zoo_path, "q4_0", folder), kept), "");

  ASSERT_TRUE(zoo_remove(zoo_path, "f16"));
  const std::string last = slurp(zoo_path);
  const auto only = zoo_remove(zoo_path, "q4_0");
  ASSERT_FALSE(only);
  EXPECT_EQ(only.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(slurp(zoo_path), last);
}

TEST(ZooAdd, APredictorIsAddedAndReplaced) {
  const TemporaryFolder folder;
  const std::string zoo_path = folder / "a.zoo";
  write_checkpoint(folder / "base.gguf",
                   test::random_model({.family = "llama", .tokenizer = true}));
  ASSERT_TRUE(pack_zoo({.base_path = folder / "base.gguf", .zoo_path = zoo_path}));
  EXPECT_FALSE((*Zoo::open(zoo_path))->open_predictor()->has_value());
  for (const float value : {0.25f, 0.5f}) {
    const auto predictor =
        Predictor::create({.tiers = {"small", "full"},
                           .parameters = std::vector<float>(
                               static_cast<size_t>(predictor::offsets_for(2).total), value),
                           .scale = {1, 1},
                           .shift = {0, 0},
                           .facts = {}});
    ASSERT_TRUE(predictor) << predictor.error().message;
    write_checkpoint(folder / "p.gguf", predictor->to_checkpoint());
    const auto report = zoo_add({.zoo_path = zoo_path, .predictor_path = folder / "p.gguf"});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->manifest.members.size(), 3u);  // tokenizer, the base, one predictor
    const auto zoo = Zoo::open(zoo_path);
    ASSERT_TRUE(zoo);
    EXPECT_TRUE((*zoo)->verify());
    const auto stored = (*zoo)->open_predictor();
    ASSERT_TRUE(stored && stored->has_value());
    const auto read = Predictor::from_checkpoint(**stored);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->parts().parameters, predictor->parts().parameters);
  }
}

// The small zoo's every bit is tested beside the reader; here a real one's, at random.
TEST(Zoo, FlippedBitsOfARealZooAreNoticed) {
  const std::string base_path = shared_data("models/stories260K.gguf");
  if (base_path.empty()) GTEST_SKIP() << "no shared test data";
  const TemporaryFolder folder;
  ASSERT_TRUE(pack_zoo(
      {.base_path = base_path, .zoo_path = folder / "a.zoo", .variants = {"q8_0", "q4_0"}}));
  std::string text = slurp(folder / "a.zoo");
  const auto is_refused = [&] {
    const auto zoo = Zoo::parse(std::as_bytes(std::span(text)), nullptr, "flipped");
    return !zoo || !(*zoo)->verify();
  };
  ASSERT_FALSE(is_refused());
  Rng rng(7);
  for (int i = 0; i < 400; ++i) {
    const size_t at = rng.below(text.size());
    const auto mask = static_cast<char>(1 << rng.below(8));
    text[at] = static_cast<char>(text[at] ^ mask);
    EXPECT_TRUE(is_refused()) << "bit of byte " << at;
    text[at] = static_cast<char>(text[at] ^ mask);
  }
  EXPECT_FALSE(is_refused());
}

}  // namespace
}  // namespace ac
