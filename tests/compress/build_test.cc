#include "models/compress/build.h"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <map>

#include "models/compress/export.h"
#include "models/compress/requantize.h"
#include "models/compress/stage.h"
#include "models/compress/zoo_parts.h"
#include "models/train/parameters.h"
#include "tests/store/store_test_util.h"
#include "tests/support/compare.h"
#include "tests/support/plain_backend.h"
#include "tests/support/random_model.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

using testing::slurp;
using testing::spill;
using testing::TemporaryFolder;

constexpr std::string_view kRecipe =
    "version = 1\n"
    "[calibrate]\n"
    "tokens = 2000\n"
    "[full]\n"
    "quantise = bf16\n"
    "[q8]\n"
    "quantise = q8_0\n"
    "[small]\n"
    "prune = ff_keep=0.5 kv_keep=0.5 unit=32\n"
    "repair = damping=0.1\n"
    "low_rank = keep=0.7\n"
    "quantise = q4_0\n";

// A folder with a base, a text and a recipe.
class Build : public ::testing::Test {
 protected:
  void SetUp() override {
    base_.emplace(test::random_model(
        {.family = "llama", .whole_blocks = true, .tokenizer = true, .n_layers = 2}));
    write_base(*base_);
    std::string text;
    for (int i = 0; i < 200; ++i) {
      text +=
          fmt::format("Text number {} says that {} and {} are {}.\n\n", i, i * 7, i * 11, i * 18);
    }
    spill(folder_ / "text.txt", text);
    spill(folder_ / "recipe.ini", kRecipe);
  }
  void TearDown() override { set_file_writer_factory_for_tests(nullptr); }

  void write_base(const Checkpoint& base) {
    spill(folder_ / "base.gguf", testing::gguf_text(base));
  }
  // With an output norm, and so logits, `factor` times as large.
  void write_base_with_output_norm(float factor) {
    const auto parameters = Parameters::create(*base_);
    ASSERT_TRUE(parameters) << parameters.error().message;
    for (const Parameters::Entry& entry : (*parameters)->entries()) {
      if (entry.name != "output_norm.weight") continue;
      for (float& value : (*parameters)->values().subspan(entry.offset, entry.size)) value *= factor;
    }
    const auto scaled = (*parameters)->exported(WeightFormat::kF32);
    ASSERT_TRUE(scaled) << scaled.error().message;
    write_base(*scaled);
  }
  BuildOptions options() const {
    return {.base_path = folder_ / "base.gguf",
            .calibration_path = folder_ / "text.txt",
            .held_out_path = "",
            .recipe_path = folder_ / "recipe.ini",
            .zoo_path = folder_ / "a.zoo",
            .n_threads = 2};
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(folder_ / name); }
  void expect_refused(const BuildOptions& what, ErrorCode code, std::string_view part) {
    const auto report = build_zoo(what);
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, code) << report.error().message;
    EXPECT_NE(report.error().message.find(part), std::string::npos) << report.error().message;
    EXPECT_FALSE(exists("a.zoo"));
  }

  void expect_same_for_any_threads() {
    std::vector<std::string> hashes;
    for (const int n_threads : {1, 2}) {
      BuildOptions build = options();
      build.n_threads = n_threads;
      const auto report = build_zoo(build);
      ASSERT_TRUE(report) << report.error().message;
      std::string all;
      for (const ZooMember& member : report->manifest.members) all += member.sha256;
      hashes.push_back(all);
    }
    EXPECT_EQ(hashes[0], hashes[1]);
  }

  TemporaryFolder folder_;
  std::optional<Checkpoint> base_;
};

