// AdamW over one flat vector of parameters, with what goes around a step: the learning-rate
// schedule and gradient clipping. Source: Loshchilov, Hutter 2019, arXiv:1711.05101, algorithm 2.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/isa.h"
#include "cpu/threads.h"

namespace ac {

struct AdamWOptions {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
  float weight_decay = 0.01f;  // times the learning rate, outside the adaptive step
};

// Parameters [begin, end), to all or none of which weight decay applies.
struct DecayRange {
  size_t begin = 0;
  size_t end = 0;
  bool decays = false;
  bool is_left_alone = false;  // another optimiser moves these, with the room for their means
};

// Not thread-safe. The same inputs give the same bits, for any number of threads.
class AdamW {
 public:
  // decays[i] says whether weight decay applies to parameter i (to matrices, not to gains and
  // biases).
  AdamW(const AdamWOptions& options, const std::vector<bool>& decays);
  // The same by ranges that ascend and leave nothing out.
  AdamW(const AdamWOptions& options, std::vector<DecayRange> ranges);

  // On the calling thread, in portable code. REQUIRES: parameters and gradient as long as the
  // ranges.
  void step(std::span<float> parameters, std::span<const float> gradient, float learning_rate);
  // On a team and the kernels of `isa`; the gradient counts gradient_scale times (clipping) and is
  // zero afterwards.
  void step(const cpu::Isa& isa, cpu::ThreadTeam& team, std::span<float> parameters,
            std::span<float> gradient, float learning_rate, float gradient_scale);

  int64_t n_steps() const { return n_steps_; }
  std::span<float> mean() { return mean_; }      // running mean of gradients
  std::span<float> square() { return square_; }  // running mean of their squares
  // Goes on as after n_steps; mean() and square() are the caller's to set.
  void resume_at(int64_t n_steps);

 private:
  void count_step();

  AdamWOptions options_;
  std::vector<DecayRange> ranges_;
  std::vector<float> mean_;
  std::vector<float> square_;
  int64_t n_steps_ = 0;
  double beta1_power_ = 1;
  double beta2_power_ = 1;
};

// Linear from 0 to `peak` over the first n_warm_up steps, then half a cosine down to `floor` at
// n_steps.
float cosine_learning_rate(int64_t step, int64_t n_warm_up, int64_t n_steps, float peak,
                           float floor);

// Scales the gradient down to a length of `longest` where it is longer. Returns the length it had.
double clip_gradient(std::span<float> gradient, double longest);

// The length of a gradient, on a team. The same bits for any number of threads.
double gradient_length(const cpu::Isa& isa, cpu::ThreadTeam& team, std::span<const float> gradient);

}  // namespace ac
