// The draft gate: what it reads, its arithmetic against a plain loop, the path of a prompt, its file.
#include "models/predictor/draft_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "models/predictor/gates.h"
#include "models/predictor/network.h"
#include "models/store/gguf.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

constexpr int32_t kHidden = 3;

DraftSignals some_signals() {
  DraftSignals signals;
  signals.entropy = 0.7f;
  signals.margin = 1.5f;
  signals.hidden = {3, 0, -4};
  signals.mean_logprob = -0.2f;
  signals.low_logprob = -0.9f;
  signals.least_logprob = -2;
  signals.n_tokens = 12;
  signals.n_ungrounded = 1;
  return signals;
}

DraftGate::Parts some_parts(size_t n_rows = 0) {
  Rng rng(5);
  DraftGate::Parts parts;
  parts.variants = {"small", "medium"};
  parts.seconds = {"medium", "small"};
  parts.n_hidden = kHidden;
  for (int s = 0; s < kDraftStages; ++s) {
    const size_t n = 2 * (draft_features_count(static_cast<DraftStage>(s), kHidden) + 1);
    DraftGate::Stage stage;
    for (size_t i = 0; i < n; ++i) {
      stage.variant.push_back(static_cast<float>(rng.uniform() - 0.5));
      stage.full.push_back(static_cast<float>(rng.uniform() - 0.5));
    }
    parts.stages.push_back(std::move(stage));
  }
  parts.gains.resize(n_rows * 2 * kDraftStages, 0.25f);
  return parts;
}

NgramGate ngram_gate(size_t n_rows) {
  NgramGate::Parts parts;
  parts.tiers = {"small", "medium", "full"};
  parts.weights.resize(kNgramBuckets * 3);
  parts.bias = {0, 1, 2};
  parts.seen.assign(kSeenBits / 32, 0);
  parts.calibration.n_tiers = 3;
  parts.calibration.predicted.resize(n_rows * 3, 0.5f);
  parts.calibration.earned.resize(n_rows * 3, 1.0f);
  return NgramGate::create(std::move(parts)).value();
}

Checkpoint file_of(const NgramGate& gate, const DraftGate* drafts) {
  Predictor::Parts paper;
  paper.tiers = {"small", "medium", "full"};
  paper.parameters.resize(static_cast<size_t>(predictor::offsets_for(3).total));
  paper.scale = {1, 1, 1};
  paper.shift = {0, 0, 0};
  Checkpoint checkpoint = Predictor::create(std::move(paper)).value().to_checkpoint();
  EXPECT_TRUE(gate.add_to(checkpoint));
  if (drafts != nullptr) {
    EXPECT_TRUE(drafts->add_to(checkpoint));
  }
  return checkpoint;
}

TEST(DraftFeatures, EveryStageKnowsMore) {
  const DraftSignals signals = some_signals();
  size_t before = 0;
  for (int s = 0; s < kDraftStages; ++s) {
    const auto stage = static_cast<DraftStage>(s);
    const auto x = draft_features(stage, 0.5f, 1, signals, {.same = true, .overlap = 0.5f});
    EXPECT_EQ(x.size(), draft_features_count(stage, kHidden));
    EXPECT_GT(x.size(), before);
    before = x.size();
    EXPECT_EQ(x[0], 0.5f);
    EXPECT_EQ(x[1], 1);
    // The direction of the hidden state, last.
    EXPECT_FLOAT_EQ(x[x.size() - 3], 0.6f);
    EXPECT_FLOAT_EQ(x[x.size() - 1], -0.8f);
  }
}

TEST(DraftFeatures, AreFiniteWhateverIsShown) {
  DraftSignals signals;
  signals.entropy = -1;
  signals.margin = INFINITY;
  signals.mean_logprob = 1;
  signals.least_logprob = -1e30f;
  signals.hidden = {0, 0, 0};
  for (int s = 0; s < kDraftStages; ++s) {
    for (const float value : draft_features(static_cast<DraftStage>(s), 0, 0, signals, {})) {
      EXPECT_TRUE(std::isfinite(value));
    }
  }
}