TEST_F(Build, MakesWhatTheRecipeSays) {
  std::vector<std::string> notes;
  BuildOptions build = options();
  build.progress = [&](uint64_t done, uint64_t total, std::string_view note) {
    EXPECT_LE(done, total);
    notes.emplace_back(note);
  };
  const auto report = build_zoo(build);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(exists("a.zoo.build"));
  EXPECT_GT(notes.size(), 10u);
  const auto zoo = Zoo::open(folder_ / "a.zoo");
  ASSERT_TRUE(zoo) << zoo.error().message;
  ASSERT_TRUE((*zoo)->verify());
  const ZooManifest& manifest = (*zoo)->manifest();
  EXPECT_EQ(manifest.schema_version, 2);
  ASSERT_EQ(manifest.recipe.size(), 2u);
  EXPECT_NE(manifest.recipe[0].find("tokens=2000"), std::string::npos) << manifest.recipe[0];
  ASSERT_EQ(manifest.variants.size(), 3u);
  EXPECT_EQ(manifest.variants[0].id, "small");
  EXPECT_EQ(manifest.variants[1].id, "q8");
  EXPECT_EQ(manifest.variants[2].id, "full");
  EXPECT_EQ(manifest.variants[0].techniques.size(), 4u);
  for (const ZooVariant& variant : manifest.variants) {
    ASSERT_TRUE(variant.quality);
    EXPECT_GT(variant.quality->n_tokens, 100u);
    EXPECT_GT(variant.ms_per_token, 0);
    EXPECT_EQ(variant.quality->base_perplexity, manifest.variants[0].quality->base_perplexity);
    EXPECT_TRUE((*zoo)->open_variant(variant.id));
  }
  EXPECT_LT(manifest.variants[2].quality->kl_mean, manifest.variants[1].quality->kl_mean);
  EXPECT_LT(manifest.variants[1].quality->kl_mean, manifest.variants[0].quality->kl_mean);
  // Ranks at multiples of 32 and widths of whole blocks: everything is in the kernels' layout.
  EXPECT_EQ(manifest.variants[0].formats.count("f16"), 0u);
  EXPECT_LT(manifest.variants[0].macs_per_token, manifest.variants[1].macs_per_token);
}

// A file that appears when it is committed.
class SimpleFile final : public FileWriter {
 public:
  explicit SimpleFile(std::string path) : path_(std::move(path)) {}
  using FileWriter::write;
  Status write(std::span<const std::byte> bytes) override {
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return {};
  }
  Status commit() override {
    spill(path_, text_);
    return {};
  }
  uint64_t offset_bytes() const override { return text_.size(); }

 private:
  std::string path_;
  std::string text_;
};

TEST_F(Build, AFullDiskLeavesNoZooAndTheNextBuildGoesOn) {
  spill(folder_ / "recipe.ini",
        std::string(kRecipe) + "[fine]\nquantise = nested levels=0,100 order_tokens=600\n");
  int n_files = 0;
  const auto build_with_limit = [&](int limit) {
    n_files = 0;
    set_file_writer_factory_for_tests(
        [&, limit](const std::string& path) -> Result<std::unique_ptr<FileWriter>> {
          if (++n_files > limit)
            return fail(ErrorCode::kIo, "cannot write {}: no space left", path);
          return std::unique_ptr<FileWriter>(std::make_unique<SimpleFile>(path));
        });
    auto report = build_zoo(options());
    set_file_writer_factory_for_tests(nullptr);
    return report;
  };
  int total = 0;
  int n_failed = 0;
  // A few more files each time, from where the last one stopped.
  for (;; ++n_failed) {
    constexpr std::array kLimits = {0, 1, 3, 5, 1, 7, 2};
    const int limit = kLimits[static_cast<size_t>(n_failed) % kLimits.size()];
    const auto report = build_with_limit(limit);
    total += std::min(n_files, limit);
    if (report) break;
    EXPECT_EQ(report.error().code, ErrorCode::kIo) << report.error().message;
    EXPECT_NE(report.error().message.find("no space left"), std::string::npos);
    EXPECT_FALSE(exists("a.zoo"));
    ASSERT_LT(n_failed, 100);
  }
  EXPECT_GT(n_failed, 7);
  ASSERT_TRUE(exists("a.zoo"));
  const auto resumed = Zoo::open(folder_ / "a.zoo");
  ASSERT_TRUE(resumed && (*resumed)->verify());
  // Nothing was made twice, and the weights are those of an undisturbed build.
  const auto whole = build_with_limit(1000);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_EQ(total, n_files);
  for (const ZooVariant& variant : whole->manifest.variants) {
    const auto again = Zoo::open(folder_ / "a.zoo");
    const auto left = (*resumed)->open_variant(variant.id);
    const auto right = (*again)->open_variant(variant.id);
    ASSERT_TRUE(left && right);
    EXPECT_EQ(testing::difference(*left, *right), "") << variant.id;
  }
}

