// Gates that say the same of every prompt.
#pragma once

#include <string>
#include <vector>

#include "models/predictor/gates.h"
#include "models/predictor/network.h"

namespace ac {

// Success of each tier is sigmoid(logits[tier]), whatever is asked, by both gates.
inline Gates plain_gates(std::vector<std::string> tiers, const std::vector<float>& logits) {
  const auto n_tiers = tiers.size();
  Predictor::Parts paper;
  paper.tiers = tiers;
  paper.parameters.resize(
      static_cast<size_t>(predictor::offsets_for(static_cast<int>(n_tiers)).total));
  paper.scale.assign(n_tiers, 1);
  paper.shift = logits;
  NgramGate::Parts ngram;
  ngram.tiers = std::move(tiers);
  ngram.weights.resize(kNgramBuckets * n_tiers);
  ngram.bias = logits;
  ngram.seen.assign(kSeenBits / 32, 0);
  ngram.calibration.n_tiers = n_tiers;
  return {.paper = Predictor::create(std::move(paper)).value(),
          .ngram = NgramGate::create(std::move(ngram)).value()};
}

}  // namespace ac
