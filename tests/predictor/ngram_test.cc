// The n-gram gate: what it reads, its arithmetic against a plain loop, its file.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "models/predictor/gates.h"
#include "models/predictor/network.h"
#include "models/predictor/ngram_gate.h"
#include "models/store/gguf.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

using ::testing::HasSubstr;

std::map<uint16_t, float> entries_of(std::string_view prompt, const RequestFacts& facts = {}) {
  NgramReader reader;
  std::map<uint16_t, float> entries;
  for (const NgramFeatures::Entry& entry : reader.read(prompt, facts).entries) {
    EXPECT_TRUE(entries.emplace(entry.bucket, entry.value).second) << "bucket listed twice";
    EXPECT_LT(entry.bucket, kNgramBuckets);
  }
  return entries;
}

std::string long_text(size_t n_words, uint64_t seed) {
  Rng rng(seed);
  std::string text;
  for (size_t i = 0; i < n_words; ++i) {
    for (uint64_t letters = 2 + rng.below(7); letters > 0; --letters) {
      text += static_cast<char>('a' + rng.below(26));
    }
    text += rng.below(9) == 0 ? "\n" : " ";
  }
  return text;
}

TEST(Ngrams, ReadAgainTheSame) {
  const std::string one = long_text(300, 1), two = long_text(40, 2);
  NgramReader reader;
  reader.read(two);
  std::map<uint16_t, float> after_another;
  for (const auto& entry : reader.read(one).entries) after_another[entry.bucket] = entry.value;
  EXPECT_EQ(after_another, entries_of(one));
}

TEST(Ngrams, BlocksHaveTheirLengths) {
  // Facts are one-hot; everything else is three blocks of lengths 1, 1/2 and 1/2, which meet in few
  // buckets of a long prompt.
  double squares = 0;
  for (const auto& [bucket, value] : entries_of(long_text(400, 3))) {
    if (bucket < kNgramBuckets - kFactBuckets) squares += static_cast<double>(value * value);
  }
  EXPECT_NEAR(squares, 1.5, 0.1);
}

TEST(Ngrams, OrderAndPlaceMatter) {
  EXPECT_NE(entries_of("the dog bites the man"), entries_of("the man bites the dog"));
  EXPECT_EQ(entries_of("The  DOG\tbites"), entries_of("the dog bites"));
  EXPECT_NE(entries_of("what is it?"), entries_of("what is it"));
}

TEST(Ngrams, FactsAreSeen) {
  const auto plain = entries_of("hello there");
  EXPECT_NE(entries_of("hello there", {.n_turns = 4}), plain);
  EXPECT_NE(entries_of("hello there", {.has_tools = true}), plain);
  EXPECT_NE(entries_of("hello there", {.wants_json = true}), plain);
  EXPECT_NE(entries_of("hello there", {.has_tools = true}),
            entries_of("hello there", {.wants_json = true}));
}

TEST(Ngrams, AnyBytesAndAnyLength) {
  Rng rng(5);
  NgramReader reader;
  for (const size_t n :
       {size_t{0}, size_t{1}, size_t{7}, kGateHeadBytes, kGateHeadBytes + kGateTailBytes,
        kGateHeadBytes + kGateTailBytes + 1, size_t{1} << 20}) {
    std::string bytes(n, '\0');
    for (char& byte : bytes) byte = static_cast<char>(rng.below(256));
    for (const auto& entry : reader.read(bytes).entries) {
      ASSERT_LT(entry.bucket, kNgramBuckets);
      ASSERT_TRUE(std::isfinite(entry.value));
    }
    EXPECT_EQ(prompt_ngrams(bytes).size(), reader.read(bytes).hashes.size());
  }
  EXPECT_EQ(reader.read(" \n\t").n_pieces, 0);
}

TEST(Ngrams, BeginningAndEndOfALongPromptCount) {
  const std::string middle = long_text(4000, 6);
  EXPECT_NE(entries_of("Prove this. " + middle), entries_of("Translate. " + middle));
  EXPECT_NE(entries_of(middle + " Prove this."), entries_of(middle + " Translate."));
}

NgramGate::Parts random_parts(size_t n_tiers, uint64_t seed) {
  Rng rng(seed);
  NgramGate::Parts parts;
  for (size_t t = 0; t < n_tiers; ++t) parts.tiers.push_back(fmt::format("tier{}", t));
  for (size_t i = 0; i < kNgramBuckets * n_tiers; ++i) {
    parts.weights.push_back(static_cast<float>(rng.normal()));
  }
  for (size_t t = 0; t < n_tiers; ++t) parts.bias.push_back(static_cast<float>(rng.normal()));
  parts.seen.assign(kSeenBits / 32, 0);
  parts.usual_novelty = 0.25f;
  parts.calibration.n_tiers = n_tiers;
  for (size_t i = 0; i < 10 * n_tiers; ++i) {
    parts.calibration.predicted.push_back(static_cast<float>(rng.uniform()));
    parts.calibration.earned.push_back(static_cast<float>(rng.below(2)));
  }
  parts.facts.labels = "labels.jsonl";
  parts.facts.n_rows = 40;
  return parts;
}

TEST(NgramGate, IsALinearModel) {
  const NgramGate gate = NgramGate::create(random_parts(3, 7)).value();
  const std::string prompt = long_text(120, 8);
  NgramReader reader;
  const NgramFeatures& features = reader.read(prompt);
  const Prediction prediction = gate.predict(features);
  ASSERT_EQ(prediction.success.size(), 3u);
  for (size_t t = 0; t < 3; ++t) {
    double z = static_cast<double>(gate.parts().bias[t]);
    for (const auto& entry : features.entries) {
      z += static_cast<double>(entry.value) *
           static_cast<double>(gate.parts().weights[entry.bucket * 3u + t]);
    }
    EXPECT_NEAR(static_cast<double>(prediction.success[t]), 1 / (1 + std::exp(-z)), 1e-5);
  }
  EXPECT_EQ(gate.n_parameters(), 3 * (kNgramBuckets + 1));
}