constexpr std::string_view kNestedRecipe =
    "version = 1\n"
    "[calibrate]\n"
    "tokens = 4000\n"
    "[four]\n"
    "quantise = q4_0\n"
    "[fine]\n"
    "quantise = nested levels=0,40,100 order_tokens=200\n"
    "[thin]\n"
    "prune = ff_keep=0.5 unit=32 global=no\n"
    "low_rank = keep=0.7\n"
    "quantise = nested order_tokens=200\n";

TEST_F(Build, NestedLevelsAreVariantsOfOneMember) {
  // Random models whose logits are not capped are certain of what they say, however rounded.
  write_base(test::random_model(
      {.family = "gemma2", .whole_blocks = true, .tokenizer = true, .n_layers = 2}));
  spill(folder_ / "recipe.ini", kNestedRecipe);
  const auto report = build_zoo(options());
  ASSERT_TRUE(report) << report.error().message;
  const auto zoo = Zoo::open(folder_ / "a.zoo");
  ASSERT_TRUE(zoo) << zoo.error().message;
  ASSERT_TRUE((*zoo)->verify());
  std::map<std::string, ZooVariant> variants;
  for (const ZooVariant& variant : (*zoo)->manifest().variants) variants[variant.id] = variant;
  ASSERT_EQ(variants.size(), 7u);
  EXPECT_EQ((*zoo)->manifest().members.size(), 4u);  // the tokenizer and three files
  const ZooVariant& low = variants.at("fine.0");
  const ZooVariant& middle = variants.at("fine.40");
  const ZooVariant& high = variants.at("fine.100");
  EXPECT_EQ(low.member, "variants/fine.gguf");
  EXPECT_EQ(high.member, low.member);
  EXPECT_EQ(middle.level, 40);
  EXPECT_LT(low.weight_bytes, middle.weight_bytes);
  EXPECT_LT(middle.bytes_per_token, high.bytes_per_token);
  EXPECT_EQ(low.parameters, high.parameters);
  EXPECT_LT(high.quality->kl_mean, middle.quality->kl_mean);
  EXPECT_LT(middle.quality->kl_mean, low.quality->kl_mean);
  EXPECT_LE(high.quality->kl_mean, 0.0015);
  EXPECT_GT(middle.ms_per_token, 0);
  // Level 0 is the variant that has 4 bits only: in what it costs, in how good it is and, written
  // as a file, in every byte.
  const ZooVariant& four = variants.at("four");
  EXPECT_EQ(low.weight_bytes, four.weight_bytes);
  EXPECT_EQ(low.bytes_per_token, four.bytes_per_token);
  EXPECT_EQ(low.macs_per_token, four.macs_per_token);
  EXPECT_EQ(low.formats, four.formats);
  EXPECT_EQ(low.quality->kl_mean, four.quality->kl_mean);
  ASSERT_TRUE(zoo_extract(**zoo, "four", folder_ / "four.gguf"));
  const auto extracted = zoo_extract(**zoo, "fine.0", folder_ / "fine.gguf");
  ASSERT_TRUE(extracted) << extracted.error().message;
  EXPECT_TRUE(extracted->notes.empty());
  EXPECT_TRUE(slurp(folder_ / "four.gguf") == slurp(folder_ / "fine.gguf"));
  // Other levels are written in plain formats, and that is said.
  const auto rounded = zoo_extract(**zoo, "thin.50", folder_ / "thin.gguf");
  ASSERT_TRUE(rounded) << rounded.error().message;
  ASSERT_EQ(rounded->notes.size(), 1u);
  EXPECT_NE(rounded->notes[0].find("rounded to q8_0"), std::string::npos);
  const auto exported = zoo_export(**zoo, "thin.100", folder_ / "thin100.gguf");
  ASSERT_TRUE(exported) << exported.error().message;
  // A nested file is no base for others.
  const auto nested = (*zoo)->open_variant("fine.100");
  ASSERT_TRUE(nested);
  const auto plain = unpacked(*nested);
  ASSERT_TRUE(plain);
  write_base(*plain);
  const auto again = build_zoo(options());
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("is nested"), std::string::npos) << again.error().message;
  const auto packed = pack_zoo({.base_path = folder_ / "base.gguf", .zoo_path = folder_ / "b.zoo"});
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().code, ErrorCode::kUnsupported) << packed.error().message;
}

