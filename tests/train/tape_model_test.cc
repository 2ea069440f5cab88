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

INSTANTIATE_TEST_SUITE_P(Families, TapeModelTest, ::testing::ValuesIn(random_model_families()),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace ac::test
