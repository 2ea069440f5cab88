// Nested precision: matrices that are the sum of two planes, and how many of them read the second.
//
// NAME.weight is the base, a Q4_0 matrix like any other; NAME.weight.residual has its shape and
// format and is what 4 bits leave of the original. The base alone is the 4-bit model, both together
// the 8-bit one. "agentcompress.nested.order" lists every NAME, first those whose residual undoes
// most divergence for its size.
//
// A level, 0 to 100, is the share of all residuals that is read for a token, in percent of their
// weights: the list's matrices from the first on, as many as fit into that share. It may change
// between any two steps, and the cache of keys and values stays what it is.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/core/checkpoint.h"

namespace ac {

inline constexpr std::string_view kResidualSuffix = ".residual";
inline constexpr std::string_view kNestedOrderKey = "agentcompress.nested.order";
inline constexpr int32_t kFullLevel = 100;  // that of a checkpoint without kNestedLevelKey

// The tensor NAME.weight.
inline std::string nested_base(std::string_view name) { return std::string(name) + ".weight"; }
inline std::string nested_residual(std::string_view name) {
  return nested_base(name) + std::string(kResidualSuffix);
}
inline bool is_residual(std::string_view tensor) { return tensor.ends_with(kResidualSuffix); }
// Whether any tensor is a residual.
bool is_nested(const Checkpoint& checkpoint);

struct NestedOrder {
  struct Matrix {
    std::string name;
    uint64_t n_weights = 0;  // of its residual that a token reads: of an embedding one row
  };
  std::vector<Matrix> matrices;  // empty: the checkpoint has one precision
  int32_t level = kFullLevel;

  // How many matrices, from the first on, read their residual at a level of 0 to 100.
  size_t n_read(int32_t at_level) const;
  // The tensors that are not read at a level.
  std::set<std::string> unread_residuals(int32_t at_level) const;
};

// Errors: kCorruptFile (residuals and list that do not match, a level out of range or without a
// list, values of another type).
Result<NestedOrder> read_nested_order(const Checkpoint& checkpoint);

// From now on the checkpoint is meant to be run at this level. Errors: kInvalidArgument (out of
// range, or it has one precision).
Status set_checkpoint_level(Checkpoint& checkpoint, int32_t level);
// Whether a model that has levels or not can be run at one. Errors: as above.
Status check_level(std::string_view origin, bool has_levels, int32_t level);

}  // namespace ac