TEST(DraftGate, IsAPairOfLogisticRegressions) {
  const DraftGate::Parts parts = some_parts();
  const DraftGate gate = DraftGate::create(parts).value();
  const DraftSignals signals = some_signals();
  const Prediction prediction{{0.3f, 0.6f, 0.9f}};
  for (int s = 0; s < kDraftStages; ++s) {
    const auto stage = static_cast<DraftStage>(s);
    for (size_t variant = 0; variant < 2; ++variant) {
      const auto success =
          gate.predict(stage, variant, prediction, signals, {.same = false, .overlap = 0.25f});
      const auto x = draft_features(stage, gate_logit(prediction.success[variant]),
                                    gate_logit(0.9f), signals, {.overlap = 0.25f});
      const auto expected = [&](const std::vector<float>& heads) {
        const float* head = &heads[variant * (x.size() + 1)];
        double z = static_cast<double>(head[x.size()]);
        for (size_t i = 0; i < x.size(); ++i) z += static_cast<double>(head[i] * x[i]);
        return 1 / (1 + std::exp(-z));
      };
      const auto& heads = parts.stages[static_cast<size_t>(s)];
      EXPECT_NEAR(success.variant, expected(heads.variant), 1e-5);
      EXPECT_NEAR(success.full, expected(heads.full), 1e-5);
    }
  }
  EXPECT_EQ(gate.find_variant("medium"), 1);
  EXPECT_EQ(gate.find_variant("full"), -1);
}

TEST(DraftGate, MayLeaveTheHiddenStateOut) {
  DraftGate::Parts parts = some_parts();
  parts.n_hidden = 0;
  for (int s = 0; s < kDraftStages; ++s) {
    const size_t n = 2 * (draft_features_count(static_cast<DraftStage>(s), 0) + 1);
    parts.stages[static_cast<size_t>(s)].variant.resize(n);
    parts.stages[static_cast<size_t>(s)].full.resize(n);
  }
  const DraftGate gate = DraftGate::create(parts).value();
  const Prediction prediction{{0.3f, 0.6f, 0.9f}};
  DraftSignals without = some_signals();
  without.hidden.clear();
  EXPECT_EQ(gate.predict(DraftStage::kDraft, 0, prediction, some_signals()).variant,
            gate.predict(DraftStage::kDraft, 0, prediction, without).variant);
}

TEST(DraftPath, GoesAsFarAsItIsAllowed) {
  const std::vector<float> gains = {0.2f, 0.1f, 0.05f, 0.9f, 0.1f, 0.05f};  // probe, draft, second
  // 0.4 more is too much even before anything is written.
  const std::vector<float> predicted = {0.5f, 0.5f, 0.9f};
  EXPECT_EQ(draft_path(predicted, gains, {0.05}, {}).tier, 2u);
  EXPECT_FALSE(draft_path(predicted, gains, {0.05}, {}).drafted);
  // 0.2 more of the dearer variant is not, but then the probe is.
  const std::vector<float> dearer_is_better = {0.5f, 0.7f, 0.9f};
  EXPECT_EQ(draft_path(dearer_is_better, gains, {0.05}, {}).tier, 2u);
  EXPECT_FALSE(draft_path(dearer_is_better, gains, {0.05}, {}).drafted);
  EXPECT_TRUE(draft_path(dearer_is_better, gains, {0.05}, {.probe = false}).drafted);
  const DraftPath kept = draft_path(predicted, gains, {0.12}, {});
  EXPECT_EQ(kept.tier, 0u);
  EXPECT_TRUE(kept.drafted);
  EXPECT_FALSE(kept.asked_second);
  const std::vector<float> doubtful = {0.2f, 0.3f, 0.05f, 0.9f, 0.1f, 0.05f};
  const DraftPath thrown = draft_path(predicted, doubtful, {0.12}, {});
  EXPECT_EQ(thrown.tier, 2u);
  EXPECT_TRUE(thrown.drafted);
  const DraftPath saved = draft_path(predicted, doubtful, {0.12}, {.second = true});
  EXPECT_EQ(saved.tier, 0u);
  EXPECT_TRUE(saved.asked_second);
}

