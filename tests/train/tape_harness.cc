#include "tests/train/tape_harness.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/support/random_model.h"

namespace ac::test {

TestBatch::TestBatch(std::vector<int32_t> lengths, int32_t n_vocab, uint64_t seed) {
  for (const int32_t n : lengths) {
    for (int32_t i = 0; i < n; ++i) {
      positions.push_back(i);
      slots.push_back(n_slots);
    }
    ++n_slots;
    longest = std::max(longest, n);
  }
  tokens = random_tokens(positions.size(), n_vocab, seed);
}

const cpu::Isa& test_isa() {
  const Result<const cpu::Isa*> isa = cpu::choose_isa();
  AC_CHECK(isa.has_value());
  return **isa;
}

TapeHarness::TapeHarness(std::unique_ptr<Parameters> parameters, Load load, TestBatch batch,
                         TapeOptions options, int n_threads)
    : parameters_(std::move(parameters)),
      load_(std::move(load)),
      batch_(std::move(batch)),
      team_({.n_threads = n_threads, .pin = false}) {
  tape_ = std::make_unique<TapeBackend>(test_isa(), team_, *parameters_, options);
  text_ = load_(*tape_, parameters_->checkpoint());
  tape_->begin_step(batch_.batch());
  const Value logits = text_(*tape_);
  Rng rng(7);
  double sum = 0;
  for (int32_t i = 0; i < logits.n_rows; ++i) {
    targets_.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(logits.n_cols))));
    weights_.push_back(static_cast<float>(i % 5 == 3 ? 0.0 : rng.uniform() + 0.1));
    sum += static_cast<double>(weights_.back());
  }
  for (float& weight : weights_) weight /= static_cast<float>(sum);
}

std::vector<float> TapeHarness::tape_logits() {
  tape_->weights_changed();
  tape_->begin_step(batch_.batch());
  const Value logits = text_(*tape_);
  AC_CHECK(tape_->end_step().has_value());
  const std::span<const float> values = tape_->read(logits);
  return {values.begin(), values.end()};
}

std::vector<float> TapeHarness::plain_logits() {
  const std::unique_ptr<Backend> plain = make_plain_backend();
  const Text text = load_(*plain, parameters_->checkpoint());
  plain->begin_step(batch_.batch());
  const Value logits = text(*plain);
  AC_CHECK(plain->end_step().has_value());
  const std::span<const float> values = plain->read(logits);
  return {values.begin(), values.end()};
}

StepLoss TapeHarness::tape_step(const std::vector<float>& teacher) {
  std::ranges::fill(parameters_->gradients(), 0.0f);
  tape_->weights_changed();
  tape_->begin_step(batch_.batch());
  const Value logits = text_(*tape_);
  LossOptions loss{.targets = targets_, .weights = weights_};
  if (!teacher.empty()) {
    const auto n = static_cast<size_t>(logits.n_cols);
    loss.teacher = [&teacher, n](int32_t begin, int32_t end, float* out) {
      std::copy(teacher.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(begin) * n),
                teacher.begin() + static_cast<ptrdiff_t>(static_cast<size_t>(end) * n), out);
    };
    loss.teacher_weights = weights_;
  }
  tape_->loss(logits, loss);
  AC_CHECK(tape_->end_step().has_value());
  return tape_->step_loss();
}

double TapeHarness::plain_loss(const std::vector<float>& teacher) {
  const std::vector<float> logits = plain_logits();
  const size_t n = logits.size() / targets_.size();
  const auto log_sum = [n](const float* z) {
    double sum = 0;
    for (size_t j = 0; j < n; ++j) sum += std::exp(static_cast<double>(z[j]));
    return std::log(sum);
  };
  double loss = 0;
  for (size_t i = 0; i < targets_.size(); ++i) {
    const float* z = logits.data() + i * n;
    const auto weight = static_cast<double>(weights_[i]);
    const double log_z = log_sum(z);
    loss += weight * (log_z - static_cast<double>(z[targets_[i]]));
    if (teacher.empty()) continue;
    const float* t = teacher.data() + i * n;
    const double log_t = log_sum(t);
    for (size_t j = 0; j < n; ++j) {
      const double log_q = static_cast<double>(t[j]) - log_t;
      loss += weight * std::exp(log_q) * (log_q - (static_cast<double>(z[j]) - log_z));
    }
  }
  return loss;
}

double TapeHarness::difference(const Parameters::Entry& entry,
                               const std::vector<double>& direction, double step,
                               const std::vector<float>& teacher) {
  const std::span<float> values = parameters_->values().subspan(entry.offset, entry.size);
  const std::vector<float> before(values.begin(), values.end());
  double losses[2];
  // What f32 made of the step, so that rounding it costs nothing.
  double moved = 0;
  for (int side = 0; side < 2; ++side) {
    double along = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      const double to = static_cast<double>(before[i]) + (side == 0 ? -step : step) * direction[i];
      values[i] = static_cast<float>(to);
      along += (static_cast<double>(values[i]) - static_cast<double>(before[i])) * direction[i];
    }
    moved += std::abs(along);
    losses[side] = plain_loss(teacher);
  }
  std::ranges::copy(before, values.begin());
  return (losses[1] - losses[0]) / moved;
}

void TapeHarness::check_gradients(double step, double tolerance,
                                  const std::vector<float>& teacher) {
  const double expected = plain_loss(teacher);
  const StepLoss loss = tape_step(teacher);
  EXPECT_NEAR(loss.cross_entropy + loss.divergence, expected, tolerance * std::abs(expected));
  Rng rng(11);
  for (const Parameters::Entry& entry : parameters_->entries()) {
    const std::span<const float> gradient =
        parameters_->gradients().subspan(entry.offset, entry.size);
    double length = 0;
    for (const float g : gradient) length += static_cast<double>(g) * static_cast<double>(g);
    length = std::sqrt(length);
    ASSERT_GT(length, 0) << entry.name << " has no gradient";
    for (const bool random : {false, true}) {
      std::vector<double> direction(entry.size);
      double norm = 0;
      for (size_t i = 0; i < direction.size(); ++i) {
        direction[i] = random ? rng.normal() : static_cast<double>(gradient[i]);
        norm += direction[i] * direction[i];
      }
      double slope = 0;
      for (size_t i = 0; i < direction.size(); ++i) {
        direction[i] /= std::sqrt(norm);
        slope += direction[i] * static_cast<double>(gradient[i]);
      }
      EXPECT_NEAR(slope, difference(entry, direction, step, teacher), tolerance * length)
          << entry.name << (random ? " along a random direction" : " along its gradient");
    }
  }
}

void add_normal(Checkpoint& checkpoint, const std::string& name, std::vector<int64_t> shape,
                double scale, double mean) {
  auto bytes = checkpoint.add_tensor(name, WeightFormat::kF32, shape);
  AC_CHECK(bytes.has_value());
  Rng rng(checkpoint.tensors.size() * 977);
  for (size_t i = 0; i < bytes->size() / sizeof(float); ++i) {
    const auto value = static_cast<float>(mean + scale * rng.normal());
    std::memcpy(bytes->data() + i * sizeof value, &value, sizeof value);
  }
}

}  // namespace ac::test
