// The kernels that only training needs (gradients, losses, the optimiser's step) of one instruction
// set, as a struct of function pointers. Included by files compiled for one instruction set:
// <cstddef> and <cstdint> only, no functions.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ac::cpu {

// Gradients of rms_norm for rows of n_groups groups. dx is added to or overwritten; the weight's
// gradient is always added to. weight and d_weight may be null.
struct RmsNormGradArgs {
  const float* x = nullptr;  // [n_groups, group]
  const float* weight = nullptr;
  const float* dy = nullptr;
  float* dx = nullptr;
  float* d_weight = nullptr;  // [group]
  size_t group = 0;
  size_t n_groups = 0;
  float epsilon = 0;
  bool adds = false;
};

// One row of scores, columns [begin, end) of [0, n): what the query sees.
struct ScoreRow {
  float* scores = nullptr;  // in: q.k. out: weights that add up to 1, zeros outside [begin, end)
  size_t begin = 0;
  size_t end = 0;
  size_t n = 0;
  float scale = 1;
  float softcap = 0;  // 0: none
};

// The moments and parameters of one range; see models/train/adamw.h.
struct AdamWArgs {
  float* parameters = nullptr;
  const float* gradient = nullptr;
  float* mean = nullptr;
  float* square = nullptr;
  size_t n = 0;
  float gradient_scale = 1;  // multiplies the gradient first (clipping)
  float beta1 = 0, beta2 = 0, epsilon = 0;
  float mean_scale = 1, square_scale = 1;  // bias corrections
  float learning_rate = 0;
  float decay = 0;  // weight decay, 0 for parameters that do not decay
};

struct TrainKernels {
  void (*rms_norm_grad)(const RmsNormGradArgs& args) noexcept;
  // d_gate and d_up from dy and what the forward pass read; d_gate may be dy.
  void (*gated_silu_grad)(const float* gate, const float* up, const float* dy, float* d_gate,
                          float* d_up, size_t n) noexcept;
  void (*gated_gelu_tanh_grad)(const float* gate, const float* up, const float* dy, float* d_gate,
                               float* d_up, size_t n) noexcept;
  // dx *= 1 - (y / cap)^2, y what softcap made.
  void (*softcap_grad)(const float* y, float* dx, float cap, size_t n) noexcept;
  float (*dot)(const float* a, const float* b, size_t n) noexcept;
  float (*sum_of_squares)(const float* x, size_t n) noexcept;

  // Returns log(sum(exp(score))), with which the weights can be had again.
  float (*softmax_row)(const ScoreRow& row) noexcept;
  // row.scores again from log_sum, and in d_weights the gradient of q.k from that of the weights:
  // p (d - row_dot) scale, with row_dot = sum(p d).
  void (*softmax_row_grad)(const ScoreRow& row, float log_sum, float* d_weights,
                           float row_dot) noexcept;

  // -log softmax(z)[target]; z becomes weight * its gradient.
  float (*cross_entropy_row)(float* z, size_t n, size_t target, float weight) noexcept;
  // The same loss, z left as it is.
  float (*cross_entropy)(const float* z, size_t n, size_t target) noexcept;
  // KL(softmax(teacher) || softmax(z)); z becomes weight * the gradient, teacher its softmax.
  float (*divergence_row)(float* z, float* teacher, size_t n, float weight) noexcept;

  void (*adamw)(const AdamWArgs& args) noexcept;
};

}  // namespace ac::cpu
