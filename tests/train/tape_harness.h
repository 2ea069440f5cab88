// The same recorded text on the tape and on the plain double-precision backend, and finite
// differences of the latter against gradients of the former.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "models/train/tape.h"
#include "runtime/core/rng.h"
#include "tests/support/plain_backend.h"

namespace ac::test {

// Documents of the given lengths, one after the other.
struct TestBatch {
  TestBatch(std::vector<int32_t> lengths, int32_t n_vocab, uint64_t seed);
  Batch batch() const { return {.tokens = tokens, .positions = positions, .slots = slots}; }
  std::vector<int32_t> tokens, positions, slots;
  int32_t n_slots = 0, longest = 0;
};

// Records something on a backend that has the parameters' weights; the result are logits.
using Text = std::function<Value(Backend& backend)>;
// Loads the weights and says what to record.
using Load = std::function<Text(Backend& backend, const Checkpoint& checkpoint)>;

class TapeHarness {
 public:
  // Rows of the logits get random targets and weights that add up to 1.
  TapeHarness(std::unique_ptr<Parameters> parameters, Load load, TestBatch batch,
              TapeOptions options = {}, int n_threads = 2);

  Parameters& parameters() { return *parameters_; }
  TapeBackend& tape() { return *tape_; }
  size_t n_rows() const { return targets_.size(); }
  const std::vector<int32_t>& targets() const { return targets_; }
  const std::vector<float>& weights() const { return weights_; }

  std::vector<float> tape_logits();
  std::vector<float> plain_logits();
  // Gradients are set to zero first. `teacher`: logits [n_rows, n_cols] or empty.
  StepLoss tape_step(const std::vector<float>& teacher = {});
  double plain_loss(const std::vector<float>& teacher = {});
  // Every tensor along its own gradient and along a random direction.
  void check_gradients(double step, double tolerance, const std::vector<float>& teacher = {});

 private:
  double difference(const Parameters::Entry& entry, const std::vector<double>& direction,
                    double step, const std::vector<float>& teacher);

  std::unique_ptr<Parameters> parameters_;
  Load load_;
  TestBatch batch_;
  cpu::ThreadTeam team_;
  std::unique_ptr<TapeBackend> tape_;
  Text text_;
  std::vector<int32_t> targets_;
  std::vector<float> weights_;
};

// The instruction set under test; aborts where AC_FORCE_ISA names one that is not there.
const cpu::Isa& test_isa();

// Normal numbers times `scale`, plus `mean`.
void add_normal(Checkpoint& checkpoint, const std::string& name, std::vector<int64_t> shape,
                double scale, double mean = 0);

}  // namespace ac::test