// What was learned from one text is not taken for what another teaches.
TEST_F(Build, LearnedPartsKnowTheirText) {
  // Logits that are not so far apart: where one token is certain, whether learning helps is a matter of rounding.
  write_base_with_output_norm(0.1f);
  const auto recipe = [&](int tokens) {
    spill(folder_ / "recipe.ini",
          fmt::format("version = 1\n[calibrate]\ntokens = 2000\nwindow = 32\n[recover]\n"
                      "tokens = {}\n[taught]\nlow_rank = keep=0.7\nrecover = full tokens=3000 "
                      "tokens_per_step=500 look_every=1 learning_rate=0.001\nquantise = q8_0\n",
                      tokens));
  };
  const auto hash_of_weights = [&] {
    const auto report = build_zoo(options());
    EXPECT_TRUE(report) << report.error().message;
    EXPECT_EQ(report->manifest.recipe.size(), 3u);
    for (const ZooMember& member : report->manifest.members) {
      if (member.name == "variants/taught.gguf") return member.sha256;
    }
    return std::string();
  };
  recipe(1500);
  set_file_writer_factory_for_tests(
      [&](const std::string& path) -> Result<std::unique_ptr<FileWriter>> {
        if (path.ends_with("a.zoo")) return fail(ErrorCode::kIo, "cannot write {}", path);
        return std::unique_ptr<FileWriter>(std::make_unique<SimpleFile>(path));
      });
  ASSERT_FALSE(build_zoo(options()));
  set_file_writer_factory_for_tests(nullptr);
  ASSERT_TRUE(exists("a.zoo.build"));
  recipe(3000);
  const std::string after_another = hash_of_weights();
  const std::string alone = hash_of_weights();
  EXPECT_EQ(after_another, alone);
  recipe(1500);
  EXPECT_NE(hash_of_weights(), alone);
}

TEST_F(Build, ALossBeyondAllMeasureIsAnError) {
  write_base_with_output_norm(100);
  expect_refused(options(), ErrorCode::kCorruptFile, "a token on held-out text");
}

TEST_F(Build, TheSameForAnyNumberOfThreads) { expect_same_for_any_threads(); }

TEST_F(Build, NestedTheSameForAnyNumberOfThreads) {
  spill(folder_ / "recipe.ini", kNestedRecipe);
  expect_same_for_any_threads();
}

TEST_F(Build, BadInput) {
  BuildOptions bad = options();
  bad.base_path = folder_ / "none.gguf";
  expect_refused(bad, ErrorCode::kNotFound, "none.gguf");
  bad = options();
  bad.recipe_path = folder_ / "none.ini";
  expect_refused(bad, ErrorCode::kNotFound, "none.ini");
  spill(folder_ / "short.txt", "one\n\ntwo\n\nthree");
  bad = options();
  bad.calibration_path = folder_ / "short.txt";
  expect_refused(bad, ErrorCode::kInvalidArgument, "are missing");
  bad = options();
  bad.held_out_path = bad.calibration_path;
  expect_refused(bad, ErrorCode::kInvalidArgument, "cannot judge");
  spill(folder_ / "few.ini", "version = 1\n[calibrate]\ntokens = 100\n[a]\nquantise = q8_0\n");
  bad = options();
  bad.recipe_path = folder_ / "few.ini";
  expect_refused(bad, ErrorCode::kInvalidArgument, "[calibrate] tokens = 100");
  // A folder of that name that is something else is not touched.
  std::filesystem::create_directory(folder_ / "a.zoo.build");
  spill(folder_ / "a.zoo.build/mine.txt", "mine");
  expect_refused(options(), ErrorCode::kInvalidArgument, "a.zoo.build");
  EXPECT_EQ(slurp(folder_ / "a.zoo.build/mine.txt"), "mine");
}

