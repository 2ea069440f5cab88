// Whole small runs: a model that learns, a run that is stopped and gone on with, files that are
// damaged.
#include "models/train/base_trainer.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "models/arch/model.h"
#include "models/store/gguf.h"
#include "models/text/tokenizer.h"
#include "models/train/base_model.h"
#include "models/train/text_documents.h"
#include "runtime/core/file.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

// "copy 4 7 1" -> "4 7 1": endless, learned by looking back.
class Copying final : public DocumentSource {
 public:
  explicit Copying(uint64_t seed) : seed_(seed) {}
  uint64_t size() const override { return 0; }
  Document document(uint64_t i) const override {
    Rng rng(seed_ + i);
    std::string digits;
    for (int j = 0; j < 4; ++j) digits += static_cast<char>('0' + rng.below(10));
    return {.prompt = "copy " + digits, .answer = digits};
  }

 private:
  uint64_t seed_;
};

constexpr const char* kRecipe = R"(version = 1
[model]
d_model = 32
layers = 2
heads = 2
kv_heads = 1
d_ff = 64
context = 64
[tokenizer]
vocab = 280
sample_mb = 1
[train]
steps = 20
tokens_per_step = 300
tokens_per_pack = 150
warm_up = 3
learning_rate = 0.01
[watch]
evaluate_every = 5
evaluate_tokens = 500
checkpoint_minutes = 1000
)";

