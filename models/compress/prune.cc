#include "models/compress/prune.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "models/compress/block_times.h"
#include "models/compress/shape_edit.h"
#include "models/compress/surgeon.h"
#include "models/compress/tensor_values.h"

namespace ac {
namespace {

std::string named(int32_t layer, std::string_view name, std::string_view kind) {
  return fmt::format("blk.{}.{}.{}", layer, name, kind);
}

// A removal order as a part: the columns step by step, how many each step has, and its loss.
Status write_order(Part& part, const std::string& name, const RemovalOrder& order) {
  std::vector<int32_t> columns, sizes;
  std::vector<float> losses;
  for (const Removal& step : order.steps) {
    columns.insert(columns.end(), step.columns.begin(), step.columns.end());
    sizes.push_back(static_cast<int32_t>(step.columns.size()));
    losses.push_back(static_cast<float>(step.loss / std::max(order.energy, 1e-300)));
  }
  part.tensors.set_integers(name + ".columns", columns);
  part.tensors.set_integers(name + ".sizes", sizes);
  part.tensors.set_floats(name + ".shares", losses);
  return {};
}

Result<RemovalOrder> read_order(const Part& part, const std::string& name) {
  AC_TRY(const std::vector<int64_t> columns, part.tensors.get_integers(name + ".columns"));
  AC_TRY(const std::vector<int64_t> sizes, part.tensors.get_integers(name + ".sizes"));
  AC_TRY(const std::vector<float> shares, part.tensors.get_floats(name + ".shares"));
  RemovalOrder order;
  order.energy = 1;
  size_t at = 0;
  for (size_t i = 0; i < std::min(sizes.size(), shares.size()); ++i) {
    Removal step;
    step.loss = static_cast<double>(shares[i]);
    for (int64_t k = 0; k < sizes[i] && at < columns.size(); ++k) {
      step.columns.push_back(static_cast<int32_t>(columns[at++]));
    }
    order.steps.push_back(std::move(step));
  }
  return order;
}

// How many steps of each layer's order are taken until `target` columns are gone: always the step
// that costs the least share of its layer's output, and never one before those that precede it.
std::vector<size_t> shared_out(const std::vector<RemovalOrder>& orders, int64_t target) {
  std::vector<size_t> taken(orders.size(), 0);
  std::vector<double> so_far(orders.size(), 0);
  int64_t gone = 0;
  while (gone < target) {
    size_t best = orders.size();
    double least = INFINITY;
    for (size_t i = 0; i < orders.size(); ++i) {
      if (taken[i] >= orders[i].steps.size()) continue;
      const Removal& next = orders[i].steps[taken[i]];
      const double cost = std::max(so_far[i], next.loss / static_cast<double>(next.columns.size()));
      if (cost < least) {
        least = cost;
        best = i;
      }
    }
    if (best == orders.size()) break;
    so_far[best] = least;
    gone += static_cast<int64_t>(orders[best].steps[taken[best]].columns.size());
    ++taken[best];
  }
  return taken;
}

// The same share of every layer.
std::vector<size_t> even(const std::vector<RemovalOrder>& orders,
                         const std::vector<int64_t>& targets) {
  std::vector<size_t> taken(orders.size(), 0);
  for (size_t i = 0; i < orders.size(); ++i) {
    int64_t gone = 0;
    while (gone < targets[i] && taken[i] < orders[i].steps.size()) {
      gone += static_cast<int64_t>(orders[i].steps[taken[i]++].columns.size());
    }
  }
  return taken;
}

std::vector<int32_t> kept_of(const RemovalOrder& order, size_t taken, int64_t n) {
  std::vector<bool> gone(static_cast<size_t>(n), false);
  for (size_t i = 0; i < taken; ++i) {
    for (const int32_t column : order.steps[i].columns) gone[static_cast<size_t>(column)] = true;
  }
  std::vector<int32_t> kept;
  for (int64_t j = 0; j < n; ++j) {
    if (!gone[static_cast<size_t>(j)]) kept.push_back(static_cast<int32_t>(j));
  }
  return kept;
}

class Pruner {
 public:
  Pruner(const Stage& stage, const PruneOptions& options, ModelConfig config)
      : stage_(stage), options_(options), config_(std::move(config)), team_(stage.team()) {}

