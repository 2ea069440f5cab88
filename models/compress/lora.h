// Low-rank adapters: of each matrix W [m, n] only a change B A learns, B [m, r], A [r, n]. The
// parameters always hold W + B A, so the forward pass knows nothing of it; gradients of B and A
// follow from that of the sum: dB = dW A^T, dA = B^T dW (Hu et al. 2021, arXiv:2106.09685).
#pragma once

#include <memory>
#include <vector>

#include "models/train/adamw.h"
#include "models/train/lm_trainer.h"
#include "models/train/parameters.h"

namespace ac {

class Lora {
 public:
  // Adapters for every matrix that has more than `rank` rows and columns, but the embedding and the
  // output; nothing else learns. A is random, B zero: nothing is changed yet.
  // Errors: kOutOfMemory, those of choose_isa.
  static Result<std::unique_ptr<Lora>> create(const Parameters& parameters, int64_t rank,
                                              const LmTrainerOptions& options);
  // Moves the adapters along parameters.gradients() times `factor`, sets them to zero, and writes
  // W + B A.
  void step(Parameters& parameters, float learning_rate, float factor);

 private:
  struct Adapter {
    size_t entry = 0;  // of parameters.entries()
    size_t b = 0, a = 0;  // offsets in values_
    size_t first = 0;     // in first_
    int32_t n_out = 0, n_in = 0;
  };
  Lora(const cpu::Isa& isa, const LmTrainerOptions& options)
      : isa_(isa), team_({.n_threads = options.n_threads}) {}

  const cpu::Isa& isa_;
  cpu::ThreadTeam team_;
  int32_t rank_ = 0;
  std::vector<Adapter> adapters_;
  std::vector<float> first_;  // W of all adapted matrices, as they began
  std::vector<float> values_, gradients_;
  std::unique_ptr<AdamW> optimizer_;
};

}  // namespace ac