// The tiers are 0.75, 0.94 and the full model's 0.95: the second is asked, the first drafts.
TEST(DraftPath, ACheaperVariantDraftsFirstInACascade) {
  const std::vector<float> predicted = {0.75f, 0.94f, 0.95f};
  const auto path = [&](float probe, float draft, std::optional<double> cascade,
                        DraftUse use = {}) {
    return draft_path(predicted, std::vector<float>{probe, draft, 0, 0, 0, 0}, {0.3, cascade}, use);
  };
  EXPECT_EQ(path(0.1f, 0.1f, 0.15).tier, 0u);
  // It is held to its own allowance.
  EXPECT_EQ(path(0.1f, 0.16f, 0.15).tier, 1u);
  EXPECT_EQ(path(0.1f, 0.1f, 0.14).tier, 1u) << "0.2 more are too much for the prompt alone";
  // It is stopped once it has read the prompt, unless nobody looks.
  EXPECT_EQ(path(0.21f, 0.1f, 0.15).tier, 1u);
  EXPECT_EQ(path(0.21f, 0.1f, 0.15, {.probe = false}).tier, 0u);
  EXPECT_EQ(path(0.1f, 0.1f, 0.15, {.cascade = false}).tier, 1u);
  EXPECT_EQ(path(0.1f, 0.1f, std::nullopt).tier, 1u);
  // What it wrote in vain was written, even where the variant after it does not answer either.
  const std::vector<float> in_vain = {0, 0.9f, 0, 0.9f, 0, 0};
  EXPECT_EQ(draft_path(predicted, in_vain, {0.3, 0.15}, {}).tier, 2u);
  EXPECT_TRUE(draft_path(predicted, in_vain, {0.3, 0.15}, {}).drafted);
  EXPECT_FALSE(draft_path(predicted, in_vain, {0.3}, {}).drafted);
}

TEST(DraftPath, WhatIsUsuallyWorseOnlyDrafts) {
  const std::vector<float> predicted = {0.94f, 0.94f, 0.95f};
  const std::vector<float> gains = {0, 0.08f, 0, 0, 0.01f, 0};
  EXPECT_EQ(draft_path(predicted, gains, {0.1}, {}).tier, 0u);
  EXPECT_EQ(draft_path(predicted, gains, {0.1}, {}, 1).tier, 1u);
  EXPECT_EQ(draft_path(predicted, gains, {0.1, 0.05}, {}, 1).tier, 1u);
  EXPECT_EQ(draft_path(predicted, gains, {0.1, 0.09}, {}, 1).tier, 0u);
  const CalibrationTable table{.n_tiers = 3,
                               .predicted = {0, 0, 0, 0, 0, 0},
                               .earned = {0, 1, 1, 1, 1, 1}};
  EXPECT_EQ(usual_variant(table), 1u);
  EXPECT_EQ(usual_variant(CalibrationTable{}), 0u);
}

TEST(CascadeTier, IsTheCheapestThatIsGoodEnough) {
  const auto tier = [](const std::vector<double>& success, size_t chosen) {
    return cascade_tier(std::span<const double>(success), chosen, 0.15);
  };
  EXPECT_EQ(tier({0.5, 0.8, 0.9, 0.95}, 2), 1u);
  EXPECT_EQ(tier({0.8, 0.8, 0.9, 0.95}, 2), 0u);
  EXPECT_EQ(tier({0.5, 0.6, 0.9, 0.95}, 2), 2u);
  EXPECT_EQ(tier({0.9, 0.95}, 0), 0u);
  EXPECT_EQ(tier({std::nan(""), 0.6, 0.9, 0.95}, 2), 2u);
}

// Drafts that show whether they are right are worth more than the prompt alone.
TEST(DraftGuarantee, KeepsMoreWhereDraftsShowIt) {
  Rng rng(3);
  CalibrationTable table{.n_tiers = 2, .predicted = {}, .earned = {}};
  std::vector<float> gains;
  constexpr size_t kRows = 3000;
  for (size_t i = 0; i < kRows; ++i) {
    const bool right = rng.uniform() < 0.7;
    table.predicted.insert(table.predicted.end(), {0.7f, 1.0f});
    table.earned.insert(table.earned.end(), {right ? 1.0f : 0.0f, 1.0f});
    const float shown = right ? 0.02f : 0.9f;
    gains.insert(gains.end(), {0.3f, shown, shown});
  }
  const Guarantee prompt_alone = guarantee(table, 0.95, 0.9);
  EXPECT_EQ(prompt_alone.kept, 0);
  const Guarantee drafted = draft_guarantee(table, gains, {}, 0.95, 0.9);
  ASSERT_TRUE(drafted.allowance);
  EXPECT_NEAR(drafted.kept, 0.7, 0.03);
  EXPECT_EQ(drafted.retained, 1);
}