  Result<StageResult> run() {
    AC_TRY_STATUS(check());
    const auto n_layers = static_cast<int32_t>(config_.layers.size());
    const uint64_t total = 2 * static_cast<uint64_t>(n_layers);
    for (int32_t i = 0; i < n_layers; ++i) {
      stage_.progress(static_cast<uint64_t>(i), total, fmt::format("scores of layer {}", i));
      AC_TRY_STATUS(score(i));
    }
    AC_TRY(const std::vector<Taken> taken, share_out());
    cut_by(taken);
    std::vector<Part> parts;
    std::vector<LayerConfig> shapes = config_.layers;
    StageResult result;
    for (int32_t i = 0; i < n_layers; ++i) {
      stage_.progress(static_cast<uint64_t>(n_layers + i) + 1, total, fmt::format("layer {}", i));
      AC_TRY(Part part, stage_.part(fmt::format("layer{:03}", i), [&] { return layer(i); }));
      LayerConfig& shape = shapes[static_cast<size_t>(i)];
      const Cut& cut = cuts_[static_cast<size_t>(i)];
      shape.d_ff = cut.dropped ? 0 : static_cast<int32_t>(cut.channels.size());
      const int32_t per_group = shape.n_kv_heads > 0 ? shape.n_heads / shape.n_kv_heads : 0;
      shape.n_kv_heads = cut.dropped ? 0 : static_cast<int32_t>(cut.groups.size());
      shape.n_heads = shape.n_kv_heads * per_group;
      parts.push_back(std::move(part));
    }
    for (const Part& part : parts) {
      result.notes.insert(result.notes.end(), part.notes.begin(), part.notes.end());
    }
    result.checkpoint = assemble(stage_.shared_from(), std::move(parts));
    set_layer_shapes(result.checkpoint, config_, shapes);
    return result;
  }

 private:
  struct Cut {
    std::vector<int32_t> channels;  // that stay
    std::vector<int32_t> groups;
    bool dropped = false;
  };

  Status check() const {
    const auto in_range = [](double share) { return share > 0 && share <= 1; };
    const auto n_layers = static_cast<int32_t>(config_.layers.size());
    if (options_.time_keep < 1 && (options_.ff_keep < 1 || options_.kv_keep < 1)) {
      return fail(ErrorCode::kInvalidArgument,
                  "time_keep={} shares out channels and groups by itself: leave out ff_keep and "
                  "kv_keep",
                  options_.time_keep);
    }
    if (!in_range(options_.ff_keep) || !in_range(options_.kv_keep) ||
        !in_range(options_.time_keep) || options_.unit < 1 ||
        options_.floor < 0 || options_.floor > 1 || options_.drop_layers < 0) {
      return fail(ErrorCode::kInvalidArgument,
                  "cannot keep {} of the channels and {} of the kv groups in units of {}",
                  options_.ff_keep, options_.kv_keep, options_.unit);
    }
    if (options_.drop_layers > std::max(0, n_layers - 2)) {
      return fail(ErrorCode::kInvalidArgument,
                  "cannot drop {} of {} layers: the first and the last stay", options_.drop_layers,
                  n_layers);
    }
    for (const std::string& name : stage_.from().tensor_order) {
      if (name.find(".lowrank_") == std::string::npos) continue;
      return fail(ErrorCode::kUnsupported,
                  "tensor {} is low-rank: prune before layers are factored", name);
    }
    return {};
  }

  bool cuts_channels() const { return options_.ff_keep < 1 || options_.time_keep < 1; }
  bool cuts_groups() const { return options_.kv_keep < 1 || options_.time_keep < 1; }

  const LayerConfig& shape_of(int32_t index) const {
    return config_.layers[static_cast<size_t>(index)];
  }
  int64_t group_columns(int32_t index) const {
    const LayerConfig& shape = shape_of(index);
    return int64_t{shape.n_heads / shape.n_kv_heads} * config_.d_head;
  }

