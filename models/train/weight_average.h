// The running mean of a model's weights. At a learning rate that is not small the weights wander about the place
// that they have come to; their mean lies in its middle, where a falling rate would take them, and is there at any
// time (Izmailov et al., arXiv 1803.05407; beside falling rates: Hägele et al., arXiv 2405.18392).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ac {

class WeightAverage {
 public:
  // The mean goes back n_steps, with weights that fall exponentially; all steps count the same until there were as
  // many. REQUIRES: n_steps > 0.
  explicit WeightAverage(int64_t n_steps) : n_steps_(n_steps) {}

  // Weights after a step, always as many.
  void add(std::span<const float> weights);
  // Goes on from `values`, the mean of n_seen steps (at most n_steps count).
  void go_on_from(std::span<const float> values, int64_t n_seen);
  // Puts the mean into `weights` and these into its place; twice is as before. REQUIRES: n_seen() > 0.
  void swap(std::span<float> weights);

  int64_t n_seen() const { return n_seen_; }
  std::span<float> values() { return values_; }

 private:
  int64_t n_steps_;
  int64_t n_seen_ = 0;
  std::vector<float> values_;
};

}  // namespace ac
