// The forward pass of every family on the plain backend, against the double-precision reference.
// Both compute in double; what they differ by is the rotation's frequencies, which a backend gets
// as f32: a relative 2^-24 of an angle of up to n_context radians, so below (96 * 6e-8)^2 = 4e-11
// in NMSE.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "models/arch/model.h"
#include "tests/support/compare.h"
#include "tests/support/plain_backend.h"
#include "tests/support/random_model.h"
#include "tests/support/reference_decoder.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

using test::random_model;
using test::RandomModelOptions;

constexpr double kBound = 4e-11;
constexpr int32_t kVocab = 101;

struct Case {
  std::string_view family;
  std::string_view kind;
};

RandomModelOptions options_of(const Case& c) {
  RandomModelOptions options{.family = c.family, .seed = 7};
  if (c.kind == "per_layer") options.per_layer = true;
  if (c.kind == "low_rank") options.low_rank = options.untied = true;
  if (c.kind == "stretched") options.stretched = true;
  if (c.kind == "everything") {
    options.per_layer = options.low_rank = options.untied = options.stretched = true;
    options.seed = 8;
  }
  return options;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (std::string_view family : test::random_model_families()) {
    for (std::string_view kind : {"plain", "per_layer", "low_rank", "stretched", "everything"}) {
      all.push_back({family, kind});
    }
  }
  return all;
}

class Decoder : public testing::TestWithParam<Case> {};

