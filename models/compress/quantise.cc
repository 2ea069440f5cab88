#include "models/compress/quantise.h"

#include <algorithm>
#include <numeric>
#include <optional>

#include "cpu/formats/codecs.h"
#include "models/arch/nested.h"
#include "models/compress/error_compensation.h"
#include "models/compress/requantize.h"
#include "models/compress/tensor_values.h"

namespace ac {
namespace {

// Rows that are whole blocks of 32 but not of 256 take the format of 32 with as many bits.
WeightFormat fitting(WeightFormat format, int64_t n_cols) {
  const bool fits = n_cols % weight_format_info(format).block_weights == 0;
  if (fits || n_cols % 32 != 0) return format;
  if (format == WeightFormat::kQ4_K) return WeightFormat::kQ4_0;
  if (format == WeightFormat::kQ6_K) return WeightFormat::kQ8_0;
  return format;
}

class Quantiser {
 public:
  // With `base`, what was made without: what it leaves of the original is rounded instead.
  Quantiser(const Stage& stage, const QuantiseOptions& options, const Checkpoint* base = nullptr)
      : stage_(stage), options_(options), base_(base), team_(stage.team()) {}

  Result<Part> layer(int32_t index) {
    Part part;
    LayerMoments moments;
    if (options_.rounding != Rounding::kNearest) {
      AC_TRY(moments, stage_.moments(index));
    }
    const std::vector<int32_t> order = channel_order(index, moments.down);
    for (const LinearRole& role : linear_roles()) {
      const std::string dense = layer_tensor(index, role.name);
      const InputMoments& inputs = moments.of(role.input);
      const Matrix* h = inputs.h.empty() ? nullptr : &inputs.h;
      if (has_tensor(stage_.from(), dense)) {
        AC_TRY_STATUS(matrix(part, dense, role, h, order));
      }
    }
    AC_TRY_STATUS(low_rank_pairs(part, index, moments));
    return part;
  }

  // Embedding and output.
  Result<Part> ends() {
    Part part;
    const Checkpoint& from = stage_.from();
    for (const std::string name : {"token_embd.weight", "output.weight"}) {
      if (!has_tensor(from, name)) continue;
      const bool makes_logits = name == "output.weight" || !has_tensor(from, "output.weight");
      AC_TRY(const TensorView view, from.tensor(name));
      const bool chosen = makes_logits && options_.output.has_value();
      const WeightFormat wanted =
          fitting(chosen ? *options_.output : options_.format, view.n_cols());
      FormatChoice choice{wanted, ""};
      if (chosen && view.n_cols() % weight_format_info(wanted).block_weights == 0) {
        if (bits(view.format) <= bits(wanted)) choice.format = view.format;
      } else {
        choice = choose_format(name, view, wanted, from);
      }
      AC_TRY(Weights weights, read_weights(from, name, team_));
      AC_TRY_STATUS(write(part, name, view, weights, choice, nullptr));
    }
    return part;
  }

 private:
  static double bits(WeightFormat format) { return weight_format_info(format).bits_per_weight; }

  // The channels of the feed-forward block, strongest first; empty where their order stays.
  std::vector<int32_t> channel_order(int32_t index, const InputMoments& down) const {
    const bool useful = options_.reorder && options_.rounding == Rounding::kCompensated;
    const Checkpoint& from = stage_.from();
    // Only dense layers in floating point: rows of blocks can be moved, but columns cannot.
    for (const char* name : {"ffn_gate", "ffn_up", "ffn_down"}) {
      const auto it = from.tensors.find(layer_tensor(index, name));
      if (it == from.tensors.end() || bits(it->second.format) < 16) return {};
    }
    const std::string up = layer_tensor(index, "ffn_up");
    if (!useful || down.h.empty() || has_tensor(from, up.substr(0, up.size() - 6) + "bias")) {
      return {};
    }
    std::vector<int32_t> order(static_cast<size_t>(down.h.n_rows()));
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return down.h(a, a) > down.h(b, b); });
    return order;
  }

  Status matrix(Part& part, const std::string& name, const LinearRole& role, const Matrix* h,
                const std::vector<int32_t>& order) {
    AC_TRY(const TensorView view, stage_.from().tensor(name));
    const FormatChoice choice =
        choose_format(name, view, fitting(options_.format, view.n_cols()), stage_.from());
    AC_TRY(Weights weights, read_weights(stage_.from(), name, team_));
    Matrix ordered;
    if (!order.empty() && role.input == InputKind::kFeedForward) {
      AC_TRY(weights, reordered_rows(weights, order));
    } else if (!order.empty() && role.input == InputKind::kDown) {
      AC_TRY(weights, reordered_columns(weights, order));
      AC_TRY(ordered, principal_part(*h, order));
      h = &ordered;
    }
    return write(part, name, view, weights, choice, h);
  }

