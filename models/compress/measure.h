// How far a variant is from its base on held-out text, and how fast it is here.
//
// Both models run side by side, a few positions at a time; nothing of size [n_tokens, n_vocab] is
// ever kept. Keys and values are f32 in both, so that only weights differ.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "models/compress/calibration_text.h"
#include "runtime/core/backend.h"
#include "runtime/core/checkpoint.h"

namespace ac {

struct Quality {
  uint64_t n_tokens = 0;  // positions whose next token was predicted
  double base_perplexity = 0;
  double perplexity = 0;
  // Kullback-Leibler divergence of the variant's next-token distribution from the base's, in nats.
  double kl_mean = 0;
  double kl_median = 0;
  double kl_99 = 0;      // 99th percentile over positions
  double same_top1 = 0;  // share of positions where both find the same token likeliest
};

struct MeasureOptions {
  int n_threads = 0;
  std::function<void(size_t done_tokens, size_t n_tokens)> progress = {};
};
// Errors: those of load_model and the backend; kInvalidArgument when vocabularies differ;
// kCorruptFile when logits are not finite.
Result<Quality> measure_quality(const Checkpoint& base, const Checkpoint& variant,
                                const TokenWindows& held_out, const MeasureOptions& options = {});

// How far a nested checkpoint is from `base` while it reads no residual or that of a single matrix.
class NestedMeter {
 public:
  // Both must outlive the meter. Errors: as measure_quality.
  static Result<std::unique_ptr<NestedMeter>> create(const Checkpoint& base,
                                                     const Checkpoint& nested, size_t max_tokens,
                                                     int n_threads);
  ~NestedMeter();
  // Divergences summed over the positions of `window`, at most max_tokens of them: [0] with no
  // residual, [1 + i] with only that of matrix i of the checkpoint's order. Errors: those of the
  // backend; kCorruptFile when logits are not finite.
  Result<std::vector<float>> divergences(std::span<const int32_t> window);

 private:
  struct State;
  explicit NestedMeter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Median time of decoding one token after a short prompt, f16 keys and values, all threads; for a tenth of a
// second or longer.
Result<double> measure_ms_per_token(const Checkpoint& variant, int n_threads);

}  // namespace ac
