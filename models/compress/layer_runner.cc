#include "models/compress/layer_runner.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "cpu/backend_cpu.h"
#include "cpu/formats/codecs.h"

namespace ac {
namespace {

// Tokens of one step: enough for products at full speed, few enough that all activations of a
// block stay small.
constexpr size_t kTokensPerStep = 512;

}  // namespace

Result<Buffer> embed_windows(const Checkpoint& checkpoint, const ModelConfig& config,
                             const TokenWindows& windows) {
  AC_TRY(const TensorView table, checkpoint.tensor("token_embd.weight"));
  const auto d_model = static_cast<size_t>(config.d_model);
  const cpu::Codec& codec = cpu::codec(table.format);
  AC_CHECK(codec.decode_row != nullptr);
  const size_t row_bytes = cpu::row_bytes(table.format, d_model);
  AC_TRY(Buffer x, Buffer::allocate(windows.tokens.size() * d_model * sizeof(float)));
  float* row = x.as<float>().data();
  for (const int32_t token : windows.tokens) {
    AC_CHECK(token >= 0 && token < config.n_vocab);
    codec.decode_row(table.data + static_cast<size_t>(token) * row_bytes, row, d_model);
    for (size_t j = 0; j < d_model; ++j) row[j] *= config.embedding_scale;
    row += d_model;
  }
  return x;
}

Result<std::unique_ptr<LayerRunner>> LayerRunner::create(const Checkpoint& checkpoint,
                                                         int32_t layer, const TokenWindows& windows,
                                                         std::span<float> x, int n_threads) {
  std::unique_ptr<LayerRunner> runner(new LayerRunner());
  runner->windows_ = &windows;
  runner->x_ = x;
  runner->layer_ = layer;
  AC_TRY(runner->backend_, cpu::create_cpu_backend({.n_threads = n_threads, .keeps_values = true}));
  size_t longest = 1;
  for (size_t i = 0; i < windows.n_windows(); ++i) {
    longest = std::max(longest, windows.window(i).size());
  }
  const auto n_context = static_cast<int32_t>(longest);
  AC_TRY(runner->model_,
         load_model(checkpoint, *runner->backend_, {.n_context = n_context, .only_layer = layer}));
  const ModelConfig& config = runner->model_.config;
  KvShape shape = config.kv_shape(1, n_context, KvFormat::kF32);
  for (size_t i = 0; i < shape.layers.size(); ++i) {
    if (i != static_cast<size_t>(layer)) shape.layers[i].n_kv_heads = 0;
  }
  AC_TRY_STATUS(runner->backend_->create_kv(shape));
  // The stream is read through the verb that reads rows of a table.
  AC_CHECK(x.size() == windows.tokens.size() * static_cast<size_t>(config.d_model));
  AC_TRY(runner->stream_,
         runner->backend_->load_matrix(
             {.data = reinterpret_cast<const std::byte*>(x.data()),
              .size_bytes = x.size_bytes(),
              .format = WeightFormat::kF32,
              .n_axes = 2,
              .shape = {static_cast<int64_t>(windows.tokens.size()), config.d_model, 1, 1}}));
  return runner;
}

bool LayerRunner::has_attention() const {
  return model_.config.layers[static_cast<size_t>(layer_)].n_heads > 0;
}
bool LayerRunner::has_feed_forward() const {
  return model_.config.layers[static_cast<size_t>(layer_)].d_ff > 0;
}

template <class Run>
Status LayerRunner::run(Stream stream, const BlockTap& tap, const Run& block) {
  const auto d_model = static_cast<size_t>(model_.config.d_model);
  std::vector<int32_t> rows, positions;
  const std::vector<int32_t> slots(kTokensPerStep, 0);
  size_t first = 0;
  for (size_t w = 0; w < windows_->n_windows(); ++w) {
    const size_t length = windows_->window(w).size();
    for (size_t done = 0; done < length;) {
      const size_t n = std::min(kTokensPerStep, length - done);
      rows.resize(n);
      positions.resize(n);
      std::iota(rows.begin(), rows.end(), static_cast<int32_t>(first + done));
      std::iota(positions.begin(), positions.end(), static_cast<int32_t>(done));
      backend_->begin_step(
          {.tokens = rows, .positions = positions, .slots = std::span(slots).first(n)});
      const Value x = backend_->embed(stream_);
      const BlockValues values = block(x);
      AC_TRY_STATUS(backend_->end_step());
      if (tap) {
        AC_TRY_STATUS(tap({.first_token = first + done,
                           .n_tokens = n,
                           .normed = backend_->read(values.normed),
                           .inner = backend_->read(values.inner)}));
      }
      if (stream == Stream::kAdvance) {
        std::memcpy(x_.data() + (first + done) * d_model, backend_->read(x).data(),
                    n * d_model * sizeof(float));
      }
      done += n;
    }
    first += length;
  }
  return {};
}

Status LayerRunner::attention(Stream stream, const BlockTap& tap) {
  return run(stream, tap,
             [&](Value x) { return run_attention_block(*backend_, model_, layer_, x); });
}

Status LayerRunner::feed_forward(Stream stream, const BlockTap& tap) {
  return run(stream, tap,
             [&](Value x) { return run_feed_forward_block(*backend_, model_, layer_, x); });
}

}  // namespace ac
