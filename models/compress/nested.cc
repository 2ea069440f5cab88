#include "models/compress/nested.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <set>

#include "cpu/formats/codecs.h"
#include "models/arch/model.h"
#include "models/compress/measure.h"
#include "models/compress/requantize.h"
#include "models/compress/tensor_values.h"

namespace ac {
namespace {

// Tokens of one window at most: their logits are held at once.
constexpr size_t kWindowTokens = 256;
constexpr std::string_view kDivergence = "divergence";

// Windows for measuring the order, from the beginning of the calibration text.
std::vector<std::span<const int32_t>> order_windows(const TokenWindows& text, size_t n_tokens) {
  std::vector<std::span<const int32_t>> windows;
  for (size_t i = 0; i < text.n_windows() && n_tokens > 0; ++i) {
    const auto window = text.window(i);
    const size_t n = std::min({window.size(), kWindowTokens, n_tokens});
    windows.push_back(window.first(n));
    n_tokens -= n;
  }
  return windows;
}

// Sums of divergences, as measured: one part for each window, so that measuring goes on where it
// was interrupted.
class OrderMeasure {
 public:
  OrderMeasure(const Stage& stage, const Checkpoint& nested) : stage_(stage), nested_(nested) {}

  Result<std::vector<double>> sums(std::span<const std::span<const int32_t>> windows,
                                   size_t n_matrices) {
    std::vector<double> total(n_matrices + 1);
    for (size_t i = 0; i < windows.size(); ++i) {
      stage_.progress(i, windows.size(),
                      fmt::format("order, window {} of {}", i + 1, windows.size()));
      AC_TRY(const Part part,
             stage_.part(fmt::format("order{:04}", i), [&] { return measure(windows[i]); }));
      const Checkpoint& stored = part.tensors;
      AC_TRY(const TensorView view, stored.tensor(kDivergence));
      if (view.format != WeightFormat::kF32 || view.size_bytes != total.size() * sizeof(float)) {
        return fail(ErrorCode::kCorruptFile, "{}: {} bytes of divergences, expected {}",
                    stored.origin, view.size_bytes, total.size() * sizeof(float));
      }
      const auto* values = reinterpret_cast<const float*>(view.data);
      for (size_t j = 0; j < total.size(); ++j) total[j] += static_cast<double>(values[j]);
    }
    return total;
  }

 private:
  Result<Part> measure(std::span<const int32_t> window) {
    if (meter_ == nullptr) {  // models are loaded only where something is left to measure
      AC_TRY(meter_,
             NestedMeter::create(stage_.base(), nested_, kWindowTokens, stage_.team().n_threads()));
    }
    AC_TRY(const std::vector<float> sums, meter_->divergences(window));
    Part part;
    const int64_t shape[] = {static_cast<int64_t>(sums.size())};
    AC_TRY_STATUS(add_weights(part.tensors, std::string(kDivergence), sums, shape));
    return part;
  }

