// Binds the tensors of a checkpoint to a model: every name looked up once, every shape compared
// with the dimensions, every tensor of a block accounted for.
//
// A linear layer `<name>` is `<name>.weight` [n_out, n_in], or, low-rank, the pair
// `<name>.lowrank_out.weight` [n_out, rank] and `<name>.lowrank_in.weight` [rank, n_in]; a bias is
// `<name>.bias` [n_out]. Layers that share one tensor are views of its rows; q, k and v may share
// the second factor of their pairs, `attn_qkv.lowrank_in.weight`, whose product is then computed
// once. A matrix may have a residual beside it: nested.h.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "models/arch/family.h"
#include "models/arch/rope.h"

namespace ac {
namespace {

constexpr int64_t kMaxRank = 65536;

std::string shape_text(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

struct RowRange {
  int64_t begin = 0;
  int64_t count = 0;
  int64_t of = 0;  // rows of the whole tensor
};

class Binder {
 public:
  Binder(const Checkpoint& checkpoint, Backend& backend)
      : checkpoint_(checkpoint), backend_(backend) {}

  bool has(const std::string& name) const {
    return checkpoint_.tensors.find(name) != checkpoint_.tensors.end();
  }

  Result<TensorView> find(const std::string& name, std::span<const int64_t> expected) {
    AC_TRY(const TensorView view, checkpoint_.tensor(name));
    if (!std::ranges::equal(view.axes(), expected)) {
      return fail(ErrorCode::kCorruptFile, "{}: tensor {}: shape {}, expected {}",
                  checkpoint_.origin, name, shape_text(view.axes()), shape_text(expected));
    }
    AC_TRY(const uint64_t size_bytes, tensor_bytes(view.format, view.axes()));
    if (view.empty() || view.size_bytes != size_bytes) {
      return fail(ErrorCode::kCorruptFile, "{}: tensor {}: {} bytes, expected {}",
                  checkpoint_.origin, name, view.size_bytes, size_bytes);
    }
    used_.insert(name);
    return view;
  }

  Result<WeightId> vector(const std::string& name, int64_t n) {
    const int64_t expected[] = {n};
    AC_TRY(const TensorView view, find(name, expected));
    AC_TRY_STATUS(check_vector_format(name, view));
    return backend_.load_vector(view);
  }

  Result<WeightId> matrix(const std::string& name, int64_t n_out, int64_t n_in) {
    return rows_of(name, {0, n_out, n_out}, n_in);
  }

  // What nested matrices were loaded as, by their name without ".weight".
  const std::vector<WeightId>& nested(std::string_view name) const {
    static const std::vector<WeightId> kNone;
    const auto it = nested_.find(name);
    return it == nested_.end() ? kNone : it->second;
  }

  // `name` without ".weight"; `shared` names the linear whose "lowrank_in" stands in for a missing
  // one of its own.
  Result<Linear> linear(const std::string& name, int64_t n_out, int64_t n_in,
                        bool bias_required = false, const std::string& shared = {}) {
    return linear_rows(name, {0, n_out, n_out}, n_in, bias_required, shared);
  }

  // The rows of `name` that belong to one of several layers.
  Result<Linear> linear_rows(const std::string& name, const RowRange& rows, int64_t n_in,
                             bool bias_required = false, const std::string& shared = {}) {
    Linear linear;
    const std::string dense = name + ".weight";
    const std::string out = name + ".lowrank_out.weight";
    std::string in = name + ".lowrank_in.weight";
    if (!shared.empty() && has(out) && !has(in)) in = shared + ".lowrank_in.weight";
    if (has(out) || has(in)) {
      if (has(dense)) {
        return fail(ErrorCode::kCorruptFile, "{}: tensor {} beside its low-rank factors",
                    checkpoint_.origin, dense);
      }
      AC_TRY(const TensorView factor, checkpoint_.tensor(out));
      const int64_t rank = factor.n_cols();
      if (rank < 1 || rank > kMaxRank) {
        return fail(ErrorCode::kCorruptFile, "{}: tensor {}: rank {}, expected 1 to {}",
                    checkpoint_.origin, out, rank, kMaxRank);
      }
      AC_TRY(linear.w, rows_of(out, rows, rank));
      AC_TRY(linear.w_in, shared_matrix(in, rank, n_in));
    } else {
      AC_TRY(linear.w, rows_of(dense, rows, n_in));
    }
    const std::string bias = name + ".bias";
    if (bias_required || has(bias)) {
      const int64_t expected[] = {rows.of};
      AC_TRY(TensorView view, find(bias, expected));
      AC_TRY_STATUS(check_vector_format(bias, view));
      const uint64_t value_bytes = view.size_bytes / static_cast<uint64_t>(rows.of);
      view.data += static_cast<uint64_t>(rows.begin) * value_bytes;
      view.size_bytes = static_cast<uint64_t>(rows.count) * value_bytes;
      view.shape[0] = rows.count;
      AC_TRY(linear.bias, backend_.load_vector(view));
    }
    return linear;
  }

  bool has_linear(const std::string& name) const {
    return has(name + ".weight") || has(name + ".lowrank_out.weight");
  }

  // Every tensor of a block, and output.*, must have been asked for.
  Status check_all_used() const {
    for (const auto& [name, view] : checkpoint_.tensors) {
      const bool matters = name.starts_with("blk.") || name.starts_with("output");
      if (is_residual(name) && !used_.contains(name)) {
        return fail(ErrorCode::kCorruptFile, "{}: tensor {} is the residual of no matrix",
                    checkpoint_.origin, name);
      }
      // Rotation tables that very old converters left in each block.
      if (!matters || name.ends_with(".attn_rot_embd.weight") || used_.contains(name)) continue;
      return fail(ErrorCode::kUnsupported, "{}: tensor {} has no place in this architecture",
                  checkpoint_.origin, name);
    }
    return {};
  }

 private:
  Status check_vector_format(const std::string& name, const TensorView& view) const {
    if (view.format == WeightFormat::kF32 || view.format == WeightFormat::kF16 ||
        view.format == WeightFormat::kBF16) {
      return {};
    }
    return fail(ErrorCode::kUnsupported, "{}: tensor {} is {}, expected f32, f16 or bf16",
                checkpoint_.origin, name, weight_format_info(view.format).name);
  }

  Result<WeightId> load(const std::string& name, const TensorView& view) {
    auto id = backend_.load_matrix(view);
    if (!id) {
      return with_context(id.error(), fmt::format("{}: tensor {}", checkpoint_.origin, name));
    }
    return *id;
  }

  Result<WeightId> rows_of(const std::string& name, const RowRange& rows, int64_t n_in) {
    const int64_t expected[] = {rows.of, n_in};
    AC_TRY(const TensorView whole, find(name, expected));
    AC_TRY(const TensorView view, slice(name, whole, rows));
    AC_TRY(const WeightId id, load(name, view));
    const std::string residual = name + std::string(kResidualSuffix);
    if (has(residual)) AC_TRY_STATUS(load_residual(name, residual, id, whole, rows));
    return id;
  }

  Status load_residual(const std::string& name, const std::string& residual, WeightId base,
                       const TensorView& whole, const RowRange& rows) {
    AC_TRY(const TensorView view, find(residual, whole.axes()));
    const bool is_q4 =
        whole.format == WeightFormat::kQ4_0 || whole.format == WeightFormat::kQ4_0_R16;
    if (!is_q4 || view.format != whole.format) {
      return fail(ErrorCode::kCorruptFile, "{}: tensor {} is {} and its residual {}, expected q4_0",
                  checkpoint_.origin, name, weight_format_info(whole.format).name,
                  weight_format_info(view.format).name);
    }
    AC_TRY(const TensorView part, slice(residual, view, rows));
    if (Status status = backend_.load_residual(base, part); !status) {
      return with_context(status.error(),
                          fmt::format("{}: tensor {}", checkpoint_.origin, residual));
    }
    nested_[name.substr(0, name.size() - std::string_view(".weight").size())].push_back(base);
    return {};
  }

  // The rows of a whole tensor.
  Result<TensorView> slice(const std::string& name, TensorView view, const RowRange& rows) const {
    const int64_t n_in = view.n_cols();
    if (rows.count != rows.of) {
      // A group of interleaved rows can only be taken whole.
      const int64_t group = weight_format_info(view.format).group_rows;
      const int64_t end = rows.begin + rows.count;
      if (rows.begin % group != 0 || (end % group != 0 && end != rows.of)) {
        return fail(ErrorCode::kUnsupported,
                    "{}: tensor {} is {}: rows {} to {} do not begin and end with a group of {}",
                    checkpoint_.origin, name, weight_format_info(view.format).name, rows.begin, end,
                    group);
      }
      const int64_t one_group[] = {group, n_in};
      AC_TRY(const uint64_t group_bytes, tensor_bytes(view.format, one_group));
      view.shape[0] = rows.count;
      view.data += static_cast<uint64_t>(rows.begin / group) * group_bytes;
      AC_TRY(view.size_bytes, tensor_bytes(view.format, view.axes()));
    }
    return view;
  }

  // A factor that several layers read is loaded once.
  Result<WeightId> shared_matrix(const std::string& name, int64_t n_out, int64_t n_in) {
    if (name == last_shared_name_) return last_shared_;
    AC_TRY(last_shared_, matrix(name, n_out, n_in));
    last_shared_name_ = name;
    return last_shared_;
  }

  const Checkpoint& checkpoint_;
  Backend& backend_;
  std::set<std::string, std::less<>> used_;
  std::map<std::string, std::vector<WeightId>, std::less<>> nested_;
  std::string last_shared_name_;
  WeightId last_shared_ = WeightId::kNone;
};

Status bind_attention(Binder& binder, const Family& family, const ModelConfig& config,
                      const LayerConfig& layer, const std::string& prefix, LayerWeights* weights) {
  const BlockNames& names = family.names;
  const auto block = [&](std::string_view name) { return prefix + std::string(name); };
  const int64_t d_model = config.d_model;
  const int64_t q_rows = int64_t{layer.n_heads} * config.d_head;
  const int64_t kv_rows = int64_t{layer.n_kv_heads} * config.d_head;
  AC_TRY(weights->attention_norm, binder.vector(block(names.attention_norm) + ".weight", d_model));
  if (family.may_fuse && binder.has_linear(block(names.qkv))) {
    const std::string name = block(names.qkv);
    const int64_t all = q_rows + 2 * kv_rows;
    AC_TRY(weights->q, binder.linear_rows(name, {0, q_rows, all}, d_model));
    AC_TRY(weights->k, binder.linear_rows(name, {q_rows, kv_rows, all}, d_model));
    AC_TRY(weights->v, binder.linear_rows(name, {q_rows + kv_rows, kv_rows, all}, d_model));
  } else {
    const std::string all = block(names.qkv);
    const bool biased = family.has_qkv_bias;
    AC_TRY(weights->q, binder.linear(block(names.q), q_rows, d_model, biased, all));
    AC_TRY(weights->k, binder.linear(block(names.k), kv_rows, d_model, biased, all));
    AC_TRY(weights->v, binder.linear(block(names.v), kv_rows, d_model, biased, all));
  }
  AC_TRY(weights->o, binder.linear(block(names.o), d_model, q_rows));
  if (family.has_qk_norm) {
    AC_TRY(weights->q_norm, binder.vector(block(names.q_norm) + ".weight", config.d_head));
    AC_TRY(weights->k_norm, binder.vector(block(names.k_norm) + ".weight", config.d_head));
  }
  if (family.has_post_norms) {
    AC_TRY(weights->attention_post_norm,
           binder.vector(block(names.attention_post_norm) + ".weight", d_model));
  }
  return {};
}

Status bind_feed_forward(Binder& binder, const Family& family, const ModelConfig& config,
                         const LayerConfig& layer, const std::string& prefix,
                         LayerWeights* weights) {
  const BlockNames& names = family.names;
  const auto block = [&](std::string_view name) { return prefix + std::string(name); };
  const int64_t d_model = config.d_model;
  const int64_t d_ff = layer.d_ff;
  AC_TRY(weights->ff_norm, binder.vector(block(names.ff_norm) + ".weight", d_model));
  if (family.may_fuse && !binder.has_linear(block(names.gate))) {
    AC_TRY(weights->gate, binder.linear_rows(block(names.up), {0, d_ff, 2 * d_ff}, d_model));
    AC_TRY(weights->up, binder.linear_rows(block(names.up), {d_ff, d_ff, 2 * d_ff}, d_model));
  } else {
    AC_TRY(weights->gate, binder.linear(block(names.gate), d_ff, d_model));
    AC_TRY(weights->up, binder.linear(block(names.up), d_ff, d_model));
  }
  AC_TRY(weights->down, binder.linear(block(names.down), d_model, d_ff));
  if (family.has_post_norms) {
    AC_TRY(weights->ff_post_norm, binder.vector(block(names.ff_post_norm) + ".weight", d_model));
  }
  return {};
}

Status bind_ropes(const Checkpoint& checkpoint, const Family& family, int32_t n_context,
                  Backend& backend, Model* model) {
  const auto load = [&](const RopeFrequencies& rope) {
    return backend.load_rope(
        {rope.inverse_frequencies, model->config.rope_pairing, rope.magnitude});
  };
  AC_TRY(const RopeFrequencies rope, read_rope(checkpoint, family, model->config, n_context));
  AC_TRY(model->rope, load(rope));
  bool any_local = false;
  for (const LayerConfig& layer : model->config.layers) any_local = any_local || layer.local_rope;
  if (any_local) {
    AC_TRY(const RopeFrequencies local, read_local_rope(checkpoint, family, model->config));
    AC_TRY(model->rope_local, load(local));
  }
  return {};
}

}  // namespace

Result<Model> load_model(const Checkpoint& checkpoint, Backend& backend,
                         const LoadOptions& options) {
  AC_TRY(const Family* found, find_family(checkpoint));
  const Family& family = *found;
  Model model;
  AC_TRY(model.config, read_model_config(checkpoint));
  const ModelConfig& config = model.config;
  Binder binder(checkpoint, backend);

  const bool whole = !options.only_layer.has_value();
  if (whole) {
    AC_TRY(model.embedding, binder.matrix("token_embd.weight", config.n_vocab, config.d_model));
    AC_TRY(model.output_norm, binder.vector("output_norm.weight", config.d_model));
    if (binder.has_linear("output")) {
      AC_TRY(model.output, binder.linear("output", config.n_vocab, config.d_model));
    } else {
      model.output.w = model.embedding;
    }
  }
  model.layers.resize(config.layers.size());
  for (size_t i = 0; i < model.layers.size(); ++i) {
    if (!whole && i != static_cast<size_t>(*options.only_layer)) continue;
    const LayerConfig& layer = config.layers[i];
    const std::string prefix = fmt::format("blk.{}.", i);
    if (layer.n_heads > 0) {
      AC_TRY_STATUS(bind_attention(binder, family, config, layer, prefix, &model.layers[i]));
    }
    if (layer.d_ff > 0) {
      AC_TRY_STATUS(bind_feed_forward(binder, family, config, layer, prefix, &model.layers[i]));
    }
  }
  if (whole) AC_TRY_STATUS(binder.check_all_used());
  AC_TRY(model.nested, read_nested_order(checkpoint));
  for (const NestedOrder::Matrix& matrix : model.nested.matrices) {
    model.nested_weights.push_back(binder.nested(matrix.name));
  }
  set_level(backend, model, model.nested.level);
  const int32_t n_context = options.n_context > 0 ? options.n_context : config.n_context;
  AC_TRY_STATUS(bind_ropes(checkpoint, family, n_context, backend, &model));
  return model;
}

void set_level(Backend& backend, const Model& model, int32_t level) {
  const size_t n_read = model.nested.n_read(level);
  for (size_t i = 0; i < model.nested_weights.size(); ++i) {
    for (const WeightId id : model.nested_weights[i]) backend.read_residual(id, i < n_read);
  }
}

}  // namespace ac