  // Pairs y = A (B x): B sees the layer's inputs, A what the rounded B makes of them.
  Status low_rank_pairs(Part& part, int32_t index, const LayerMoments& moments) {
    const Checkpoint& from = stage_.from();
    std::map<std::string, Matrix> inner;  // moments of B x, by the name of B
    for (const LinearRole& role : linear_roles()) {
      const std::string out = layer_tensor(index, std::string(role.name) + ".lowrank_out");
      if (!has_tensor(from, out)) continue;
      std::string in = layer_tensor(index, std::string(role.name) + ".lowrank_in");
      if (!has_tensor(from, in)) in = layer_tensor(index, "attn_qkv.lowrank_in");
      const Matrix& h = moments.of(role.input).h;
      if (!inner.contains(in)) {
        AC_TRY(const TensorView view, from.tensor(in));
        const FormatChoice choice =
            choose_format(in, view, fitting(options_.format, view.n_cols()), from);
        AC_TRY(Weights weights, read_weights(from, in, team_));
        AC_TRY_STATUS(write(part, in, view, weights, choice, h.empty() ? nullptr : &h));
        Matrix made;
        if (!h.empty()) {
          AC_TRY(const Matrix b, read_matrix(base_ != nullptr ? *base_ : part.tensors, in, team_));
          AC_TRY(const Matrix bh, product(b, h, Transposed::kNo, team_));
          AC_TRY(made, product(bh, b, Transposed::kYes, team_));
        }
        inner.emplace(in, std::move(made));
      }
      AC_TRY(const TensorView view, from.tensor(out));
      const FormatChoice choice =
          choose_format(out, view, fitting(options_.format, view.n_cols()), from);
      AC_TRY(Weights weights, read_weights(from, out, team_));
      const Matrix& bhb = inner.at(in);
      AC_TRY_STATUS(write(part, out, view, weights, choice, bhb.empty() ? nullptr : &bhb));
    }
    return {};
  }

  Result<Weights> reordered_rows(Weights& weights, const std::vector<int32_t>& order) {
    // gate and up in one tensor: both halves take the order.
    const auto n = static_cast<int64_t>(order.size());
    AC_CHECK(weights.n_rows % n == 0);
    Weights to;
    to.n_rows = weights.n_rows;
    to.n_cols = weights.n_cols;
    AC_TRY(to.buffer, Buffer::allocate(weights.buffer.size_bytes()));
    const auto width = static_cast<size_t>(weights.n_cols);
    for (int64_t r = 0; r < to.n_rows; ++r) {
      const int64_t source = r / n * n + order[static_cast<size_t>(r % n)];
      std::copy_n(weights.values().data() + static_cast<size_t>(source) * width, width,
                  to.values().data() + static_cast<size_t>(r) * width);
    }
    return to;
  }

  Result<Weights> reordered_columns(Weights& weights, const std::vector<int32_t>& order) {
    Weights to;
    to.n_rows = weights.n_rows;
    to.n_cols = weights.n_cols;
    AC_TRY(to.buffer, Buffer::allocate(weights.buffer.size_bytes()));
    const auto width = static_cast<size_t>(weights.n_cols);
    for (size_t r = 0; r < static_cast<size_t>(to.n_rows); ++r) {
      const float* source = weights.values().data() + r * width;
      float* row = to.values().data() + r * width;
      for (size_t j = 0; j < width; ++j) row[j] = source[order[j]];
    }
    return to;
  }

  // `weights` as tensor `name` of the part, in the chosen format; or what the base leaves of them.
  Status write(Part& part, const std::string& name, const TensorView& view, Weights& weights,
               const FormatChoice& choice, const Matrix* h) {
    if (base_ != nullptr) return write_residual(part, name, view, weights, h);
    if (!choice.reason.empty()) {
      part.notes.push_back(
          fmt::format("{}: {}, {}", name, weight_format_info(choice.format).name, choice.reason));
    }
    const int64_t shape[] = {weights.n_rows, weights.n_cols};
    AC_TRY(const std::span<std::byte> to, part.tensors.add_tensor(name, choice.format, shape));
    if (choice.format == view.format && bits(view.format) < 16) {  // never rounded a second time
      std::copy_n(view.data, view.size_bytes, to.data());
      return {};
    }
    return round(part, name, weights, choice.format, choice.format == view.format ? nullptr : h,
                 to);
  }

  Status write_residual(Part& part, const std::string& name, const TensorView& view,
                        Weights& weights, const Matrix* h) {
    constexpr WeightFormat kFormat = WeightFormat::kQ4_0;
    AC_TRY(const TensorView base, base_->tensor(name));
    if (base.format != kFormat || view.format == kFormat) return {};
    const auto n = static_cast<size_t>(weights.n_cols);
    const size_t row_bytes = cpu::row_bytes(kFormat, n);
    const std::span<float> values = weights.values();
    std::vector<std::vector<float>> rows(static_cast<size_t>(team_.n_threads()),
                                         std::vector<float>(n));
    team_.for_each_chunk(static_cast<int32_t>(weights.n_rows), [&](int32_t row, int32_t worker) {
      std::vector<float>& decoded = rows[static_cast<size_t>(worker)];
      const auto r = static_cast<size_t>(row);
      cpu::codec(kFormat).decode_row(base.data + r * row_bytes, decoded.data(), n);
      for (size_t i = 0; i < n; ++i) values[r * n + i] -= decoded[i];
    });
    const std::string residual = name + std::string(kResidualSuffix);
    AC_TRY(const std::span<std::byte> to, part.tensors.add_tensor(residual, kFormat, base.axes()));
    if (h != nullptr) return round(part, residual, weights, kFormat, h, to);
    const std::vector<double> alike(n, 1.0);
    round_by_search(values, weights.n_cols, alike, kFormat, to.data(), team_);
    return {};
  }

