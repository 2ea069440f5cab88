#include "models/compress/block_times.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "models/compress/measure.h"
#include "models/compress/shape_edit.h"
#include "models/compress/tensor_values.h"

namespace ac {
namespace {

constexpr int32_t kTimedLayers = 4;
constexpr int kTimedSizes = 8;  // between nothing and whole, whole included

// Rows and columns of a layer's tensor that go with heads, kv heads and channels.
struct Extent {
  int64_t rows = 0;  // 0: as it is
  int64_t cols = 0;
};

Extent extent_of(std::string_view name, const LayerConfig& shape, int32_t d_head, bool gate) {
  const int64_t q = int64_t{shape.n_heads} * d_head, kv = int64_t{shape.n_kv_heads} * d_head;
  if (name.starts_with("attn_q.")) return {.rows = q};
  if (name.starts_with("attn_k.") || name.starts_with("attn_v.")) return {.rows = kv};
  if (name.starts_with("attn_qkv.")) return {.rows = q + 2 * kv};
  if (name.starts_with("attn_output.")) return {.cols = q};
  if (name.starts_with("ffn_gate.")) return {.rows = shape.d_ff};
  if (name.starts_with("ffn_up.")) return {.rows = gate ? shape.d_ff : 2 * int64_t{shape.d_ff}};
  if (name.starts_with("ffn_down.")) return {.cols = shape.d_ff};
  return {};
}

bool is_absent(std::string_view name, const LayerConfig& shape) {
  return (shape.d_ff == 0 && (name.starts_with("ffn_") || name.starts_with("post_ffw"))) ||
         (shape.n_heads == 0 && (name.starts_with("attn_") || name.starts_with("post_attention")));
}

// A model of a few layers like `like` with this shape: zeros take as long as weights.
Result<Checkpoint> timed_model(const Checkpoint& model, const ModelConfig& config, int32_t like,
                               const LayerConfig& shape, int32_t n_layers) {
  Checkpoint made;
  made.origin = model.origin;
  made.metadata = model.metadata;
  const std::string prefix = fmt::format("blk.{}.", like);
  const bool gate = has_tensor(model, prefix + "ffn_gate.weight");
  for (const std::string& full : model.tensor_order) {
    const TensorView& view = model.tensors.at(full);
    if (!full.starts_with("blk.")) {
      made.set_tensor(full, view);
      continue;
    }
    if (!full.starts_with(prefix)) continue;
    const std::string_view name = std::string_view(full).substr(prefix.size());
    if (is_absent(name, shape)) continue;
    const Extent extent = extent_of(name, shape, config.d_head, gate);
    std::vector<int64_t> axes(view.axes().begin(), view.axes().end());
    if (extent.rows > 0) axes.front() = extent.rows;
    if (extent.cols > 0) axes.back() = extent.cols;
    const bool is_matrix = axes.size() == 2;
    const WeightFormat format = !is_matrix              ? WeightFormat::kF32
                                : axes.back() % 32 == 0 ? WeightFormat::kQ4_0
                                                        : WeightFormat::kF16;
    for (int32_t layer = 0; layer < n_layers; ++layer) {
      AC_TRY(const auto zeros,
             made.add_tensor(fmt::format("blk.{}.{}", layer, name), format, axes));
      (void)zeros;
    }
  }
  made.set_uint(config.architecture + ".block_count", static_cast<uint32_t>(n_layers));
  const std::vector<LayerConfig> shapes(static_cast<size_t>(n_layers), shape);
  set_layer_shapes(made, config, shapes);
  return made;
}

// ms[at] for at = 0 .. n, timed at a few places.
template <class TimeAt>
Result<std::vector<double>> timed_row(int32_t n, TimeAt time_at) {
  std::vector<double> ms(static_cast<size_t>(n) + 1, 0.0);
  int32_t before = 0;
  for (int k = 1; k <= kTimedSizes; ++k) {
    const int32_t at = n * k / kTimedSizes;
    if (at == before) continue;
    AC_TRY(const double measured, time_at(at));
    const double from = ms[static_cast<size_t>(before)];
    const double to = std::max(from, measured);  // the clock is noisy
    for (int32_t i = before + 1; i <= at; ++i) {
      ms[static_cast<size_t>(i)] = from + (to - from) * (i - before) / (at - before);
    }
    before = at;
  }
  return ms;
}

}  // namespace

Result<BlockTimes> measure_block_times(const Checkpoint& model, const ModelConfig& config,
                                       int32_t unit, int n_threads) {
  const auto n_layers = std::min(kTimedLayers, static_cast<int32_t>(config.layers.size()));
  const auto widest = std::max_element(config.layers.begin(), config.layers.end(),
                                       [](const LayerConfig& a, const LayerConfig& b) {
                                         return a.d_ff + a.n_heads < b.d_ff + b.n_heads;
                                       });
  const LayerConfig whole = *widest;
  const auto like = static_cast<int32_t>(widest - config.layers.begin());
  const auto time_of = [&](const LayerConfig& shape) -> Result<double> {
    AC_TRY(const Checkpoint timed, timed_model(model, config, like, shape, n_layers));
    return measure_ms_per_token(timed, n_threads);
  };
  // One block alone, against the same model with one unit less of nothing: its smallest.
  LayerConfig bare = whole;
  bare.d_ff = 0;
  bare.n_heads = bare.n_kv_heads = 0;
  AC_TRY(const double without, time_of(bare));
  const auto block_ms = [&](const LayerConfig& shape) -> Result<double> {
    AC_TRY(const double with, time_of(shape));
    return std::max(0.0, with - without) / n_layers;
  };
  BlockTimes times;
  const int32_t n_units = (whole.d_ff + unit - 1) / unit;
  AC_TRY(times.ff_ms, timed_row(n_units, [&](int32_t at) {
           LayerConfig shape = bare;
           shape.d_ff = std::min(whole.d_ff, at * unit);
           return block_ms(shape);
         }));
  const int32_t per_group = whole.n_kv_heads > 0 ? whole.n_heads / whole.n_kv_heads : 0;
  AC_TRY(times.kv_ms, timed_row(whole.n_kv_heads, [&](int32_t at) {
           LayerConfig shape = bare;
           shape.n_kv_heads = at;
           shape.n_heads = at * per_group;
           return block_ms(shape);
         }));
  return times;
}

TimedOrder timed_order(const RemovalOrder& order, const std::vector<double>& ms, int64_t columns,
                       int64_t columns_per_unit) {
  TimedOrder made{.order = &order, .ms = {}};
  const auto time_left = [&] {
    const double units = static_cast<double>(columns) / static_cast<double>(columns_per_unit);
    const auto below = std::min(static_cast<size_t>(std::max(0.0, units)), ms.size() - 1);
    const size_t above = std::min(below + 1, ms.size() - 1);
    return ms[below] + (ms[above] - ms[below]) * (units - static_cast<double>(below));
  };
  made.ms.push_back(time_left());
  for (const Removal& step : order.steps) {
    columns -= static_cast<int64_t>(step.columns.size());
    made.ms.push_back(time_left());
  }
  return made;
}

std::vector<size_t> share_by_time(const std::vector<TimedOrder>& orders, double target_ms) {
  std::vector<size_t> taken(orders.size(), 0);
  double total = 0;
  for (const TimedOrder& each : orders) total += each.ms.front();
  while (total > target_ms) {
    struct Run {
      size_t order = 0, steps = 0;
      double saved = 0;
    };
    std::optional<Run> best;
    double least = INFINITY;
    for (size_t i = 0; i < orders.size(); ++i) {
      const TimedOrder& each = orders[i];
      double loss = 0;
      // A run may end where it has saved enough; what lies beyond would be cut for nothing.
      for (size_t to = taken[i] + 1; to < each.ms.size(); ++to) {
        loss += each.order->steps[to - 1].loss;
        const double saved = each.ms[taken[i]] - each.ms[to];
        if (saved <= 0) continue;
        const double cost = loss / saved;
        if (cost < least) {
          least = cost;
          best = Run{.order = i, .steps = to - taken[i], .saved = saved};
        }
        if (total - saved <= target_ms) break;
      }
    }
    if (!best) break;
    taken[best->order] += best->steps;
    total -= best->saved;
  }
  return taken;
}

}  // namespace ac
