// One layer of a model over many tokens: how the compressor walks a model of any size.
//
// The residual stream of all tokens, x [n_tokens, d_model], stays in memory; of the weights only
// one layer's are loaded at a time. What the linear layers read is shown on the way.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "models/arch/model.h"
#include "models/compress/calibration_text.h"
#include "runtime/core/checkpoint.h"

namespace ac {

// Inputs of the linear layers of one block for some consecutive tokens.
struct BlockInputs {
  size_t first_token = 0;
  size_t n_tokens = 0;
  std::span<const float> normed;  // [n_tokens, d_model]: q, k, v; or gate, up
  std::span<const float> inner;   // [n_tokens, n_heads * d_head]: o; or [n_tokens, d_ff]: down
};
using BlockTap = std::function<Status(const BlockInputs&)>;

// Embeddings of all tokens. Errors: kOutOfMemory, kNotFound.
Result<Buffer> embed_windows(const Checkpoint& checkpoint, const ModelConfig& config,
                             const TokenWindows& windows);

class LayerRunner {
 public:
  // `x` [n_tokens, d_model] is the stream of all windows; it and `checkpoint` must outlive this.
  // Errors: those of load_model and the backend.
  static Result<std::unique_ptr<LayerRunner>> create(const Checkpoint& checkpoint, int32_t layer,
                                                     const TokenWindows& windows,
                                                     std::span<float> x, int n_threads);

  bool has_attention() const;
  bool has_feed_forward() const;
  // kKeep: only shows what the linear layers read and leaves x as it was.
  enum class Stream { kAdvance, kKeep };
  Status attention(Stream stream, const BlockTap& tap);
  Status feed_forward(Stream stream, const BlockTap& tap);

 private:
  LayerRunner() = default;
  template <class Run>
  Status run(Stream stream, const BlockTap& tap, const Run& block);

  const TokenWindows* windows_ = nullptr;
  std::span<float> x_;
  int32_t layer_ = 0;
  std::unique_ptr<Backend> backend_;
  Model model_;
  WeightId stream_ = WeightId::kNone;
};

}  // namespace ac