TEST_F(Build, BadWeights) {
  const std::string right = slurp(folder_ / "base.gguf");
  for (const size_t cut : {size_t{10}, right.size() / 2, right.size() - 1}) {
    spill(folder_ / "base.gguf", right.substr(0, cut));
    const auto report = build_zoo(options());
    ASSERT_FALSE(report) << cut;
    EXPECT_EQ(report.error().code, ErrorCode::kCorruptFile) << report.error().message;
    EXPECT_FALSE(exists("a.zoo"));
  }
  const TensorView view = base_->tensor("blk.1.ffn_down.weight").value();
  reinterpret_cast<float*>(const_cast<std::byte*>(view.data))[5] = NAN;
  write_base(*base_);
  expect_refused(options(), ErrorCode::kCorruptFile, "blk.1.ffn_down.weight");
  base_->set_string("general.architecture", "mamba");
  write_base(*base_);
  expect_refused(options(), ErrorCode::kUnsupported, "mamba");
}

std::vector<float> logits(const Checkpoint& c) {
  const auto backend = test::make_plain_backend();
  const auto result = test::run_logits(c, *backend, test::random_tokens(9, 100, 3));
  EXPECT_TRUE(result) << result.error().message;
  return result ? *result : std::vector<float>();
}

TEST(Export, PairsAreMultipliedBack) {
  for (const std::string_view family : test::random_model_families()) {
    SCOPED_TRACE(family);
    const Checkpoint model = test::random_model({.family = family, .low_rank = true});
    const auto made = standard_checkpoint(model);
    ASSERT_TRUE(made) << made.error().message;
    for (const std::string& name : made->checkpoint.tensor_order) {
      EXPECT_EQ(name.find("lowrank"), std::string::npos) << name;
    }
    EXPECT_LT(test::nmse(std::span<const float>(logits(made->checkpoint)),
                         std::span<const float>(logits(model))),
              1e-9);
  }
}

TEST(Export, LayersThatDiffer) {
  const Checkpoint model = test::random_model({.family = "llama", .per_layer = true});
  const auto made = standard_checkpoint(model);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->checkpoint.get_string("general.architecture").value(), "deci");
  EXPECT_EQ(made->checkpoint.get_integers("deci.feed_forward_length").value(),
            model.get_integers("llama.feed_forward_length").value());
  for (const auto& [key, value] : made->checkpoint.metadata) {
    EXPECT_FALSE(key.starts_with("llama.")) << key;
  }
  // It is the same model here too, and stays what it is when it is exported again.
  EXPECT_EQ(logits(made->checkpoint), logits(model));
  const auto again = standard_checkpoint(made->checkpoint);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->checkpoint.get_string("general.architecture").value(), "deci");
  EXPECT_TRUE(again->notes.empty());
  const Checkpoint even = test::random_model({.family = "llama"});
  EXPECT_EQ(standard_checkpoint(even)->checkpoint.get_string("general.architecture").value(),
            "llama");
  const auto refused =
      standard_checkpoint(test::random_model({.family = "gemma2", .per_layer = true}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
}

TEST(BuildFolder, OnlyItsOwnFilesAreRemoved) {
  const TemporaryFolder folder;
  const auto build = BuildFolder::open(folder / "x.build");
  ASSERT_TRUE(build) << build.error().message;
  Checkpoint part;
  part.set_string("general.architecture", "part");
  ASSERT_TRUE(build->store("a.gguf", part));
  EXPECT_TRUE(build->has("a.gguf"));
  EXPECT_TRUE(BuildFolder::open(folder / "x.build"));
  spill(folder / "x.build/mine.txt", "mine");
  EXPECT_FALSE(build->remove());  // it is not empty
  EXPECT_FALSE(build->has("a.gguf"));
  EXPECT_EQ(slurp(folder / "x.build/mine.txt"), "mine");
}

}  // namespace
}  // namespace ac
