#include "models/compress/repair.h"

#include "models/compress/layer_runner.h"
#include "models/compress/tensor_values.h"

namespace ac {
namespace {

class Repairer {
 public:
  Repairer(const Stage& stage, const RepairOptions& options, ModelConfig config)
      : stage_(stage),
        options_(options),
        config_(std::move(config)),
        windows_(stage.calibration()),
        team_(stage.team()),
        student_(assemble(stage.shared_from(), {})) {}

  Result<StageResult> run() {
    AC_TRY(const ModelConfig base_config, read_model_config(stage_.base()));
    if (base_config.layers.size() != config_.layers.size() ||
        base_config.d_model != config_.d_model) {
      return fail(ErrorCode::kInvalidArgument, "{} and {} differ in layers or width",
                  stage_.base().origin, stage_.from().origin);
    }
    AC_TRY(Buffer base_memory, embed_windows(stage_.base(), base_config, windows_));
    AC_TRY(Buffer student_memory, embed_windows(stage_.from(), config_, windows_));
    const size_t n = windows_.tokens.size() * static_cast<size_t>(config_.d_model);
    base_x_ = base_memory.as<float>().first(n);
    x_ = student_memory.as<float>().first(n);
    const auto n_layers = static_cast<int32_t>(config_.layers.size());
    for (int32_t layer = 0; layer < n_layers; ++layer) {
      stage_.progress(static_cast<uint64_t>(layer) + 1, static_cast<uint64_t>(n_layers),
                      fmt::format("layer {}", layer));
      for (const InputKind kind : {InputKind::kOutput, InputKind::kDown}) {
        AC_TRY_STATUS(block(layer, kind));
      }
    }
    StageResult result;
    result.checkpoint = std::move(student_);
    result.notes = std::move(notes_);
    return result;
  }

 private:
  static bool is_attention(InputKind kind) { return kind == InputKind::kOutput; }

  static Status run_block(LayerRunner& runner, InputKind kind, LayerRunner::Stream stream,
                          const BlockTap& tap) {
    return is_attention(kind) ? runner.attention(stream, tap) : runner.feed_forward(stream, tap);
  }

  static bool has_block(const LayerRunner& runner, InputKind kind) {
    return is_attention(kind) ? runner.has_attention() : runner.has_feed_forward();
  }

  Result<std::unique_ptr<LayerRunner>> student_runner(int32_t layer) const {
    return LayerRunner::create(student_, layer, windows_, x_, team_.n_threads());
  }

  Status block(int32_t layer, InputKind kind) {
    AC_TRY(const auto base,
           LayerRunner::create(stage_.base(), layer, windows_, base_x_, team_.n_threads()));
    if (has_block(*base, kind)) {
      AC_TRY_STATUS(run_block(*base, kind, LayerRunner::Stream::kAdvance, nullptr));
    }
    AC_TRY(auto student, student_runner(layer));
    if (!has_block(*student, kind)) return {};
    const std::string_view name = is_attention(kind) ? "attn_output" : "ffn_down";
    AC_TRY(Part part, stage_.part(fmt::format("layer{:03}-{}", layer, name),
                                  [&] { return fit(*student, layer, kind, name); }));
    notes_.insert(notes_.end(), part.notes.begin(), part.notes.end());
    for (const std::string& tensor : part.tensors.tensor_order) {
      student_.set_tensor(tensor, part.tensors.tensors.at(tensor));
    }
    student_.keep_alive(std::make_shared<Checkpoint>(std::move(part.tensors)));
    student.reset();
    AC_TRY(const auto repaired, student_runner(layer));
    return run_block(*repaired, kind, LayerRunner::Stream::kAdvance, nullptr);
  }

