#include "models/predictor/gate_tensors.h"

#include <cstring>
#include <string>

namespace ac::predictor {

Status check_values(std::span<const float> values, float low, float high, std::string_view what) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] >= low && values[i] <= high) continue;
    return fail(ErrorCode::kInvalidArgument, "{}: value {} is {}, expected {} to {}", what, i,
                values[i], low, high);
  }
  return {};
}

Status check_count(size_t found, size_t expected, std::string_view what) {
  if (found == expected) return {};
  return fail(ErrorCode::kInvalidArgument, "{}: {} values, expected {}", what, found, expected);
}

Result<std::vector<float>> read_matrix(const Checkpoint& checkpoint, const char* name,
                                       int64_t n_rows, int64_t n_cols) {
  AC_TRY(const TensorView view, checkpoint.tensor(name));
  const bool fits = view.format == WeightFormat::kF32 && view.n_axes == 2 &&
                    view.shape[1] == n_cols && view.shape[0] <= kMaxCalibrationRows &&
                    (n_rows < 0 || view.shape[0] == n_rows);
  if (!fits || view.empty() ||
      view.size_bytes != static_cast<uint64_t>(view.shape[0] * n_cols) * sizeof(float)) {
    return fail(ErrorCode::kCorruptFile, "tensor {}: {} axes [{}, {}], expected F32 [{}, {}]", name,
                view.n_axes, view.shape[0], view.shape[1],
                n_rows < 0 ? "rows" : std::to_string(n_rows), n_cols);
  }
  std::vector<float> values(static_cast<size_t>(view.shape[0] * n_cols));
  std::memcpy(values.data(), view.data, view.size_bytes);
  return values;
}

Status write_matrix(Checkpoint& checkpoint, const char* name, std::span<const float> values,
                    int64_t n_cols) {
  const int64_t shape[] = {static_cast<int64_t>(values.size()) / n_cols, n_cols};
  AC_TRY(const std::span<std::byte> bytes, checkpoint.add_tensor(name, WeightFormat::kF32, shape));
  std::memcpy(bytes.data(), values.data(), values.size_bytes());
  return {};
}

}  // namespace ac::predictor
