// Matrices and checks that the gates' parts of a predictor's file have in common. Not an interface:
// models/predictor only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/core/checkpoint.h"
#include "runtime/core/result.h"

namespace ac::predictor {

inline constexpr int64_t kMaxCalibrationRows = 1'000'000;
// A weight beyond this is refused: below it no prompt can make a logit overflow.
inline constexpr float kMaxWeight = 1e4f;

// Errors: kInvalidArgument naming what and where.
Status check_values(std::span<const float> values, float low, float high, std::string_view what);
Status check_count(size_t found, size_t expected, std::string_view what);

// An F32 tensor [n_rows, n_cols]; n_rows below 0: any number up to kMaxCalibrationRows.
// Errors: kCorruptFile.
Result<std::vector<float>> read_matrix(const Checkpoint& checkpoint, const char* name,
                                       int64_t n_rows, int64_t n_cols);
Status write_matrix(Checkpoint& checkpoint, const char* name, std::span<const float> values,
                    int64_t n_cols);

}  // namespace ac::predictor