  Result<Part> fit(LayerRunner& student, int32_t layer, InputKind kind, std::string_view name) {
    Part part;
    const std::string prefix = fmt::format("blk.{}.", layer);
    const char* post = is_attention(kind) ? "post_attention_norm.weight" : "post_ffw_norm.weight";
    if (has_tensor(student_, prefix + post)) {
      part.notes.push_back(fmt::format("{}{}: not repaired, its output is normed", prefix, name));
      return part;
    }
    const LayerConfig& shape = config_.layers[static_cast<size_t>(layer)];
    const int64_t n_in = is_attention(kind) ? int64_t{shape.n_heads} * config_.d_head : shape.d_ff;
    AC_TRY(MomentSum sum, MomentSum::create(n_in));
    AC_TRY(Matrix cross, Matrix::create(config_.d_model, n_in));
    const auto d_model = static_cast<size_t>(config_.d_model);
    std::vector<float> bias(d_model, 0.0f);
    if (const std::string full = prefix + std::string(name) + ".bias"; has_tensor(student_, full)) {
      AC_TRY(Weights values, read_weights(student_, full, team_));
      std::copy(values.values().begin(), values.values().end(), bias.begin());
    }
    std::vector<float> target;
    AC_TRY_STATUS(run_block(student, kind, LayerRunner::Stream::kKeep,
                            [&](const BlockInputs& inputs) -> Status {
                              const size_t first = inputs.first_token * d_model;
                              target.resize(inputs.n_tokens * d_model);
                              for (size_t i = 0; i < target.size(); ++i) {
                                target[i] = base_x_[first + i] - x_[first + i] - bias[i % d_model];
                              }
                              sum.add(inputs.inner, team_);
                              add_cross_moments(target, inputs.inner, cross, team_);
                              return {};
                            }));
    const double scale = 1.0 / static_cast<double>(windows_.tokens.size());
    for (int64_t i = 0; i < cross.n_rows(); ++i) {
      for (double& value : cross.row(i)) value *= scale;
    }
    const Matrix h = std::move(sum).finish().h;
    const std::string dense = layer_tensor(layer, name);
    const std::string outer = layer_tensor(layer, std::string(name) + ".lowrank_out");
    if (has_tensor(student_, dense)) {
      AC_TRY(const Matrix w, read_matrix(student_, dense, team_));
      AC_TRY(const Matrix made, fit_to_targets(w, h, cross, options_.damping, team_));
      AC_TRY_STATUS(add_matrix(part.tensors, dense, made));
      return part;
    }
    AC_TRY(const Matrix a, read_matrix(student_, outer, team_));
    AC_TRY(const Matrix b,
           read_matrix(student_, layer_tensor(layer, std::string(name) + ".lowrank_in"), team_));
    AC_TRY(const Matrix bh, product(b, h, Transposed::kNo, team_));
    AC_TRY(const Matrix bhb, product(bh, b, Transposed::kYes, team_));
    AC_TRY(const Matrix cb, product(cross, b, Transposed::kYes, team_));
    AC_TRY(const Matrix made, fit_to_targets(a, bhb, cb, options_.damping, team_));
    AC_TRY_STATUS(add_matrix(part.tensors, outer, made));
    return part;
  }

  const Stage& stage_;
  const RepairOptions& options_;
  ModelConfig config_;
  const TokenWindows& windows_;
  cpu::ThreadTeam& team_;
  Checkpoint student_;
  std::span<float> base_x_;
  std::span<float> x_;
  std::vector<std::string> notes_;
};

}  // namespace

Result<Matrix> fit_to_targets(const Matrix& w, const Matrix& h, const Matrix& c, double damping,
                              cpu::ThreadTeam& team) {
  AC_TRY(const Cholesky factor, factorise(h, damping));
  AC_TRY(Matrix change, copy_of(c));
  multiply(w, h, Transposed::kNo, change, team, -1, 1);
  solve_rows(factor, change, team);
  for (int64_t i = 0; i < w.n_rows(); ++i) {
    for (int64_t j = 0; j < w.n_cols(); ++j) change(i, j) += w(i, j);
  }
  return change;
}

Result<StageResult> repair(const Stage& stage, const RepairOptions& options) {
  AC_TRY(ModelConfig config, read_model_config(stage.from()));
  return Repairer(stage, options, std::move(config)).run();
}

}  // namespace ac