  Result<RemovalOrder> order_of(const std::string& name, const Matrix& h,
                                const SurgeonOptions& options) {
    AC_TRY(const Matrix w, read_matrix(stage_.from(), name, team_));
    if (options_.selection == Selection::kStrength) return removal_by_strength(w, h, options);
    return removal_order(w, h, options, team_);
  }

  // The removal orders of a layer: what they depend on is less than what the stage does, so
  // variants that keep more or less share them.
  Status score(int32_t index) {
    const LayerConfig& shape = shape_of(index);
    const std::string what =
        fmt::format("removal {} unit={} damping={} ff={} kv={}", selection_name(options_.selection),
                    options_.unit, options_.damping, cuts_channels(), cuts_groups());
    AC_TRY(const Part part,
           stage_.shared_part(what, fmt::format("order{:03}", index), [&]() -> Result<Part> {
             Part made;
             AC_TRY(const LayerMoments moments, stage_.moments(index));
             made.tensors.set_float("influence", static_cast<float>(moments.influence));
             if (shape.d_ff > 0 && cuts_channels()) {
               AC_TRY(const RemovalOrder order,
                      order_of(layer_tensor(index, "ffn_down"), moments.down.h,
                               {.unit = options_.unit, .damping = options_.damping}));
               AC_TRY_STATUS(write_order(made, "channels", order));
             }
             if (shape.n_heads > 0 && cuts_groups()) {
               AC_TRY(const RemovalOrder order,
                      order_of(layer_tensor(index, "attn_output"), moments.output.h,
                               {.unit = group_columns(index),
                                .free_units = false,
                                .least_kept = group_columns(index),
                                .damping = options_.damping}));
               AC_TRY_STATUS(write_order(made, "groups", order));
             }
             return made;
           }));
    AC_TRY(const double influence, part.tensors.get_number("influence"));
    influence_.push_back(influence);
    channels_.emplace_back();
    groups_.emplace_back();
    if (part.tensors.has("channels.sizes")) {
      AC_TRY(channels_.back(), read_order(part, "channels"));
      // The floor.
      const auto least = static_cast<int64_t>(std::ceil(options_.floor * shape.d_ff));
      int64_t left = shape.d_ff;
      size_t allowed = 0;
      for (const Removal& step : channels_.back().steps) {
        left -= static_cast<int64_t>(step.columns.size());
        if (left < std::max<int64_t>(least, 1)) break;
        ++allowed;
      }
      channels_.back().steps.resize(allowed);
    }
    if (part.tensors.has("groups.sizes")) {
      AC_TRY(groups_.back(), read_order(part, "groups"));
    }
    return {};
  }

  // Steps of a layer's orders that are taken.
  struct Taken {
    size_t channels = 0, groups = 0;
    bool dropped = false;
  };

  Result<std::vector<Taken>> share_out() {
    const size_t n_layers = config_.layers.size();
    std::vector<Taken> taken(n_layers);
    // Layers that go entirely: those that change the stream least, never the first or the last.
    std::vector<size_t> middle;
    for (size_t i = 1; i + 1 < n_layers; ++i) middle.push_back(i);
    std::stable_sort(middle.begin(), middle.end(),
                     [&](size_t a, size_t b) { return influence_[a] < influence_[b]; });
    for (int32_t k = 0; k < options_.drop_layers; ++k) {
      const size_t i = middle[static_cast<size_t>(k)];
      taken[i].dropped = true;
      channels_[i].steps.clear();
      groups_[i].steps.clear();
    }
    if (options_.time_keep < 1) {
      AC_TRY_STATUS(share_out_by_time(taken));
    } else {
      share_out_by_size(taken);
    }
    return taken;
  }

  void share_out_by_size(std::vector<Taken>& taken) const {
    int64_t all_channels = 0, all_columns = 0;
    std::vector<int64_t> channel_targets, column_targets;
    for (size_t i = 0; i < taken.size(); ++i) {
      const LayerConfig& shape = config_.layers[i];
      const int64_t channels = taken[i].dropped ? 0 : shape.d_ff;
      const int64_t columns = taken[i].dropped ? 0 : int64_t{shape.n_heads} * config_.d_head;
      all_channels += channels;
      all_columns += columns;
      channel_targets.push_back(to_remove(channels, options_.ff_keep));
      column_targets.push_back(to_remove(columns, options_.kv_keep));
    }
    const auto of_channels = options_.global
                                 ? shared_out(channels_, to_remove(all_channels, options_.ff_keep))
                                 : even(channels_, channel_targets);
    const auto of_groups = options_.global
                               ? shared_out(groups_, to_remove(all_columns, options_.kv_keep))
                               : even(groups_, column_targets);
    for (size_t i = 0; i < taken.size(); ++i) {
      taken[i].channels = of_channels[i];
      taken[i].groups = of_groups[i];
    }
  }

