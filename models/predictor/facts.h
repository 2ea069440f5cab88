// What both gates' parts of a predictor's file have in common: names of tiers and where the weights
// came from. Not an interface: models/predictor only.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/predictor/predictor.h"
#include "runtime/core/checkpoint.h"
#include "runtime/core/result.h"

namespace ac::predictor {

inline constexpr std::string_view kGateTensorPrefix = "gate.";
inline constexpr std::string_view kDraftTensorPrefix = "draft.";

// Errors: kInvalidArgument (2..8 names, all different, none empty or overlong).
Status check_tier_names(std::span<const std::string> names);
// Of more names than a predictor may have tiers, one too many is read.
Result<std::vector<std::string>> read_names(const Checkpoint& checkpoint, std::string_view key);

// Keys are `prefix` and the field: "agentcompress.predictor.training." "labels".
Result<PredictorFacts> read_facts(const Checkpoint& checkpoint, std::string_view prefix);
void write_facts(const PredictorFacts& facts, std::string_view prefix, Checkpoint& checkpoint);

}  // namespace ac::predictor