  // Rounds `weights` to `format`, with what is known of their inputs (null: nothing).
  Status round(Part& part, const std::string& name, Weights& weights, WeightFormat format,
               const Matrix* h, std::span<std::byte> to) {
    const auto n = static_cast<size_t>(weights.n_cols);
    if (h != nullptr && can_compensate(format)) {
      if (options_.rounding == Rounding::kCompensated) {
        const auto damping = round_with_compensation(weights.values(), *h, options_.damping, format,
                                                     to.data(), team_);
        if (damping && *damping > options_.damping) {
          part.notes.push_back(fmt::format("{}: second moments damped by {}", name, *damping));
        }
        if (damping) return {};
        if (damping.error().code != ErrorCode::kUnsupported) return damping.error();
        part.notes.push_back(
            fmt::format("{}: rounded without compensation: {}", name, damping.error().message));
      }
      std::vector<double> diagonal(n);
      for (size_t i = 0; i < n; ++i) {
        diagonal[i] = (*h)(static_cast<int64_t>(i), static_cast<int64_t>(i));
      }
      round_by_search(weights.values(), weights.n_cols, diagonal, format, to.data(), team_);
      return {};
    }
    const cpu::Codec& codec = cpu::codec(format);
    const size_t row_bytes = cpu::row_bytes(format, n);
    const std::span<const float> values = weights.values();
    team_.for_each_chunk(static_cast<int32_t>(weights.n_rows), [&](int32_t row, int32_t) {
      const auto r = static_cast<size_t>(row);
      codec.encode_row(values.data() + r * n, to.data() + r * row_bytes, n);
    });
    return {};
  }

  const Stage& stage_;
  const QuantiseOptions& options_;
  const Checkpoint* base_;
  cpu::ThreadTeam& team_;
};

// What the layers depend on: not the ends.
std::string layers_text(const QuantiseOptions& options) {
  std::string text = fmt::format("quantise {} rounding={}", weight_format_info(options.format).name,
                                 rounding_name(options.rounding));
  if (options.rounding == Rounding::kCompensated) {
    text += fmt::format(" damping={} reorder={}", options.damping, options.reorder ? "yes" : "no");
  }
  return text;
}

}  // namespace

std::string_view rounding_name(Rounding rounding) {
  switch (rounding) {
    case Rounding::kNearest:
      return "nearest";
    case Rounding::kSearch:
      return "search";
    case Rounding::kCompensated:
      return "compensated";
  }
  return "";
}

std::string quantise_text(const QuantiseOptions& options) {
  std::string text = layers_text(options);
  if (options.output) text += fmt::format(" output={}", weight_format_info(*options.output).name);
  return text;
}

Result<std::vector<Part>> quantised_parts(const Stage& stage, const QuantiseOptions& options) {
  AC_TRY(const ModelConfig config, read_model_config(stage.from()));
  Quantiser quantiser(stage, options);
  const auto n_layers = static_cast<int32_t>(config.layers.size());
  std::vector<Part> parts;
  AC_TRY(Part ends,
         stage.shared_part(quantise_text(options), "ends", [&] { return quantiser.ends(); }));
  parts.push_back(std::move(ends));
  for (int32_t layer = 0; layer < n_layers; ++layer) {
    stage.progress(static_cast<uint64_t>(layer) + 1, static_cast<uint64_t>(n_layers) + 1,
                   fmt::format("layer {}", layer));
    AC_TRY(Part part, stage.shared_part(layers_text(options), fmt::format("layer{:03}", layer),
                                        [&] { return quantiser.layer(layer); }));
    parts.push_back(std::move(part));
  }
  return parts;
}

Result<Part> residual_part(const Stage& stage, const QuantiseOptions& options, size_t index,
                           const Part& base) {
  Quantiser quantiser(stage, options, &base.tensors);
  if (index == 0) {
    return stage.shared_part(quantise_text(options), "residual-ends",
                             [&] { return quantiser.ends(); });
  }
  const auto layer = static_cast<int32_t>(index) - 1;
  return stage.shared_part(layers_text(options), fmt::format("residual{:03}", layer),
                           [&] { return quantiser.layer(layer); });
}

Result<StageResult> quantise(const Stage& stage, const QuantiseOptions& options) {
  AC_TRY(std::vector<Part> parts, quantised_parts(stage, options));
  StageResult result;
  for (const Part& part : parts) {
    result.notes.insert(result.notes.end(), part.notes.begin(), part.notes.end());
  }
  result.checkpoint = assemble(stage.shared_from(), std::move(parts));
  set_file_type(result.checkpoint, options.format);
  return result;
}

}  // namespace ac
