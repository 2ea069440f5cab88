#include "models/predictor/facts.h"

#include <algorithm>

namespace ac::predictor {
namespace {

constexpr size_t kMaxNameBytes = 256;

}  // namespace

Status check_tier_names(std::span<const std::string> names) {
  if (names.size() < kPredictorMinTiers || names.size() > kPredictorMaxTiers) {
    return fail(ErrorCode::kInvalidArgument, "tiers: {} of them, expected {} to {}", names.size(),
                kPredictorMinTiers, kPredictorMaxTiers);
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].empty() || names[i].size() > kMaxNameBytes) {
      return fail(ErrorCode::kInvalidArgument, "tier {}: a name of {} bytes, expected 1 to {}", i,
                  names[i].size(), kMaxNameBytes);
    }
    for (size_t j = 0; j < i; ++j) {
      if (names[i] == names[j]) {
        return fail(ErrorCode::kInvalidArgument, "tiers {} and {} are both named '{}'", j, i,
                    names[i]);
      }
    }
  }
  return {};
}

Result<std::vector<std::string>> read_names(const Checkpoint& checkpoint, std::string_view key) {
  AC_TRY(const auto views, checkpoint.get_strings(key));
  std::vector<std::string> strings;
  for (const std::string_view view :
       views.first(std::min<size_t>(views.size(), static_cast<size_t>(kPredictorMaxTiers) + 1))) {
    strings.emplace_back(view);
  }
  return strings;
}

Result<PredictorFacts> read_facts(const Checkpoint& checkpoint, std::string_view prefix) {
  const auto key = [prefix](std::string_view field) { return fmt::format("{}{}", prefix, field); };
  constexpr uint64_t kMax = UINT32_MAX;
  PredictorFacts facts;
  AC_TRY(const std::string_view labels, checkpoint.get_string_or(key("labels"), ""));
  facts.labels = std::string(labels.substr(0, kMaxNameBytes));
  if (checkpoint.has(key("models"))) {
    AC_TRY(facts.models, read_names(checkpoint, key("models")));
  }
  AC_TRY(const uint64_t n_rows, checkpoint.get_uint_or(key("rows"), 0, kMax, 0));
  AC_TRY(const uint64_t seed, checkpoint.get_uint_or(key("seed"), 0, kMax, 0));
  AC_TRY(const uint64_t n_epochs, checkpoint.get_uint_or(key("epochs"), 0, kMax, 0));
  AC_TRY(const double retention, checkpoint.get_number_or(key("target_retention"), 0));
  AC_TRY(const double threshold, checkpoint.get_number_or(key("target_threshold"), 0));
  AC_TRY(const double gain, checkpoint.get_number_or(key("target_gain"), 0));
  facts.n_rows = static_cast<uint32_t>(n_rows);
  facts.seed = static_cast<uint32_t>(seed);
  facts.n_epochs = static_cast<uint32_t>(n_epochs);
  facts.target_retention = static_cast<float>(retention);
  facts.target_threshold = static_cast<float>(threshold);
  facts.target_gain = static_cast<float>(gain);
  return facts;
}

void write_facts(const PredictorFacts& facts, std::string_view prefix, Checkpoint& checkpoint) {
  const auto key = [prefix](std::string_view field) { return fmt::format("{}{}", prefix, field); };
  checkpoint.set_string(key("labels"), facts.labels);
  if (!facts.models.empty()) checkpoint.set_strings(key("models"), facts.models);
  checkpoint.set_uint(key("rows"), facts.n_rows);
  checkpoint.set_uint(key("seed"), facts.seed);
  checkpoint.set_uint(key("epochs"), facts.n_epochs);
  checkpoint.set_float(key("target_retention"), facts.target_retention);
  checkpoint.set_float(key("target_threshold"), facts.target_threshold);
  checkpoint.set_float(key("target_gain"), facts.target_gain);
}

}  // namespace ac::predictor
