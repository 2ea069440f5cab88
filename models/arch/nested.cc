#include "models/arch/nested.h"

#include <algorithm>

namespace ac {

bool is_nested(const Checkpoint& checkpoint) {
  return std::any_of(checkpoint.tensors.begin(), checkpoint.tensors.end(),
                     [](const auto& tensor) { return is_residual(tensor.first); });
}

size_t NestedOrder::n_read(int32_t at_level) const {
  uint64_t total = 0;
  for (const Matrix& matrix : matrices) total += matrix.n_weights;
  const uint64_t share = total / 100 * static_cast<uint64_t>(at_level) +
                         total % 100 * static_cast<uint64_t>(at_level) / 100;
  uint64_t read = 0;
  size_t n = 0;
  while (n < matrices.size() && read + matrices[n].n_weights <= share) {
    read += matrices[n++].n_weights;
  }
  return n;
}

std::set<std::string> NestedOrder::unread_residuals(int32_t at_level) const {
  std::set<std::string> unread;
  for (size_t i = n_read(at_level); i < matrices.size(); ++i) {
    unread.insert(nested_residual(matrices[i].name));
  }
  return unread;
}

Result<NestedOrder> read_nested_order(const Checkpoint& checkpoint) {
  NestedOrder order;
  const auto n_residuals = static_cast<size_t>(
      std::count_if(checkpoint.tensors.begin(), checkpoint.tensors.end(),
                    [](const auto& tensor) { return is_residual(tensor.first); }));
  if (!checkpoint.has(kNestedOrderKey)) {
    if (n_residuals == 0 && !checkpoint.has(kNestedLevelKey)) return order;
    return fail(ErrorCode::kCorruptFile, "{}: {} residuals and no key {}", checkpoint.origin,
                n_residuals, kNestedOrderKey);
  }
  AC_TRY(const auto names, checkpoint.get_strings(kNestedOrderKey));
  AC_TRY(const uint64_t level,
         checkpoint.get_uint_or(kNestedLevelKey, 0, uint64_t{kFullLevel}, uint64_t{kFullLevel}));
  order.level = static_cast<int32_t>(level);
  std::set<std::string_view> seen;
  for (const std::string_view name : names) {
    const auto it = checkpoint.tensors.find(nested_residual(name));
    if (it == checkpoint.tensors.end()) {
      return fail(ErrorCode::kCorruptFile, "{}: {} names '{}', which has no residual",
                  checkpoint.origin, kNestedOrderKey, name.substr(0, 128));
    }
    if (!seen.insert(name).second) {
      return fail(ErrorCode::kCorruptFile, "{}: {} names '{}' twice", checkpoint.origin,
                  kNestedOrderKey, name);
    }
    const TensorView& view = it->second;
    const bool is_lookup = name == "token_embd" && checkpoint.tensors.contains("output.weight");
    const int64_t n_rows = is_lookup ? 1 : view.n_rows();
    order.matrices.push_back(
        {.name = std::string(name),
         .n_weights = static_cast<uint64_t>(n_rows) * static_cast<uint64_t>(view.n_cols())});
  }
  if (order.matrices.size() != n_residuals) {
    return fail(ErrorCode::kCorruptFile, "{}: {} names {} of {} residuals", checkpoint.origin,
                kNestedOrderKey, order.matrices.size(), n_residuals);
  }
  return order;
}

Status check_level(std::string_view origin, bool has_levels, int32_t level) {
  if (!has_levels) {
    return fail(ErrorCode::kInvalidArgument,
                "{}: level {} of a model of one precision, expected a nested one", origin, level);
  }
  if (level < 0 || level > kFullLevel) {
    return fail(ErrorCode::kInvalidArgument, "{}: level {}, expected 0 to {}", origin, level,
                kFullLevel);
  }
  return {};
}

Status set_checkpoint_level(Checkpoint& checkpoint, int32_t level) {
  AC_TRY_STATUS(check_level(checkpoint.origin, is_nested(checkpoint), level));
  checkpoint.set_uint(std::string(kNestedLevelKey), static_cast<uint32_t>(level));
  return {};
}

}  // namespace ac
