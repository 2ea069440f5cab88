// A CPU backend with random weights and inputs, for the tests of its verbs.
#pragma once

#include <memory>
#include <vector>

#include "cpu/backend_cpu.h"
#include "cpu/formats/codecs.h"
#include "tests/cpu/isa_fixture.h"

namespace ac::cpu {

using Doubles = std::vector<double>;

// A matrix or vector of weights in some format, with what a reader sees of it.
struct TestWeight {
  std::vector<std::byte> bytes;
  Doubles values;
  TensorView view;
};

inline std::unique_ptr<TestWeight> random_weight(WeightFormat format, int64_t n_out, int64_t n_in,
                                                 uint64_t seed, double scale = 1) {
  auto weight = std::make_unique<TestWeight>();
  Rng rng(seed);
  const auto n = static_cast<size_t>(n_in);
  const size_t row = row_bytes(format, n);
  weight->bytes.resize(row * static_cast<size_t>(n_out));
  std::vector<float> in(n), out(n);
  for (size_t r = 0; r < static_cast<size_t>(n_out); ++r) {
    for (float& x : in) x = static_cast<float>(scale * rng.normal());
    std::byte* to = weight->bytes.data() + r * row;
    if (codec(format).encode_row != nullptr) {
      codec(format).encode_row(in.data(), to, n);
    } else {  // any bytes with a small half at every even place decode to something finite
      for (size_t i = 0; i < row; ++i) to[i] = static_cast<std::byte>(rng.below(64));
    }
    codec(format).decode_row(to, out.data(), n);
    weight->values.insert(weight->values.end(), out.begin(), out.end());
  }
  weight->view = {.data = weight->bytes.data(),
                  .size_bytes = weight->bytes.size(),
                  .format = format,
                  .n_axes = 2,
                  .shape = {n_out, n_in, 1, 1}};
  return weight;
}

inline std::unique_ptr<TestWeight> random_vector(int64_t n, uint64_t seed) {
  auto weight = random_weight(WeightFormat::kF32, 1, n, seed);
  weight->view.n_axes = 1;
  weight->view.shape[0] = n;
  weight->view.shape[1] = 1;
  return weight;
}

struct TestBatch {
  std::vector<int32_t> tokens, positions, slots;
  void add_run(int32_t slot, int32_t first_position, int32_t n) {
    for (int32_t i = 0; i < n; ++i) {
      tokens.push_back((slot * 7 + (first_position + i) * 3 + 1) % 40);
      positions.push_back(first_position + i);
      slots.push_back(slot);
    }
  }
  Batch batch() const { return {tokens, positions, slots}; }
};
inline TestBatch one_run(int32_t n) {
  TestBatch batch;
  batch.add_run(0, 0, n);
  return batch;
}

class BackendTest : public IsaTest {
 protected:
  std::unique_ptr<Backend> make(int n_threads = 2) {
    auto backend = create_cpu_backend({.n_threads = n_threads, .poison_memory = true});
    EXPECT_TRUE(backend.has_value());
    return std::move(*backend);
  }
  WeightId load(Backend& backend, const TestWeight& weight) {
    auto id = weight.view.n_axes == 1 ? backend.load_vector(weight.view)
                                      : backend.load_matrix(weight.view);
    EXPECT_TRUE(id.has_value()) << (id ? "" : id.error().message);
    return id.value();
  }
  // Loads `residual` beside `base`, reads it, and adds its values to the base's.
  static void nest(Backend& backend, WeightId id, TestWeight& base, const TestWeight& residual) {
    const Status status = backend.load_residual(id, residual.view);
    ASSERT_TRUE(status.has_value()) << status.error().message;
    backend.read_residual(id, true);
    for (size_t i = 0; i < base.values.size(); ++i) base.values[i] += residual.values[i];
  }
  static void run(Backend& backend) {
    const Status status = backend.end_step();
    ASSERT_TRUE(status.has_value()) << status.error().message;
  }
  static std::vector<float> copy(Backend& backend, Value value) {
    const auto data = backend.read(value);
    return {data.begin(), data.end()};
  }
  // Random activations [n, n_cols] are embeddings of tokens in an F32 table.
  struct Input {
    std::unique_ptr<TestWeight> table;
    WeightId id;
    double at(const TestBatch& batch, size_t row, size_t col) const {
      return table->values[static_cast<size_t>(batch.tokens[row]) *
                               static_cast<size_t>(table->view.shape[1]) +
                           col];
    }
  };
  Input input(Backend& backend, int64_t n_cols, uint64_t seed) {
    Input in{random_weight(WeightFormat::kF32, 40, n_cols, seed), WeightId::kNone};
    in.id = load(backend, *in.table);
    return in;
  }
};

constexpr double kUlp = 0x1p-24;  // half of f32's epsilon

}  // namespace ac::cpu