BaseRecipe recipe_of(std::string text) {
  // The sample would be documents without end.
  auto recipe = parse_base_recipe(text, "r.ini");
  AC_CHECK(recipe.has_value());
  recipe->tokenizer_bytes = 2000;
  return std::move(*recipe);
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const size_t at = text.find(what);
  AC_CHECK(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

// Stops after a number of steps, by raising the flag that Ctrl-C raises.
struct StopAfter {
  StopAfter(int64_t n, BaseTrainOptions* options) {
    options->cancel = &flag;
    options->on_step = [this, n](const BaseTrainProgress& at) {
      if (at.point.step >= n) flag.raise();
    };
  }
  CancelFlag flag;
};

class BaseTrainerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + fmt::format("base_trainer_{}", getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(std::string_view name) const { return fmt::format("{}/{}", folder_, name); }

  Result<BaseTrainReport> train(const BaseRecipe& recipe, BaseTrainOptions options) {
    Copying training(1);
    return train_base(recipe, training, Copying(1u << 30), options);
  }
  std::string bytes(const std::string& file) { return *read_file(file, 1u << 30); }
  // Stopped after ten steps and gone on with (a), and in one go (b): the same model and state, whatever the number of
  // threads. The report is that of the latter.
  BaseTrainReport train_in_two_sittings(const BaseRecipe& recipe) {
    BaseTrainOptions first{.out_path = path("a"), .n_threads = 1};
    StopAfter stop(10, &first);
    EXPECT_TRUE(train(recipe, first).has_value());
    const auto gone_on = train(recipe, {.out_path = path("a"), .resume = true, .n_threads = 2});
    EXPECT_TRUE(gone_on.has_value()) << gone_on.error().message;
    const auto whole = train(recipe, {.out_path = path("b"), .n_threads = 3});
    EXPECT_TRUE(whole.has_value()) << whole.error().message;
    EXPECT_EQ(bytes(path("a")), bytes(path("b")));
    EXPECT_EQ(bytes(path("a.state")), bytes(path("b.state")));
    return whole ? *whole : BaseTrainReport();
  }

  std::string folder_;
};

TEST_F(BaseTrainerTest, MuonGoesOnWhereItWasToo) {
  train_in_two_sittings(recipe_of(
      replaced(kRecipe, "warm_up = 3", "warm_up = 3\noptimizer = muon") + "checkpoint_format = f32\n"));
}

TEST_F(BaseTrainerTest, AveragedWeightsGoOnWhereTheyWereToo) {
  const std::string text = replaced(kRecipe, "warm_up = 3", "warm_up = 3\naverage = 6");
  const BaseTrainReport whole = train_in_two_sittings(recipe_of(text + "checkpoint_format = f32\n"));
  // What is trained is the same with and without; what is made of it, and looked at, is not.
  const auto last = train(recipe_of(std::string(kRecipe) + "checkpoint_format = f32\n"), {.out_path = path("c")});
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->training_loss, whole.training_loss);
  EXPECT_NE(last->held_out_loss, whole.held_out_loss);
  EXPECT_NE(bytes(path("b")), bytes(path("c")));
  const auto state = load_train_state(path("b.state"));
  const auto model = open_gguf(path("b"));
  ASSERT_TRUE(state.has_value() && model.has_value());
  EXPECT_EQ(state->n_averaged, 6);
  auto made = Parameters::create(*model);
  ASSERT_TRUE(made.has_value());
  for (size_t i = 0; i < state->average.size(); ++i) {
    EXPECT_NEAR((*made)->values()[i], state->average[i], 0.004 * std::abs(state->average[i]) + 1e-6) << i;
  }
}

TEST_F(BaseTrainerTest, StoppedAndGoneOnWithIsTheSameRun) {
  for (const char* format : {"f32", "bf16", "small"}) {
    const std::string text = fmt::format("{}checkpoint_format = {}\n", kRecipe, format);
    const BaseRecipe recipe = recipe_of(text);
    const std::string a = path(fmt::format("{}_a", format)), b = path(fmt::format("{}_b", format));
    // Two runs that write a checkpoint after step 10; one goes on, of the other a copy is resumed.
    BaseTrainOptions first{.out_path = a, .n_threads = 1};
    StopAfter stop(10, &first);
    auto report = train(recipe, first);
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_FALSE(report->finished);
    EXPECT_EQ(report->step, 10);
    EXPECT_TRUE(open_gguf(a).has_value()) << "as far as it got";
    report = train(recipe, {.out_path = a, .resume = true, .n_threads = 2});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_TRUE(report->finished);
    EXPECT_EQ(report->step, 20);

    const auto whole = train(recipe, {.out_path = b, .n_threads = 3});
    ASSERT_TRUE(whole.has_value()) << whole.error().message;
    if (std::string_view(format) == "f32") {
      EXPECT_EQ(bytes(a), bytes(b));
      EXPECT_EQ(bytes(a + ".state"), bytes(b + ".state"));
    } else {
      // Rounded running means are another run, but not another result.
      EXPECT_NEAR(report->held_out_loss, whole->held_out_loss, 0.1);
    }
    const auto log = parse_log_lines(bytes(a + ".log.jsonl"), "log");
    ASSERT_TRUE(log.has_value());
    ASSERT_EQ(log->size(), 20u);
    for (size_t i = 0; i < 20; ++i) {
      EXPECT_EQ((*log)[i].step, static_cast<int64_t>(i + 1));
      EXPECT_EQ((*log)[i].held_out.has_value(), i % 5 == 4) << i;
    }
    EXPECT_NE(bytes(a + ".svg").find("unigram"), std::string::npos);
  }
}

// What a checkpoint rounds, the run that wrote it goes on with.
TEST_F(BaseTrainerTest, RoundedStatesAreWhatTheRunGoesOnWith) {
  Checkpoint model;
  const int64_t shape[] = {40, 33};
  auto tensor = model.add_tensor("w", WeightFormat::kF32, shape);
  ASSERT_TRUE(tensor.has_value());
  auto parameters = Parameters::create(model);
  ASSERT_TRUE(parameters.has_value());
  for (const MomentFormat format : {MomentFormat::kF32, MomentFormat::kBF16, MomentFormat::kSmall}) {
    AdamW optimizer({}, {DecayRange{.end = (*parameters)->size(), .decays = true}});
    Rng rng(4);
    for (size_t i = 0; i < (*parameters)->size(); ++i) {
      // Over many powers of ten within one block, and as small as gradients of large models are.
      optimizer.square()[i] = static_cast<float>(1e-16 * std::exp(6 * rng.normal()));
      optimizer.mean()[i] =
          static_cast<float>(rng.normal()) * std::sqrt(optimizer.square()[i]);
    }
    const std::vector<float> mean(optimizer.mean().begin(), optimizer.mean().end());
    const std::vector<float> square(optimizer.square().begin(), optimizer.square().end());
    const TrainPlace place{.step = 7, .n_tokens = 123456789012, .place = {5, 2}};
    WeightAverage average(5);
    average.add(std::vector<float>((*parameters)->size(), 1.0f / 3));
    average.add(std::vector<float>((*parameters)->size(), 2.0f / 3));
    ASSERT_TRUE(save_train_state(path("s"), **parameters, optimizer, &average, format, place, "recipe").has_value());
    const auto state = load_train_state(path("s"));
    ASSERT_TRUE(state.has_value()) << state.error().message;
    EXPECT_EQ(state->place.step, 7);
    EXPECT_EQ(state->place.n_tokens, 123456789012);
    EXPECT_EQ(state->place.place.document, 5u);
    EXPECT_EQ(state->recipe, "recipe");
    EXPECT_TRUE(std::ranges::equal(state->mean, optimizer.mean()));
    EXPECT_TRUE(std::ranges::equal(state->square, optimizer.square()));
    EXPECT_TRUE(std::ranges::equal(state->average, average.values()));
    EXPECT_NEAR(state->average[0], 0.5, 1e-3);
    EXPECT_EQ(state->n_averaged, 2);
    if (format == MomentFormat::kF32) {
      EXPECT_EQ(state->mean, mean);
      EXPECT_EQ(state->square, square);
    }
    for (size_t i = 0; i < square.size(); ++i) {
      // A mean square may grow by rounding, but not vanish: the step is divided by its root.
      // Its root is rounded to a multiple of a step and never below half of one: 1.5 steps may
      // become 1.
      EXPECT_GE(state->square[i], square[i] * (format == MomentFormat::kSmall ? 0.44f : 0.98f));
      // A mean is zero or at most twice what it was: the step, mean over root, grows at most
      // threefold.
      EXPECT_LE(std::abs(state->mean[i]) / std::sqrt(state->square[i]),
                3.1f * std::abs(mean[i]) / std::sqrt(square[i]))
          << i;
    }
  }
}

TEST_F(BaseTrainerTest, LearnsToCopyAndAnswersFromItsFile) {
  // A rate that falls to nothing: at a high one the loss of so small a model jumps.
  const std::string text = replaced(kRecipe, "steps = 20", "steps = 400\nlast_rate = 0");
  const BaseRecipe recipe = recipe_of(replaced(text, "tokens_per_step = 300", "tokens_per_step = 600"));
  const auto report = train(recipe, {.out_path = path("copy.gguf")});
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_LT(report->held_out_loss, 0.5 * report->unigram_loss);
  // The finished file is a model like any other.
  auto checkpoint = open_gguf(path("copy.gguf"));
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  EXPECT_EQ(checkpoint->tensors.at("token_embd.weight").format, WeightFormat::kBF16);
  EXPECT_TRUE(read_model_config(*checkpoint).has_value());
  EXPECT_TRUE(Tokenizer::from_checkpoint(*checkpoint).has_value());
  EXPECT_NE(checkpoint->get_string("agentcompress.recipe")->find("d_model = 32"), std::string::npos);
}

TEST_F(BaseTrainerTest, AnotherRecipeIsRefused) {
  BaseTrainOptions options{.out_path = path("a")};
  StopAfter stop(2, &options);
  ASSERT_TRUE(train(recipe_of(kRecipe), options).has_value());
  const auto other = train(recipe_of(replaced(kRecipe, "warm_up = 3", "warm_up = 4")),
                           {.out_path = path("a"), .resume = true});
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(train(recipe_of(kRecipe), {.out_path = path("none"), .resume = true}).has_value());
}

TEST_F(BaseTrainerTest, AnotherScheduleMayGoOnWhereItIsWanted) {
  BaseTrainOptions options{.out_path = path("a")};
  StopAfter stop(2, &options);
  ASSERT_TRUE(train(recipe_of(kRecipe), options).has_value());
  const BaseTrainOptions go_on{.out_path = path("a"), .resume = true, .new_recipe = true};
  const auto wider = train(recipe_of(replaced(kRecipe, "d_ff = 64", "d_ff = 96")), go_on);
  ASSERT_FALSE(wider.has_value());
  EXPECT_NE(wider.error().message.find("d_ff = 64"), std::string::npos) << wider.error().message;
  const BaseRecipe other = recipe_of(replaced(kRecipe, "learning_rate = 0.01", "learning_rate = 0.005"));
  const auto report = train(other, go_on);
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_EQ(report->step, 20);
  const auto log = parse_log_lines(read_file(path("a.log.jsonl"), 1 << 20).value(), "log");
  ASSERT_TRUE(log.has_value());
  EXPECT_EQ((*log)[1].new_values, "");
  EXPECT_EQ((*log)[2].new_values, "learning_rate = 0.005");
  EXPECT_EQ((*log)[3].new_values, "");
  // What went on has the new recipe from then on.
  EXPECT_TRUE(train(other, {.out_path = path("a"), .resume = true}).has_value());
}

TEST_F(BaseTrainerTest, BeginsWithTheWeightsOfAFile) {
  ASSERT_TRUE(train(recipe_of(kRecipe), {.out_path = path("first")}).has_value());
  const std::string same = replaced(kRecipe, "[model]\n", "[model]\nstart = " + path("first") + "\n");
  const auto known = train(recipe_of(same), {.out_path = path("second")});
  ASSERT_FALSE(known.has_value());
  EXPECT_NE(known.error().message.find("trained with seed = 1"), std::string::npos) << known.error().message;
  // A text has other documents whatever the seed.
  auto of_text = recipe_of(std::string(kRecipe) + "[data]\ntext = some.txt\n");
  ASSERT_TRUE(train(of_text, {.out_path = path("text")}).has_value());
  EXPECT_TRUE(train(recipe_of(replaced(kRecipe, "[model]\n", "[model]\nstart = " + path("text") + "\n")),
                    {.out_path = path("of_text")}).has_value());
  const std::string begins = replaced(same, "warm_up = 3", "warm_up = 3\nseed = 2");
  const auto report = train(recipe_of(begins), {.out_path = path("second")});
  ASSERT_TRUE(report.has_value()) << report.error().message;
  const auto first_loss = [&](const char* name) {
    return parse_log_lines(bytes(path(name) + ".log.jsonl"), "log").value()[0].loss;
  };
  EXPECT_LT(first_loss("second"), first_loss("first"));
  const auto other =
      train(recipe_of(replaced(begins, "d_ff = 64", "d_ff = 96")), {.out_path = path("third")});
  ASSERT_FALSE(other.has_value());
  EXPECT_NE(other.error().message.find("d_ff is 64, the recipe says 96"), std::string::npos)
      << other.error().message;
  EXPECT_FALSE(train(recipe_of(replaced(kRecipe, "[model]\n", "[model]\nstart = /nowhere.gguf\n")),
                     {.out_path = path("fourth")}).has_value());
}

// Another vocabulary begins with what the first one knew of the same text.
TEST_F(BaseTrainerTest, LearnsAnotherVocabularyAnew) {
  ASSERT_TRUE(train(recipe_of(kRecipe), {.out_path = path("first")}).has_value());
  std::string begins = replaced(kRecipe, "[model]\n", "[model]\nstart = " + path("first") + "\n");
  begins = replaced(begins, "vocab = 280", "vocab = 300\nfirst_letters = yes\nrelearn = yes");
  begins = replaced(begins, "warm_up = 3", "warm_up = 3\nseed = 2");
  const auto report = train(recipe_of(begins), {.out_path = path("second")});
  ASSERT_TRUE(report.has_value()) << report.error().message;
  const auto first_loss = [&](const char* name) {
    return parse_log_lines(bytes(path(name) + ".log.jsonl"), "log").value()[0].loss;
  };
  EXPECT_LT(first_loss("second"), first_loss("first"));
  EXPECT_FALSE(parse_base_recipe(replaced(kRecipe, "vocab = 280", "vocab = 280\nrelearn = yes"), "r.ini")
                   .has_value())
      << "there is nothing to take embeddings from";
}

TEST_F(BaseTrainerTest, DamagedStatesAreErrors) {
  BaseTrainOptions options{.out_path = path("a")};
  StopAfter stop(1, &options);
  ASSERT_TRUE(train(recipe_of(kRecipe), options).has_value());
  const std::string good = bytes(path("a.state"));
  Rng rng(6);
  for (int i = 0; i < 60; ++i) {
    std::string bad = good;
    if (i % 2 == 0) {
      bad.resize(static_cast<size_t>(rng.below(good.size())));
    } else {
      bad[static_cast<size_t>(rng.below(4000))] ^= static_cast<char>(1 + rng.below(255));
    }
    ASSERT_TRUE(write_file(path("bad.state"), bad).has_value());
    const auto state = load_train_state(path("bad.state"));  // an error or a state, never a crash
    if (i % 2 == 0) {
      EXPECT_FALSE(state.has_value());
    }
  }
  // A model is no training state.
  Checkpoint model;
  model.set_string("general.architecture", "llama");
  const auto writer = create_file(path("m.gguf"));
  ASSERT_TRUE(write_gguf(model, **writer).has_value() && (*writer)->commit().has_value());
  const auto state = load_train_state(path("m.gguf"));
  ASSERT_FALSE(state.has_value());
  EXPECT_NE(state.error().message.find("not a training state"), std::string::npos);
}

// Every other write fails: there is an error, and what was there before is whole.
TEST_F(BaseTrainerTest, AFullDiskLeavesTheLastCheckpoint) {
  BaseTrainOptions options{.out_path = path("a")};
  StopAfter stop(3, &options);
  ASSERT_TRUE(train(recipe_of(kRecipe), options).has_value());
  const std::string before = bytes(path("a.state"));
  set_file_writer_factory_for_tests([](const std::string& name) -> Result<std::unique_ptr<FileWriter>> {
    return fail(ErrorCode::kIo, "{}: no space left on device", name);
  });
  const auto report = train(recipe_of(kRecipe), {.out_path = path("a"), .resume = true});
  set_file_writer_factory_for_tests(nullptr);
  ASSERT_FALSE(report.has_value());
  EXPECT_EQ(report.error().code, ErrorCode::kIo);
  EXPECT_EQ(bytes(path("a.state")), before);
}

TEST_F(BaseTrainerTest, ALearningRateThatIsTooHighIsAnError) {
  const auto report = train(recipe_of(replaced(kRecipe, "learning_rate = 0.01",
                                               "learning_rate = 1\nclip = 1000000\nbeta2 = 0")),
                            {.out_path = path("a")});
  // Norms keep such a model finite for long; if it breaks, it says so.
  if (!report.has_value()) {
    EXPECT_NE(report.error().message.find("learning rate"), std::string::npos);
  }
}

// A real text: in a few hundred small steps the model knows more than frequencies.
TEST_F(BaseTrainerTest, ATextbookBeatsUnigrams) {
  const auto text = read_file(AC_SHARED_DATA "/text/openstax/microbiology.txt", 64u << 20);
  if (!text) GTEST_SKIP() << text.error().message;
  const std::string_view some = std::string_view(*text).substr(0, 400000);
  using Part = TextDocuments::Part;
  const auto training = TextDocuments::create(some, Part::kTraining, "microbiology");
  const auto held_out = TextDocuments::create(some, Part::kHeldOut, "microbiology");
  ASSERT_TRUE(training.has_value() && held_out.has_value());
  std::string recipe = replaced(kRecipe, "vocab = 280", "vocab = 512");
  recipe = replaced(recipe, "steps = 20", "steps = 150");
  recipe = replaced(recipe, "tokens_per_step = 300", "tokens_per_step = 1024");
  recipe = replaced(recipe, "tokens_per_pack = 150", "tokens_per_pack = 512");
  recipe = replaced(recipe, "evaluate_tokens = 500", "evaluate_tokens = 4000");
  const auto report =
      train_base(recipe_of(recipe), **training, **held_out, {.out_path = path("text.gguf")});
  ASSERT_TRUE(report.has_value()) << report.error().message;
  EXPECT_LT(report->held_out_loss, report->unigram_loss - 0.3);
}

}  // namespace
}  // namespace ac
