// One streaming pass of a model over calibration text: second moments of every linear's input.
//
// Memory: the residual stream of all tokens, one layer's weights, one layer's moments. So the size
// of a model is bounded by the disk that the moments are handed to, not by memory.
#pragma once

#include <functional>

#include "models/compress/layer_runner.h"
#include "models/compress/moments.h"

namespace ac {

// Fewer tokens than this for each input of the widest linear give moments that fit the text and
// nothing else; what is repaired with them gets worse than without.
inline constexpr size_t kTokensPerFeature = 10;
// Inputs of the widest linear.
int64_t widest_input(const ModelConfig& config);
// Errors: kInvalidArgument, saying how many tokens are missing.
Status check_enough_tokens(const ModelConfig& config, size_t n_tokens);

struct CalibrateOptions {
  int n_threads = 0;
  // Layers whose moments are there already are run but not measured.
  std::function<bool(int32_t layer)> has = {};
  std::function<Status(int32_t layer, LayerMoments moments)> keep;
  std::function<void(int32_t done_layers, int32_t n_layers)> progress = {};
};
// Calls `keep` for every layer in order. Layers after the last that `has` does not know are not
// run. Errors: check_enough_tokens is the caller's; those of load_model, of the backend and of
// `keep`; kCorruptFile when activations are not finite.
Status calibrate(const Checkpoint& checkpoint, const TokenWindows& windows,
                 const CalibrateOptions& options);

}  // namespace ac
