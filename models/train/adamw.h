// AdamW over one flat vector of parameters, with what goes around a step: the learning-rate
// schedule and gradient clipping. Source: Loshchilov, Hutter 2019, arXiv:1711.05101, algorithm 2.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ac {

struct AdamWOptions {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.01f;  // times the learning rate, outside the adaptive step
};

// Not thread-safe. Updates in index order: the same inputs give the same bits.
class AdamW {
 public:
  // decays[i] says whether weight decay applies to parameter i (to matrices, not to gains and
  // biases).
  AdamW(const AdamWOptions& options, std::vector<bool> decays);

  // REQUIRES: parameters and gradient as long as `decays`.
  void step(std::span<float> parameters, std::span<const float> gradient, float learning_rate);

 private:
  AdamWOptions options_;
  std::vector<bool> decays_;
  std::vector<float> mean_;
  std::vector<float> square_;
  double beta1_power_ = 1;
  double beta2_power_ = 1;
};

// Linear from 0 to `peak` over the first n_warm_up steps, then half a cosine down to `floor` at
// n_steps.
float cosine_learning_rate(int64_t step, int64_t n_warm_up, int64_t n_steps, float peak,
                           float floor);

// Scales the gradient down to a length of `longest` where it is longer. Returns the length it had.
double clip_gradient(std::span<float> gradient, double longest);

}  // namespace ac
