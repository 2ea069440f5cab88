// forward() on the tape: logits and gradients of whole small models of every family.
#include <gtest/gtest.h>

#include <cmath>

#include "models/arch/model.h"
#include "tests/support/random_model.h"
#include "tests/train/tape_harness.h"

namespace ac::test {
namespace {

// Step and tolerance of central differences. The plain backend computes in double and rounds logits
// to f32: with |logits| below 8 a loss is off by at most 2^-24 * 8 = 5e-7, a slope by 5e-7 / step.
// The step is along a unit vector; a third derivative of order 10 adds step^2 * 10 / 6. The
// gradient itself is f32: a few hundred roundings of 6e-8 each in sums of some hundred terms.
// Relative to lengths of gradients of 0.02 and more, 2e-3 is above all of them with step 4e-3.
constexpr double kStep = 4e-3;
constexpr double kTolerance = 4e-3;

Load load_rows(std::vector<int32_t> rows, int32_t n_slots, int32_t n_context) {
  return [rows = std::move(rows), n_slots, n_context](Backend& backend,
                                                      const Checkpoint& checkpoint) -> Text {
    Result<Model> loaded = load_model(checkpoint, backend);
    AC_CHECK(loaded.has_value());
    auto model = std::make_shared<Model>(std::move(*loaded));
    AC_CHECK(backend.create_kv(model->config.kv_shape(n_slots, n_context, KvFormat::kF32))
                 .has_value());
    return [model, rows](Backend& on) { return forward(on, *model, rows); };
  };
}

std::vector<int32_t> all_rows(size_t n, int32_t without = -1) {
  std::vector<int32_t> rows;
  for (int32_t i = 0; i < static_cast<int32_t>(n); ++i) {
    if (i != without) rows.push_back(i);
  }
  return rows;
}

struct Case {
  RandomModelOptions model;
  bool leaves_out_a_row = false;
};

TapeHarness harness_of(const Case& c, TapeOptions options = {}, int n_threads = 2) {
  const TestBatch batch({5, 1, 11}, 101, 3);
  auto parameters = Parameters::create(random_model(c.model));
  AC_CHECK(parameters.has_value());
  return TapeHarness(std::move(*parameters),
                     load_rows(all_rows(batch.tokens.size(), c.leaves_out_a_row ? 2 : -1),
                               batch.n_slots, batch.longest),
                     batch, options, n_threads);
}

class TapeModelTest : public ::testing::TestWithParam<std::string_view> {};

TEST_P(TapeModelTest, LogitsAreThoseOfThePlainBackend) {
  for (const bool per_layer : {false, true}) {
    TapeHarness harness = harness_of(
        {.model = {.family = GetParam(), .per_layer = per_layer, .low_rank = per_layer}});
    const std::vector<float> expected = harness.plain_logits();
    const std::vector<float> actual = harness.tape_logits();
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_NEAR(actual[i], expected[i], 1e-4f * (1 + std::abs(expected[i]))) << i;
    }
  }
}

TEST_P(TapeModelTest, GradientsAreThoseOfFiniteDifferences) {
  harness_of({.model = {.family = GetParam()}}).check_gradients(kStep, kTolerance);
}

TEST_P(TapeModelTest, GradientsOfPrunedLowRankModels) {
  harness_of({.model = {.family = GetParam(), .per_layer = true, .low_rank = true, .untied = true},
              .leaves_out_a_row = true})
      .check_gradients(kStep, kTolerance);
}

TEST(TapeModel, TeacherAndTargetsTogether) {
  TapeHarness harness = harness_of({.model = {.family = "gemma2"}});
  std::vector<float> teacher = harness.plain_logits();
  Rng rng(21);
  for (float& logit : teacher) logit += static_cast<float>(rng.normal());
  const StepLoss loss = harness.tape_step(teacher);
  EXPECT_GT(loss.divergence, 0.01);
  harness.check_gradients(kStep, kTolerance, teacher);
}

TEST(TapeModel, ATeacherWithTheSameLogitsTeachesNothing) {
  TapeHarness harness = harness_of({.model = {.family = "llama"}});
  const StepLoss loss = harness.tape_step(harness.tape_logits());
  EXPECT_NEAR(loss.divergence, 0, 1e-6);
}

TEST(TapeModel, ForwardPassGivesTheSameLossAndNoGradient) {
  TapeHarness harness = harness_of({.model = {.family = "qwen3"}});
  const double loss = harness.tape_step().cross_entropy;
  harness.tape().set_pass(TapeBackend::Pass::kForward);
  const double forward_only = harness.tape_step().cross_entropy;
  EXPECT_NEAR(forward_only, loss, 1e-6 * loss);
  for (const float g : harness.parameters().gradients()) ASSERT_EQ(g, 0.0f);
}

// A model large enough for several chunks, blocks of attention and pieces of gradients.
RandomModelOptions wide_model() { return {.family = "llama", .whole_blocks = true, .n_context = 200}; }

TapeHarness wide_harness(TapeOptions options, int n_threads) {
  const TestBatch batch({150, 3, 70, 129}, 101, 9);
  auto parameters = Parameters::create(random_model(wide_model()));
  AC_CHECK(parameters.has_value());
  return TapeHarness(std::move(*parameters),
                     load_rows(all_rows(batch.tokens.size()), batch.n_slots, batch.longest), batch,
                     options, n_threads);
}

std::vector<float> gradients_of(TapeHarness& harness, double* loss) {
  *loss = harness.tape_step().cross_entropy;
  const std::span<const float> gradients = harness.parameters().gradients();
  return {gradients.begin(), gradients.end()};
}

std::vector<cpu::GemmKind> gemm_kinds() {
  std::vector<cpu::GemmKind> kinds = {cpu::GemmKind::kF32};
  if (cpu::Gemm::best_kind(test_isa()) == cpu::GemmKind::kBf16) kinds.push_back(cpu::GemmKind::kBf16);
  return kinds;
}

TEST(TapeModel, AnyNumberOfThreadsGivesTheSameBits) {
  for (const cpu::GemmKind kind : gemm_kinds()) {
    double loss = 0, other_loss = 0;
    TapeHarness one = wide_harness({.gemm = kind, .chunk_rows = 64}, 1);
    const std::vector<float> expected = gradients_of(one, &loss);
    for (const int n_threads : {2, 3, 7}) {
      TapeHarness many = wide_harness({.gemm = kind, .chunk_rows = 64}, n_threads);
      EXPECT_EQ(gradients_of(many, &other_loss), expected) << n_threads << " threads";
      EXPECT_EQ(other_loss, loss);
    }
  }
}

// The last segment goes forward and back chunk by chunk, so what one chunk writes on its way back must not lie where
// others still read on theirs forward. Widths that differ are what shows it: heads fewer or more than the stream.
TEST_P(TapeModelTest, ManyChunksAreOneChunk) {
  const TestBatch batch({150, 3, 70, 129}, 101, 9);
  for (const bool per_layer : {false, true}) {
    for (const bool low_rank : {false, true}) {
      for (const int32_t every : {1, 2, 5}) {
        SCOPED_TRACE(fmt::format("per_layer {} low_rank {} rows 1 in {}", per_layer, low_rank, every));
        std::vector<int32_t> rows;
        for (int32_t i = 0; i < static_cast<int32_t>(batch.tokens.size()); i += every) rows.push_back(i);
        const auto harness_of_chunks = [&](int32_t chunk_rows) {
          auto parameters = Parameters::create(random_model(
              {.family = GetParam(), .per_layer = per_layer, .low_rank = low_rank, .n_context = 200}));
          AC_CHECK(parameters.has_value());
          return TapeHarness(std::move(*parameters), load_rows(rows, batch.n_slots, batch.longest), batch,
                             {.gemm = cpu::GemmKind::kF32, .chunk_rows = chunk_rows}, 1);
        };
        double loss = 0, other_loss = 0;
        TapeHarness one = harness_of_chunks(512), many = harness_of_chunks(64);
        const std::vector<float> expected = gradients_of(one, &loss);
        const std::vector<float> actual = gradients_of(many, &other_loss);
        EXPECT_NEAR(other_loss, loss, 1e-5 * loss);
        for (const Parameters::Entry& entry : one.parameters().entries()) {
          double difference = 0, length = 0;
          for (size_t i = entry.offset; i < entry.offset + entry.size; ++i) {
            difference +=
                std::pow(static_cast<double>(actual[i]) - static_cast<double>(expected[i]), 2);
            length += std::pow(static_cast<double>(expected[i]), 2);
          }
          EXPECT_LE(std::sqrt(difference), 1e-4 * std::sqrt(length)) << entry.name;
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, TapeModelTest, ::testing::ValuesIn(random_model_families()),
                         [](const auto& each) { return std::string(each.param); });

// bf16 rounds each factor of a product by up to 2^-9, at random: a gradient is a chain of about 30
// products, so it is off by sqrt(2 * 30) * 2^-9 / sqrt(3) = 0.9 % in length, allow thrice.
TEST(TapeModel, Bf16GradientsAreNearF32Ones) {
  if (gemm_kinds().size() < 2) GTEST_SKIP() << test_isa().name << " has no bf16 products";
  double loss = 0, other_loss = 0;
  TapeHarness exact = wide_harness({.gemm = cpu::GemmKind::kF32}, 2);
  TapeHarness rounded = wide_harness({.gemm = cpu::GemmKind::kBf16}, 2);
  const std::vector<float> expected = gradients_of(exact, &loss);
  const std::vector<float> actual = gradients_of(rounded, &other_loss);
  EXPECT_NEAR(other_loss, loss, 0.01 * loss);
  for (const Parameters::Entry& entry : exact.parameters().entries()) {
    double difference = 0, length = 0;
    for (size_t i = entry.offset; i < entry.offset + entry.size; ++i) {
      difference += std::pow(static_cast<double>(actual[i]) - static_cast<double>(expected[i]), 2);
      length += std::pow(static_cast<double>(expected[i]), 2);
    }
    EXPECT_LT(std::sqrt(difference), 0.03 * std::sqrt(length)) << entry.name;
  }
}

TEST(TapeModel, VisitorsSeeEveryRowOnce) {
  TapeHarness harness = wide_harness({.chunk_rows = 64}, 2);
  const std::vector<float> expected = harness.tape_logits();
  const TestBatch batch({150, 3, 70, 129}, 101, 9);
  const size_t n_cols = expected.size() / batch.tokens.size();
  std::vector<float> seen(expected.size(), std::nanf(""));
  const Text text = load_rows(all_rows(batch.tokens.size()), batch.n_slots, batch.longest)(
      harness.tape(), harness.parameters().checkpoint());
  harness.tape().begin_step(batch.batch());
  harness.tape().visit_rows(text(harness.tape()), [&](int32_t begin, std::span<const float> rows) {
    std::ranges::copy(rows, seen.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(begin) * n_cols));
  });
  ASSERT_TRUE(harness.tape().end_step().has_value());
  EXPECT_EQ(seen, expected);
}

// Weights outside the parameters are frozen: no gradient, and what lies below still gets its own.
TEST(TapeModel, FrozenWeightsOfAnyFormat) {
  const Checkpoint base = random_model({.family = "llama", .format = WeightFormat::kQ8_0});
  Checkpoint trained;
  AC_CHECK(trained.add_tensor("token_embd.weight", WeightFormat::kF32,
                              base.tensors.at("token_embd.weight").axes())
               .has_value());
  auto parameters = Parameters::create(trained);
  ASSERT_TRUE(parameters.has_value());
  Rng rng(3);
  for (float& value : (*parameters)->values()) value = static_cast<float>(rng.normal());
  const TestBatch batch({9, 5}, 101, 3);
  Checkpoint mixed = random_model({.family = "llama", .format = WeightFormat::kQ8_0});
  mixed.set_tensor("token_embd.weight", *(*parameters)->checkpoint().tensor("token_embd.weight"));
  const Load load = load_rows(all_rows(batch.tokens.size()), batch.n_slots, batch.longest);
  TapeHarness harness(std::move(*parameters),
                      [&](Backend& backend, const Checkpoint&) { return load(backend, mixed); },
                      batch);
  harness.check_gradients(kStep, kTolerance);
}

}  // namespace
}  // namespace ac::test
