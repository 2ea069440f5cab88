#include "models/compress/calibration.h"

#include <algorithm>
#include <cmath>

namespace ac {
namespace {

// Mean over tokens of 1 - cos(before, after).
double influence_of(std::span<const float> before, std::span<const float> after, size_t d_model) {
  double sum = 0;
  const size_t n_tokens = before.size() / d_model;
  for (size_t i = 0; i < n_tokens; ++i) {
    double bb = 0, aa = 0, ab = 0;
    for (size_t j = i * d_model; j < (i + 1) * d_model; ++j) {
      const auto b = static_cast<double>(before[j]);
      const auto a = static_cast<double>(after[j]);
      bb += b * b;
      aa += a * a;
      ab += a * b;
    }
    sum += 1 - ab / std::sqrt(std::max(bb * aa, 1e-300));
  }
  return sum / static_cast<double>(std::max<size_t>(1, n_tokens));
}

// A block's two moments, summed while it runs.
struct BlockSums {
  MomentSum normed;
  MomentSum inner;

  BlockTap tap(cpu::ThreadTeam& team) {
    return [this, &team](const BlockInputs& inputs) -> Status {
      normed.add(inputs.normed, team);
      inner.add(inputs.inner, team);
      return {};
    };
  }
};

Result<BlockSums> block_sums(int64_t n_normed, int64_t n_inner) {
  AC_TRY(MomentSum normed, MomentSum::create(n_normed));
  AC_TRY(MomentSum inner, MomentSum::create(n_inner));
  return BlockSums{std::move(normed), std::move(inner)};
}

Status check_finite(const InputMoments& moments, const Checkpoint& checkpoint, int32_t layer) {
  for (int64_t i = 0; i < moments.h.n_rows(); ++i) {
    if (!std::isfinite(moments.h(i, i))) {
      return fail(ErrorCode::kCorruptFile, "{}: layer {} computes numbers that are not finite",
                  checkpoint.origin, layer);
    }
  }
  return {};
}

}  // namespace

int64_t widest_input(const ModelConfig& config) {
  int64_t widest = config.d_model;
  for (const LayerConfig& layer : config.layers) {
    widest = std::max<int64_t>({widest, layer.d_ff, int64_t{layer.n_heads} * config.d_head});
  }
  return widest;
}

Status check_enough_tokens(const ModelConfig& config, size_t n_tokens) {
  const auto widest = static_cast<size_t>(widest_input(config));
  const size_t needed = widest * kTokensPerFeature;
  if (n_tokens >= needed) return {};
  return fail(
      ErrorCode::kInvalidArgument,
      "calibration text of {} tokens, expected at least {}: {} for each of the {} inputs of "
      "the widest matrix; {} are missing",
      n_tokens, needed, kTokensPerFeature, widest, needed - n_tokens);
}

Status calibrate(const Checkpoint& checkpoint, const TokenWindows& windows,
                 const CalibrateOptions& options) {
  AC_TRY(const ModelConfig config, read_model_config(checkpoint));
  const auto n_layers = static_cast<int32_t>(config.layers.size());
  const auto has = [&](int32_t layer) { return options.has && options.has(layer); };
  int32_t end = n_layers;
  while (end > 0 && has(end - 1)) --end;
  if (end == 0) return {};

  cpu::ThreadTeam team({.n_threads = options.n_threads});
  AC_TRY(Buffer stream, embed_windows(checkpoint, config, windows));
  const std::span<float> x =
      stream.as<float>().first(windows.tokens.size() * static_cast<size_t>(config.d_model));
  for (int32_t layer = 0; layer < end; ++layer) {
    const LayerConfig& shape = config.layers[static_cast<size_t>(layer)];
    AC_TRY(const auto runner,
           LayerRunner::create(checkpoint, layer, windows, x, options.n_threads));
    const bool measured = !has(layer);
    LayerMoments moments;
    moments.n_tokens = windows.tokens.size();
    // Influence is judged on a part of the stream: copying all of it would double the memory.
    const size_t judged = std::min<size_t>(windows.tokens.size(), 4096);
    const std::vector<float> before(
        x.begin(), x.begin() + static_cast<std::ptrdiff_t>(
                                   measured ? judged * static_cast<size_t>(config.d_model) : 0));
    if (shape.n_heads > 0) {
      AC_TRY(BlockSums sums, block_sums(measured ? config.d_model : 0,
                                        measured ? int64_t{shape.n_heads} * config.d_head : 0));
      AC_TRY_STATUS(
          runner->attention(LayerRunner::Stream::kAdvance, measured ? sums.tap(team) : BlockTap()));
      moments.attention = std::move(sums.normed).finish();
      moments.output = std::move(sums.inner).finish();
    }
    if (shape.d_ff > 0) {
      AC_TRY(BlockSums sums,
             block_sums(measured ? config.d_model : 0, measured ? int64_t{shape.d_ff} : 0));
      AC_TRY_STATUS(runner->feed_forward(LayerRunner::Stream::kAdvance,
                                         measured ? sums.tap(team) : BlockTap()));
      moments.feed_forward = std::move(sums.normed).finish();
      moments.down = std::move(sums.inner).finish();
    }
    if (measured) {
      for (const InputKind kind : kInputKinds) {
        AC_TRY_STATUS(check_finite(moments.of(kind), checkpoint, layer));
      }
      moments.influence =
          influence_of(before, x.first(before.size()), static_cast<size_t>(config.d_model));
      AC_TRY_STATUS(options.keep(layer, std::move(moments)));
    }
    if (options.progress) options.progress(layer + 1, n_layers);
  }
  return {};
}

}  // namespace ac
