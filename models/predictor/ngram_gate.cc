// Inference, and the gate's part of the predictor's file: F32 tensors named gate.* and the keys
// agentcompress.gate.*.
#include "models/predictor/ngram_gate.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "models/predictor/facts.h"
#include "models/predictor/gate_tensors.h"

namespace ac {
namespace {

using predictor::check_count, predictor::check_values, predictor::kMaxWeight;
using predictor::read_matrix, predictor::write_matrix;

constexpr uint32_t kVersion = 1;
constexpr size_t kSeenWords = kSeenBits / 32;

constexpr const char* kKeyVersion = "agentcompress.gate.version";
constexpr const char* kKeyTiers = "agentcompress.gate.tiers";
constexpr const char* kKeySeen = "agentcompress.gate.seen";
constexpr const char* kKeyUsualNovelty = "agentcompress.gate.usual_novelty";
constexpr const char* kFactsPrefix = "agentcompress.gate.training.";
constexpr const char* kWeights = "gate.weights";
constexpr const char* kBias = "gate.bias";
constexpr const char* kPredicted = "gate.calibration.predicted";
constexpr const char* kEarned = "gate.calibration.earned";

Status check_parts(const NgramGate::Parts& parts) {
  AC_TRY_STATUS(predictor::check_tier_names(parts.tiers));
  const size_t n_tiers = parts.tiers.size();
  AC_TRY_STATUS(check_count(parts.weights.size(), kNgramBuckets * n_tiers, kWeights));
  AC_TRY_STATUS(check_count(parts.bias.size(), n_tiers, kBias));
  AC_TRY_STATUS(check_count(parts.seen.size(), kSeenWords, kKeySeen));
  AC_TRY_STATUS(check_values(parts.weights, -kMaxWeight, kMaxWeight, kWeights));
  AC_TRY_STATUS(check_values(parts.bias, -kMaxWeight, kMaxWeight, kBias));
  AC_TRY_STATUS(check_values({&parts.usual_novelty, 1}, 0, 1, kKeyUsualNovelty));
  const CalibrationTable& table = parts.calibration;
  AC_TRY_STATUS(check_count(table.n_tiers, n_tiers, "tiers of the calibration"));
  AC_TRY_STATUS(check_count(table.predicted.size() % n_tiers, 0, kPredicted));
  AC_TRY_STATUS(check_count(table.earned.size(), table.predicted.size(), kEarned));
  AC_TRY_STATUS(check_values(table.predicted, 0, 1, kPredicted));
  AC_TRY_STATUS(check_values(table.earned, 0, 1, kEarned));
  if (!parts.facts.models.empty()) {
    AC_TRY_STATUS(check_count(parts.facts.models.size(), n_tiers, "training models"));
  }
  return {};
}

Result<NgramGate::Parts> read_parts(const Checkpoint& checkpoint) {
  NgramGate::Parts parts;
  AC_TRY(parts.tiers, predictor::read_names(checkpoint, kKeyTiers));
  AC_TRY_STATUS(predictor::check_tier_names(parts.tiers));
  const auto n_tiers = static_cast<int64_t>(parts.tiers.size());
  AC_TRY(parts.weights, read_matrix(checkpoint, kWeights, kNgramBuckets, n_tiers));
  AC_TRY(parts.bias, read_matrix(checkpoint, kBias, 1, n_tiers));
  AC_TRY(const std::vector<int64_t> seen, checkpoint.get_integers(kKeySeen));
  for (const int64_t word : seen) parts.seen.push_back(static_cast<int32_t>(word));
  AC_TRY(const double usual, checkpoint.get_number_or(kKeyUsualNovelty, 1));
  parts.usual_novelty = static_cast<float>(usual);
  parts.calibration.n_tiers = parts.tiers.size();
  if (checkpoint.tensors.find(std::string_view(kPredicted)) != checkpoint.tensors.end()) {
    AC_TRY(parts.calibration.predicted, read_matrix(checkpoint, kPredicted, -1, n_tiers));
    AC_TRY(parts.calibration.earned, read_matrix(checkpoint, kEarned, -1, n_tiers));
  }
  AC_TRY(parts.facts, predictor::read_facts(checkpoint, kFactsPrefix));
  return parts;
}

size_t bit_of(uint64_t hash) { return static_cast<size_t>(hash >> 32) % kSeenBits; }

}  // namespace

void mark_seen(const NgramFeatures& features, std::span<int32_t> seen) {
  for (const uint64_t hash : features.hashes) {
    const size_t bit = bit_of(hash);
    seen[bit / 32] = static_cast<int32_t>(static_cast<uint32_t>(seen[bit / 32]) | 1u << (bit % 32));
  }
}

double share_unseen(const NgramFeatures& features, std::span<const int32_t> seen) {
  if (features.hashes.empty()) return 0;
  size_t n_new = 0;
  for (const uint64_t hash : features.hashes) {
    const size_t bit = bit_of(hash);
    if ((static_cast<uint32_t>(seen[bit / 32]) >> (bit % 32) & 1u) == 0) ++n_new;
  }
  return static_cast<double>(n_new) / static_cast<double>(features.hashes.size());
}

Result<NgramGate> NgramGate::create(Parts parts) {
  AC_TRY_STATUS(check_parts(parts));
  return NgramGate(std::move(parts));
}

Result<NgramGate> NgramGate::from_checkpoint(const Checkpoint& checkpoint) {
  const auto corrupt = [&checkpoint](const Error& error) {
    return Error{ErrorCode::kCorruptFile,
                 fmt::format("{}: gate: {}", checkpoint.origin, error.message)};
  };
  if (!checkpoint.has(kKeyVersion)) {
    return fail(ErrorCode::kNotFound, "{}: has no n-gram gate", checkpoint.origin);
  }
  const auto version = checkpoint.get_uint(kKeyVersion, 1, UINT32_MAX);
  if (!version) return corrupt(version.error());
  if (*version > kVersion) {
    return fail(ErrorCode::kUnsupported, "{}: gate of version {}, expected at most {}",
                checkpoint.origin, *version, kVersion);
  }
  Result<Parts> parts = read_parts(checkpoint);
  if (!parts) return corrupt(parts.error());
  Result<NgramGate> gate = create(std::move(*parts));
  if (!gate) return corrupt(gate.error());
  return gate;
}

Status NgramGate::add_to(Checkpoint& checkpoint) const {
  const auto n_tiers = static_cast<int64_t>(parts_.tiers.size());
  checkpoint.set_uint(kKeyVersion, kVersion);
  checkpoint.set_strings(kKeyTiers, parts_.tiers);
  checkpoint.set_integers(kKeySeen, parts_.seen);
  checkpoint.set_float(kKeyUsualNovelty, parts_.usual_novelty);
  predictor::write_facts(parts_.facts, kFactsPrefix, checkpoint);
  AC_TRY_STATUS(write_matrix(checkpoint, kWeights, parts_.weights, n_tiers));
  AC_TRY_STATUS(write_matrix(checkpoint, kBias, parts_.bias, n_tiers));
  if (parts_.calibration.n_rows() == 0) return {};
  AC_TRY_STATUS(write_matrix(checkpoint, kPredicted, parts_.calibration.predicted, n_tiers));
  return write_matrix(checkpoint, kEarned, parts_.calibration.earned, n_tiers);
}

void NgramGate::adjust(size_t tier, std::span<const NgramFeatures::Entry> steps, float bias_step) {
  const size_t n_tiers = parts_.tiers.size();
  const auto add = [](float& weight, float step) {
    weight = std::clamp(weight + step, -kMaxWeight, kMaxWeight);
  };
  for (const NgramFeatures::Entry& step : steps) {
    add(parts_.weights[step.bucket * n_tiers + tier], step.value);
  }
  add(parts_.bias[tier], bias_step);
}

Prediction NgramGate::predict(const NgramFeatures& features) const {
  const size_t n_tiers = parts_.tiers.size();
  Prediction prediction;
  prediction.success.assign(parts_.bias.begin(), parts_.bias.end());
  for (const NgramFeatures::Entry& entry : features.entries) {
    const float* const weights = &parts_.weights[entry.bucket * n_tiers];
    for (size_t i = 0; i < n_tiers; ++i) prediction.success[i] += entry.value * weights[i];
  }
  for (float& success : prediction.success) success = 1.0f / (1.0f + std::exp(-success));
  return prediction;
}

std::vector<NgramInfluence> ngram_influences(const NgramGate& gate, std::string_view prompt,
                                             size_t most) {
  NgramReader reader;
  const NgramFeatures& features = reader.read(prompt);
  const std::vector<std::string> ngrams = prompt_ngrams(prompt);
  const size_t n_tiers = gate.tiers().size();
  std::vector<double> of_bucket(kNgramBuckets, 0);
  for (const NgramFeatures::Entry& entry : features.entries) {
    const float* const weights = &gate.parts().weights[entry.bucket * n_tiers];
    of_bucket[entry.bucket] =
        static_cast<double>(entry.value * (weights[0] - weights[n_tiers - 1]));
  }
  std::vector<NgramInfluence> influences;
  for (size_t i = 0; i < features.hashes.size(); ++i) {
    double& influence = of_bucket[whole_prompt_bucket(features.hashes[i])];
    if (influence != 0) influences.push_back({ngrams[i], influence});
    influence = 0;  // an n-gram that comes again says nothing new
  }
  std::stable_sort(influences.begin(), influences.end(), [](const auto& a, const auto& b) {
    return std::abs(a.gain_logit) > std::abs(b.gain_logit);
  });
  if (influences.size() > most) influences.resize(most);
  return influences;
}

}  // namespace ac
