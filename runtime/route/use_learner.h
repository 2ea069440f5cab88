// What the router learns from: a gate that goes on learning, and the file that remembers its labels.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "models/predictor/gate_learning.h"
#include "models/predictor/gates.h"
#include "runtime/route/use_labels.h"

namespace ac {

class UseLearner {
 public:
  // Learns again what `path` says of this gate; empty: nothing is remembered. REQUIRES: gates->ngram.
  // Errors: as read_use_labels.
  static Result<std::unique_ptr<UseLearner>> open(std::shared_ptr<const Gates> gates,
                                                  std::string path);

  std::shared_ptr<const GateLearning> learning() const { return learning_; }
  // `tier` succeeded that far on the prompt. Remembered before it counts. Errors: those of
  // append_use_label; then nothing is learned.
  Status learn(std::string_view prompt, const RequestFacts& facts, const std::string& tier,
               double success, double weight, const std::string& source);

 private:
  UseLearner(std::string path, std::string gate, std::shared_ptr<GateLearning> learning)
      : path_(std::move(path)), gate_(std::move(gate)), learning_(std::move(learning)) {}

  std::string path_, gate_;
  std::shared_ptr<GateLearning> learning_;
  NgramReader reader_;
};

}  // namespace ac