TEST(NgramGate, NoveltyIsTheShareNeverSeen) {
  NgramGate::Parts parts = random_parts(2, 9);
  NgramReader reader;
  mark_seen(reader.read("how do cells divide"), parts.seen);
  const NgramGate gate = NgramGate::create(std::move(parts)).value();
  EXPECT_EQ(gate.novelty(reader.read("how do cells divide")), 0);
  EXPECT_EQ(gate.novelty(reader.read("")), 0);
  // Two words and one pair of seven n-grams are known.
  EXPECT_NEAR(gate.novelty(reader.read("how do magnets attract")), 4.0 / 7, 1e-9);
}

TEST(NgramGate, InfluencesAreThoseOfItsWeights) {
  NgramGate::Parts parts = random_parts(2, 10);
  std::fill(parts.weights.begin(), parts.weights.end(), 0.0f);
  NgramReader reader;
  const NgramFeatures features = reader.read("please prove the theorem");
  const std::vector<std::string> ngrams = prompt_ngrams("please prove the theorem");
  ASSERT_EQ(ngrams.size(), features.hashes.size());
  const auto at = std::find(ngrams.begin(), ngrams.end(), "please prove") - ngrams.begin();
  parts.weights[whole_prompt_bucket(features.hashes[static_cast<size_t>(at)]) * 2] = 1;
  const NgramGate gate = NgramGate::create(std::move(parts)).value();
  const auto influences = ngram_influences(gate, "please prove the theorem", 3);
  ASSERT_EQ(influences.size(), 1u);
  EXPECT_EQ(influences[0].text, "please prove");
  EXPECT_NE(influences[0].gain_logit, 0);
}

Predictor paper_with(std::vector<std::string> tiers) {
  Predictor::Parts parts;
  parts.parameters.resize(
      static_cast<size_t>(predictor::offsets_for(static_cast<int>(tiers.size())).total));
  parts.scale.assign(tiers.size(), 1.0f);
  parts.shift.assign(tiers.size(), 0.0f);
  parts.tiers = std::move(tiers);
  return Predictor::create(std::move(parts)).value();
}

TEST(NgramGate, ItsFileHoldsIt) {
  const NgramGate gate = NgramGate::create(random_parts(2, 11)).value();
  Checkpoint checkpoint = paper_with({"tier0", "tier1"}).to_checkpoint();
  EXPECT_EQ(NgramGate::from_checkpoint(checkpoint).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(Gates::from_checkpoint(checkpoint)->ngram.has_value());
  ASSERT_TRUE(gate.add_to(checkpoint));
  const auto read = Gates::from_checkpoint(checkpoint);
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_TRUE(read->ngram.has_value());
  const NgramGate::Parts& parts = read->ngram->parts();
  EXPECT_EQ(parts.weights, gate.parts().weights);
  EXPECT_EQ(parts.bias, gate.parts().bias);
  EXPECT_EQ(parts.seen, gate.parts().seen);
  EXPECT_EQ(parts.usual_novelty, 0.25f);
  EXPECT_EQ(parts.calibration.predicted, gate.parts().calibration.predicted);
  EXPECT_EQ(parts.calibration.earned, gate.parts().calibration.earned);
  EXPECT_EQ(parts.facts.labels, "labels.jsonl");
  EXPECT_EQ(parts.facts.n_rows, 40u);
}

TEST(NgramGate, ABrokenFileIsRefused) {
  struct Case {
    const char* what;
    void (*breaks)(Checkpoint&);
    const char* says;
  };
  const Case cases[] = {
      {"a newer version", [](Checkpoint& c) { c.set_uint("agentcompress.gate.version", 9); },
       "version 9"},
      {"other tiers",
       [](Checkpoint& c) {
         c.set_strings("agentcompress.gate.tiers", std::vector<std::string>{"tier0", "other"});
       },
       "different tiers"},
      {"one tier more",
       [](Checkpoint& c) {
         c.set_strings("agentcompress.gate.tiers", std::vector<std::string>{"tier0", "tier1", "x"});
       },
       "gate.weights"},
      {"no weights",
       [](Checkpoint& c) {
         c.tensors.erase("gate.weights");
         std::erase(c.tensor_order, "gate.weights");
       },
       "gate.weights"},
      {"no earnings",
       [](Checkpoint& c) {
         c.tensors.erase("gate.calibration.earned");
         std::erase(c.tensor_order, "gate.calibration.earned");
       },
       "gate.calibration.earned"},
      {"few bits",
       [](Checkpoint& c) {
         c.set_integers("agentcompress.gate.seen", std::vector<int32_t>{1, 2});
       },
       "seen"},
      {"a weight without end",
       [](Checkpoint& c) {
         auto bytes =
             c.add_tensor("gate.bias", WeightFormat::kF32, std::vector<int64_t>{1, 2}).value();
         const float values[2] = {0.0f, INFINITY};
         std::memcpy(bytes.data(), values, sizeof values);
       },
       "gate.bias"},
  };
  for (const Case& each : cases) {
    Checkpoint checkpoint = paper_with({"tier0", "tier1"}).to_checkpoint();
    ASSERT_TRUE(NgramGate::create(random_parts(2, 12)).value().add_to(checkpoint));
    each.breaks(checkpoint);
    const auto read = Gates::from_checkpoint(checkpoint);
    ASSERT_FALSE(read) << each.what;
    EXPECT_THAT(read.error().message, HasSubstr(each.says)) << each.what;
  }
}

}  // namespace
}  // namespace ac