  Result<BlockTimes> block_times() const {
    AC_TRY(const Part part,
           stage_.shared_part(fmt::format("block times unit={} threads={}", options_.unit,
                                          team_.n_threads()),
                              "block-times", [&]() -> Result<Part> {
                                Part made;
                                AC_TRY(const BlockTimes times,
                                       measure_block_times(stage_.from(), config_, options_.unit,
                                                           team_.n_threads()));
                                made.tensors.set_floats("ff_ms", floats(times.ff_ms));
                                made.tensors.set_floats("kv_ms", floats(times.kv_ms));
                                return made;
                              }));
    BlockTimes times;
    AC_TRY(const std::vector<float> ff_ms, part.tensors.get_floats("ff_ms"));
    AC_TRY(const std::vector<float> kv_ms, part.tensors.get_floats("kv_ms"));
    times.ff_ms.assign(ff_ms.begin(), ff_ms.end());
    times.kv_ms.assign(kv_ms.begin(), kv_ms.end());
    return times;
  }
  static std::vector<float> floats(const std::vector<double>& values) {
    return {values.begin(), values.end()};
  }

  Status share_out_by_time(std::vector<Taken>& taken) const {
    AC_TRY(const BlockTimes times, block_times());
    std::vector<TimedOrder> orders;
    std::vector<size_t*> counts;
    double whole_ms = 0;
    for (size_t i = 0; i < taken.size(); ++i) {
      const LayerConfig& shape = config_.layers[i];
      if (taken[i].dropped) continue;
      if (shape.d_ff > 0) {
        orders.push_back(timed_order(channels_[i], times.ff_ms, shape.d_ff, options_.unit));
        counts.push_back(&taken[i].channels);
      }
      if (shape.n_heads > 0) {
        orders.push_back(timed_order(groups_[i], times.kv_ms,
                                     int64_t{shape.n_heads} * config_.d_head,
                                     group_columns(static_cast<int32_t>(i))));
        counts.push_back(&taken[i].groups);
      }
    }
    for (const TimedOrder& each : orders) whole_ms += each.ms.front();
    const std::vector<size_t> steps = share_by_time(orders, options_.time_keep * whole_ms);
    for (size_t k = 0; k < steps.size(); ++k) *counts[k] = steps[k];
    return {};
  }

  void cut_by(const std::vector<Taken>& taken) {
    for (size_t i = 0; i < taken.size(); ++i) {
      const LayerConfig& shape = config_.layers[i];
      Cut cut;
      cut.dropped = taken[i].dropped;
      cut.channels = kept_of(channels_[i], taken[i].channels, shape.d_ff);
      if (shape.n_kv_heads > 0) {
        const int64_t width = group_columns(static_cast<int32_t>(i));
        for (const int32_t column :
             kept_of(groups_[i], taken[i].groups, int64_t{shape.n_heads} * config_.d_head)) {
          if (column % width == 0) cut.groups.push_back(static_cast<int32_t>(column / width));
        }
      }
      cuts_.push_back(std::move(cut));
    }
  }
  static int64_t to_remove(int64_t n, double keep) {
    return static_cast<int64_t>(std::llround((1 - keep) * static_cast<double>(n)));
  }