// Once nothing goes to the full model any more, what is left to lose goes to the cascade.
TEST(DraftGuarantee, GivesTheCascadeWhatIsLeft) {
  Rng rng(4);
  const auto table_of = [&](double dear_is_right) {
    CalibrationTable table{.n_tiers = 3, .predicted = {}, .earned = {}};
    for (size_t i = 0; i < 4000; ++i) {
      table.predicted.insert(table.predicted.end(), {0.93f, 0.99f, 1.0f});
      table.earned.insert(table.earned.end(), {i % 4 != 0 ? 1.0f : 0.0f,
                                               rng.uniform() < dear_is_right ? 1.0f : 0.0f, 1.0f});
    }
    return table;
  };
  // The cheap one's draft shows roughly whether it is right.
  std::vector<float> gains;
  for (size_t i = 0; i < 4000; ++i) {
    const float shown = i % 4 == 0 ? 0.05f + 0.1f * static_cast<float>(rng.uniform()) : 0.03f;
    gains.insert(gains.end(), {0, shown, 0, 0, 0, 0});
  }
  const Guarantee good = draft_guarantee(table_of(0.99), gains, {}, 0.95, 0.9);
  ASSERT_TRUE(good.allowance && good.cascade);
  EXPECT_GE(*good.cascade, 0.04);
  EXPECT_LT(*good.cascade, 0.09);
  EXPECT_EQ(good.kept, 1);
  EXPECT_GE(good.retained, 0.95);
  EXPECT_FALSE(draft_guarantee(table_of(0.99), gains, {.cascade = false}, 0.95, 0.9).cascade);
  // The dear one uses up the promise; the cascade's drafts, which are better here, are not reached.
  EXPECT_FALSE(draft_guarantee(table_of(0.9), gains, {}, 0.95, 0.9).cascade);
}

TEST(DraftGate, ComesBackFromItsFile) {
  const NgramGate ngram = ngram_gate(4);
  const DraftGate gate = DraftGate::create(some_parts(4)).value();
  const auto gates = Gates::from_checkpoint(file_of(ngram, &gate));
  ASSERT_TRUE(gates) << gates.error().message;
  ASSERT_TRUE(gates->draft);
  const DraftGate::Parts& read = gates->draft->parts();
  EXPECT_EQ(read.variants, gate.parts().variants);
  EXPECT_EQ(read.seconds, gate.parts().seconds);
  EXPECT_EQ(read.n_hidden, kHidden);
  EXPECT_EQ(read.gains, gate.parts().gains);
  for (size_t s = 0; s < kDraftStages; ++s) {
    EXPECT_EQ(read.stages[s].variant, gate.parts().stages[s].variant);
    EXPECT_EQ(read.stages[s].full, gate.parts().stages[s].full);
  }
  const auto without = Gates::from_checkpoint(file_of(ngram, nullptr));
  ASSERT_TRUE(without);
  EXPECT_FALSE(without->draft);
}

TEST(DraftGate, RefusesWhatIsWrong) {
  const auto refused = [](auto change) {
    DraftGate::Parts parts = some_parts(2);
    change(parts);
    const auto gate = DraftGate::create(std::move(parts));
    EXPECT_FALSE(gate);
    return gate ? std::string() : gate.error().message;
  };
  EXPECT_THAT(refused([](auto& parts) { parts.variants.clear(); }), HasSubstr("0 variants"));
  EXPECT_THAT(refused([](auto& parts) { parts.seconds.pop_back(); }), HasSubstr("seconds"));
  EXPECT_THAT(refused([](auto& parts) { parts.stages.pop_back(); }), HasSubstr("stages"));
  EXPECT_THAT(refused([](auto& parts) { parts.stages[1].full.pop_back(); }),
              HasSubstr("draft.answer.full"));
  EXPECT_THAT(refused([](auto& parts) { parts.stages[0].variant[3] = NAN; }),
              HasSubstr("draft.probe.variant: value 3 is nan"));
  EXPECT_THAT(refused([](auto& parts) { parts.gains[0] = 2; }), HasSubstr("draft.calibration.gains"));
  EXPECT_THAT(refused([](auto& parts) { parts.gains.pop_back(); }),
              HasSubstr("draft.calibration.gains"));
  // Gains of other rows than those that the n-gram gate was calibrated on.
  const DraftGate gate = DraftGate::create(some_parts(3)).value();
  const auto read = Gates::from_checkpoint(file_of(ngram_gate(4), &gate));
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kCorruptFile);
  EXPECT_THAT(read.error().message, HasSubstr("draft.calibration.gains"));
}

}  // namespace
}  // namespace ac