  const Stage& stage_;
  const Checkpoint& nested_;
  std::unique_ptr<NestedMeter> meter_;
};

void set_order(Checkpoint& checkpoint, std::span<const NestedOrder::Matrix> matrices) {
  std::vector<std::string> names;
  for (const NestedOrder::Matrix& matrix : matrices) names.push_back(matrix.name);
  checkpoint.set_strings(std::string(kNestedOrderKey), names);
}

// Most divergence undone per weight first. `checkpoint` has all residuals in some order.
Status find_order(const Stage& stage, const NestedOptions& options, Checkpoint& checkpoint) {
  AC_TRY(const NestedOrder order, read_nested_order(checkpoint));
  const auto windows = order_windows(stage.calibration(), options.order_tokens);
  if (windows.empty()) {
    return fail(ErrorCode::kInvalidArgument, "no calibration text to measure the order with");
  }
  AC_TRY(const std::vector<double> sums,
         OrderMeasure(stage, checkpoint).sums(windows, order.matrices.size()));
  std::vector<size_t> places(order.matrices.size());
  std::iota(places.begin(), places.end(), size_t{0});
  const auto gain = [&](size_t i) {
    return (sums[0] - sums[1 + i]) / static_cast<double>(order.matrices[i].n_weights);
  };
  std::stable_sort(places.begin(), places.end(),
                   [&](size_t a, size_t b) { return gain(a) > gain(b); });
  std::vector<NestedOrder::Matrix> sorted;
  for (const size_t i : places) sorted.push_back(order.matrices[i]);
  set_order(checkpoint, sorted);
  return {};
}

}  // namespace

std::string nested_text(const NestedOptions& options) {
  const QuantiseOptions& o = options.base;
  std::string text =
      fmt::format("quantise nested damping={} reorder={}", o.damping, o.reorder ? "yes" : "no");
  if (o.output) text += fmt::format(" output={}", weight_format_info(*o.output).name);
  return text + fmt::format(" order_tokens={}", options.order_tokens);
}

Result<StageResult> nest(const Stage& stage, const NestedOptions& options) {
  constexpr uint64_t kSteps = 3;
  AC_TRY(std::vector<Part> parts, quantised_parts(stage.step(0, kSteps), options.base));
  const Stage residuals = stage.step(1, kSteps);
  const size_t n_base = parts.size();
  std::vector<NestedOrder::Matrix> matrices;
  for (size_t i = 0; i < n_base; ++i) {
    residuals.progress(i, n_base, fmt::format("residuals, part {} of {}", i + 1, n_base));
    AC_TRY(Part part, residual_part(residuals, options.base, i, parts[i]));
    for (const std::string& name : part.tensors.tensor_order) {
      const size_t n = name.size() - nested_residual("").size();
      matrices.push_back({.name = name.substr(0, n)});
    }
    parts.push_back(std::move(part));
  }
  if (matrices.empty()) {
    return fail(ErrorCode::kUnsupported,
                "{}: no matrix can be nested: none was rounded to q4_0 from more bits",
                stage.from().origin);
  }
  StageResult result;
  for (const Part& part : parts) {
    result.notes.insert(result.notes.end(), part.notes.begin(), part.notes.end());
  }
  result.checkpoint = assemble(stage.shared_from(), std::move(parts));
  set_file_type(result.checkpoint, options.base.format);
  set_order(result.checkpoint, matrices);
  AC_TRY_STATUS(find_order(stage.step(2, kSteps), options, result.checkpoint));
  return result;
}

Result<Flat> flattened(const Checkpoint& source, cpu::ThreadTeam& team) {
  AC_TRY(const NestedOrder order, read_nested_order(source));
  const size_t n_read = order.n_read(order.level);
  std::set<std::string, std::less<>> read;
  uint64_t n_eight_bits = 0, n_all = 0;
  for (size_t i = 0; i < order.matrices.size(); ++i) {
    n_all += order.matrices[i].n_weights;
    if (i >= n_read) continue;
    n_eight_bits += order.matrices[i].n_weights;
    read.insert(nested_base(order.matrices[i].name));
  }
  Flat flat;
  Checkpoint& to = flat.checkpoint;
  to.origin = source.origin;
  to.metadata = source.metadata;
  to.metadata.erase(std::string(kNestedOrderKey));
  to.metadata.erase(std::string(kNestedLevelKey));
  for (const std::string& name : source.tensor_order) {
    if (is_residual(name)) continue;
    const TensorView& view = source.tensors.at(name);
    if (!read.contains(name)) {
      to.set_tensor(name, view);
      continue;
    }
    AC_TRY(Weights base, read_weights(source, name, team));
    AC_TRY(Weights residual, read_weights(source, name + std::string(kResidualSuffix), team));
    AC_TRY(const std::span<std::byte> memory,
           to.add_tensor(name, WeightFormat::kQ8_0, view.axes()));
    const auto n = static_cast<size_t>(base.n_cols);
    const size_t row_bytes = cpu::row_bytes(WeightFormat::kQ8_0, n);
    team.for_each_chunk(static_cast<int32_t>(base.n_rows), [&](int32_t row, int32_t) {
      const auto r = static_cast<size_t>(row);
      float* sum = base.values().data() + r * n;
      const float* rest = residual.values().data() + r * n;
      for (size_t i = 0; i < n; ++i) sum[i] += rest[i];
      cpu::codec(WeightFormat::kQ8_0).encode_row(sum, memory.data() + r * row_bytes, n);
    });
    ++flat.n_rounded;
  }
  if (2 * n_eight_bits > n_all) set_file_type(to, WeightFormat::kQ8_0);
  return flat;
}

std::string rounded_note(const Flat& flat) {
  return fmt::format("{} matrices of two planes were rounded to q8_0", flat.n_rounded);
}

}  // namespace ac
