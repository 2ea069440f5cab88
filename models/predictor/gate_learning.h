// Learning from use: labels that come one by one move the weights of the n-gram gate, by AdaGrad
// (Duchi et al. 2011) on the logistic loss of one head.
//
//   g = (p - success) x,   w -= rate * weight * g / sqrt(rate_offset + sum of g^2 so far)
//
// The labels hold the hashed features of a prompt and not its words. Applied in their order to the
// gate as it was trained they give the same bits, so any of the last ones can be taken back.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/predictor/ngram_gate.h"

namespace ac {

struct UseLabel {
  std::string tier;
  double success = 0;  // of the tier's answer, in [0, 1]
  double weight = 1;   // one over the chance that it was looked at
  std::vector<NgramFeatures::Entry> features{};
};

class GateLearning {
 public:
  explicit GateLearning(const NgramGate& trained);

  const NgramGate& gate() const { return gate_; }
  size_t n_labels() const { return n_labels_; }
  // Labels of tiers that the gate does not have, of features outside its table or of values that
  // are not finite change nothing: false.
  bool learn(const UseLabel& label);

 private:
  NgramGate gate_;
  std::vector<float> squares_;  // of gradients, [kNgramBuckets + 1, n_tiers], the last of the bias
  std::vector<NgramFeatures::Entry> steps_;
  size_t n_labels_ = 0;
};

// Tells gates apart: a hash of weights, biases and names, in hex.
std::string gate_id(const NgramGate& gate);

}  // namespace ac