TEST_P(Decoder, AgreesWithTheReference) {
  const Checkpoint checkpoint = random_model(options_of(GetParam()));
  const std::vector<int32_t> tokens = test::random_tokens(40, kVocab, 3);
  const std::vector<double> expected = test::reference_logits(checkpoint, tokens);
  for (int32_t chunk : {0, 1, 7}) {
    auto backend = test::make_plain_backend();
    const auto actual = test::run_logits(checkpoint, *backend, tokens, {.chunk = chunk});
    ASSERT_TRUE(actual.has_value()) << actual.error().message;
    EXPECT_LE(test::nmse<float>(*actual, std::span<const double>(expected)), kBound) << chunk;
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFamily, Decoder, testing::ValuesIn(cases()), [](const auto& test) {
  return std::string(test.param.family) + "_" + std::string(test.param.kind);
});

// A test of the reference and of the bound: a small change to the mathematics must show.
TEST(DecoderBound, SeesSmallMistakes) {
  const Checkpoint checkpoint = random_model({.family = "gemma3", .seed = 7});
  const std::vector<int32_t> tokens = test::random_tokens(40, kVocab, 3);
  const std::vector<double> expected = test::reference_logits(checkpoint, tokens);
  for (const auto& [key, value] : std::vector<std::pair<std::string, float>>{
           {"gemma3.rope.freq_base_swa", 10010.0f},
           {"gemma3.rope.freq_base", 1.001e6f},
           {"gemma3.attention.layer_norm_rms_epsilon", 2e-5f},
           {"gemma3.attention.scale", 0.2673f}}) {
    Checkpoint changed = random_model({.family = "gemma3", .seed = 7});
    changed.set_float(key, value);
    auto backend = test::make_plain_backend();
    const auto actual = test::run_logits(changed, *backend, tokens);
    ASSERT_TRUE(actual.has_value()) << actual.error().message;
    EXPECT_GT(test::nmse<float>(*actual, std::span<const double>(expected)), kBound) << key;
  }
  Checkpoint windowed = random_model({.family = "gemma3", .seed = 7});
  windowed.set_uint("gemma3.attention.sliding_window", 8);
  auto backend = test::make_plain_backend();
  const auto actual = test::run_logits(windowed, *backend, tokens);
  ASSERT_TRUE(actual.has_value()) << actual.error().message;
  EXPECT_GT(test::nmse<float>(*actual, std::span<const double>(expected)), kBound);
}

// The largest Gemmas scale attention by the model's width; the layer count tells them.
TEST(Decoder, ScalesAttentionOfTheLargestGemmas) {
  for (const auto& [family, n_layers] :
       std::vector<std::pair<std::string_view, int32_t>>{{"gemma2", 46}, {"gemma3", 62}}) {
    const Checkpoint checkpoint = random_model({.family = family, .n_layers = n_layers});
    const std::vector<int32_t> tokens = test::random_tokens(12, kVocab, 3);
    auto backend = test::make_plain_backend();
    const auto actual = test::run_logits(checkpoint, *backend, tokens);
    ASSERT_TRUE(actual.has_value()) << actual.error().message;
    const std::vector<double> expected = test::reference_logits(checkpoint, tokens);
    EXPECT_LE(test::nmse<float>(*actual, std::span<const double>(expected)), kBound);
    const auto config = read_model_config(checkpoint);
    ASSERT_TRUE(config.has_value());
    EXPECT_FLOAT_EQ(config->attention_scale, 1 / std::sqrt(10.0f));  // d_model 60 over 6 heads
  }
}

// LongRoPE's short factors serve contexts up to the original one.
TEST(Decoder, ChoosesFactorsByTheContext) {
  const Checkpoint checkpoint = random_model({.family = "phi3", .stretched = true});
  const std::vector<int32_t> tokens = test::random_tokens(20, kVocab, 3);
  std::vector<std::vector<float>> answers;
  for (int32_t n_context : {24, 25}) {
    auto backend = test::make_plain_backend();
    const auto actual = test::run_logits(checkpoint, *backend, tokens, {.n_context = n_context});
    ASSERT_TRUE(actual.has_value()) << actual.error().message;
    const std::vector<double> expected = test::reference_logits(checkpoint, tokens, n_context);
    EXPECT_LE(test::nmse<float>(*actual, std::span<const double>(expected)), kBound) << n_context;
    answers.push_back(*actual);
  }
  EXPECT_GT(test::nmse<float>(answers[0], std::span<const float>(answers[1])), 1e-6);
}

// Only the rows asked for are computed, and they are the same.
TEST(Decoder, SelectsLogitRows) {
  for (std::string_view family : test::random_model_families()) {
    const Checkpoint checkpoint = random_model({.family = family, .per_layer = true});
    const std::vector<int32_t> tokens = test::random_tokens(9, kVocab, 5);
    const std::vector<double> all = test::reference_logits(checkpoint, tokens);
    auto backend = test::make_plain_backend();
    auto model = load_model(checkpoint, *backend);
    ASSERT_TRUE(model.has_value()) << model.error().message;
    ASSERT_TRUE(backend->create_kv(model->config.kv_shape(2, 16, KvFormat::kF32)).has_value());
    const std::vector<int32_t> positions = {0, 1, 2, 3, 4, 5, 6, 7, 8};
    const std::vector<int32_t> slots(9, 1);
    const std::span<const int32_t> t(tokens);
    const std::span<const int32_t> p(positions);
    const std::span<const int32_t> s(slots);
    // Six tokens fill the cache only; of the last three, the first and the last are wanted.
    backend->begin_step({.tokens = t.first(6), .positions = p.first(6), .slots = s.first(6)});
    EXPECT_EQ(forward(*backend, *model, {}).id, -1);
    ASSERT_TRUE(backend->end_step().has_value());
    backend->begin_step({.tokens = t.last(3), .positions = p.last(3), .slots = s.last(3)});
    const int32_t rows[] = {0, 2};
    const Value out = forward(*backend, *model, rows);
    ASSERT_TRUE(backend->end_step().has_value());
    EXPECT_EQ(out.n_rows, 2);
    const std::span<const float> actual = backend->read(out);
    std::vector<double> expected(all.begin() + 6 * kVocab, all.begin() + 7 * kVocab);
    expected.insert(expected.end(), all.begin() + 8 * kVocab, all.end());
    EXPECT_LE(test::nmse(actual, std::span<const double>(expected)), kBound) << family;
  }
}

}  // namespace
}  // namespace ac