  Result<Part> layer(int32_t index) {
    Part part;
    const Cut& cut = cuts_[static_cast<size_t>(index)];
    const LayerConfig& shape = shape_of(index);
    if (cut.dropped) {
      const std::string prefix = fmt::format("blk.{}.", index);
      for (const std::string& name : stage_.from().tensor_order) {
        if (name.starts_with(prefix)) part.removed.push_back(name);
      }
      return part;
    }
    const bool fewer_channels = static_cast<int32_t>(cut.channels.size()) < shape.d_ff;
    const bool fewer_groups = static_cast<int32_t>(cut.groups.size()) < shape.n_kv_heads;
    if (!fewer_channels && !fewer_groups) return part;
    AC_TRY(const LayerMoments moments, stage_.moments(index));
    if (fewer_channels) {
      AC_TRY_STATUS(gather(part, index, "ffn_gate", {{cut.channels, 0}}));
      if (has_tensor(stage_.from(), layer_tensor(index, "ffn_gate"))) {
        AC_TRY_STATUS(gather(part, index, "ffn_up", {{cut.channels, 0}}));
      } else {  // gate and up, one below the other
        AC_TRY_STATUS(
            gather(part, index, "ffn_up", {{cut.channels, 0}, {cut.channels, shape.d_ff}}));
      }
      AC_TRY_STATUS(refit(part, layer_tensor(index, "ffn_down"), moments.down.h, cut.channels));
    }
    if (fewer_groups) {
      const int32_t rep = shape.n_heads / shape.n_kv_heads;
      const std::vector<int32_t> q = spans_of(cut.groups, rep * config_.d_head);
      const std::vector<int32_t> kv = spans_of(cut.groups, config_.d_head);
      const int32_t q_rows = shape.n_heads * config_.d_head;
      const int32_t kv_rows = shape.n_kv_heads * config_.d_head;
      AC_TRY_STATUS(gather(part, index, "attn_q", {{q, 0}}));
      AC_TRY_STATUS(gather(part, index, "attn_k", {{kv, 0}}));
      AC_TRY_STATUS(gather(part, index, "attn_v", {{kv, 0}}));
      AC_TRY_STATUS(
          gather(part, index, "attn_qkv", {{q, 0}, {kv, q_rows}, {kv, q_rows + kv_rows}}));
      AC_TRY_STATUS(refit(part, layer_tensor(index, "attn_output"), moments.output.h, q));
    }
    return part;
  }

  static std::vector<int32_t> spans_of(const std::vector<int32_t>& groups, int32_t width) {
    std::vector<int32_t> rows;
    for (const int32_t group : groups) {
      for (int32_t i = 0; i < width; ++i) rows.push_back(group * width + i);
    }
    return rows;
  }

  struct Rows {
    const std::vector<int32_t>& kept;
    int32_t offset;
  };
  // Weights and biases, where they are there.
  Status gather(Part& part, int32_t index, std::string_view name, const std::vector<Rows>& ranges) {
    std::vector<int32_t> rows;
    for (const Rows& range : ranges) {
      for (const int32_t row : range.kept) rows.push_back(range.offset + row);
    }
    for (const char* kind : {"weight", "bias"}) {
      const std::string full = named(index, name, kind);
      if (has_tensor(stage_.from(), full)) {
        AC_TRY_STATUS(add_rows(part.tensors, stage_.from(), full, rows));
      }
    }
    return {};
  }

  Status refit(Part& part, const std::string& name, const Matrix& h,
               const std::vector<int32_t>& kept) {
    AC_TRY(const Matrix w, read_matrix(stage_.from(), name, team_));
    if (!options_.compensate) {
      AC_TRY(const Matrix made, columns_of(w, kept));
      return add_matrix(part.tensors, name, made);
    }
    AC_TRY(const Matrix made, least_squares_columns(w, h, kept, options_.damping, team_));
    return add_matrix(part.tensors, name, made);
  }

  const Stage& stage_;
  const PruneOptions& options_;
  ModelConfig config_;
  cpu::ThreadTeam& team_;
  std::vector<RemovalOrder> channels_, groups_;  // of each layer
  std::vector<double> influence_;
  std::vector<Cut> cuts_;
};

}  // namespace

std::string_view selection_name(Selection selection) {
  switch (selection) {
    case Selection::kGreedy:
      return "greedy";
    case Selection::kStrength:
      return "strength";
  }
  return "";
}

Result<StageResult> prune(const Stage& stage, const PruneOptions& options) {
  AC_TRY(ModelConfig config, read_model_config(stage.from()));
  return Pruner(stage, options, std::move(config)).run();
}

}  // namespace ac
