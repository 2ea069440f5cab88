// A Vulkan backend beside the plain one, which computes the same verbs in double precision. The device is
// llvmpipe, which is to be had anywhere, or what AC_VULKAN_DEVICE names.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "cpu/formats/codecs.h"
#include "runtime/core/rng.h"
#include "shaders/backend_vulkan.h"
#include "tests/support/compare.h"
#include "tests/support/plain_backend.h"

namespace ac::test {

inline std::string vulkan_device() {
  const char* const named = std::getenv("AC_VULKAN_DEVICE");
  return named == nullptr ? "llvmpipe" : named;
}

// With the validation layer where it is installed.
// In f32, unless it is to use bytes.
inline Result<std::unique_ptr<Backend>> make_vulkan(bool uses_subgroups = true, bool in_bytes = false) {
  vulkan::VulkanOptions options{.device = vulkan_device(),
                                .uses_subgroups = uses_subgroups,
                                .uses_integer_dot = in_bytes,
                                .poison_memory = true,
                                .validate = true};
  auto backend = vulkan::create_vulkan_backend(options);
  if (backend) return backend;
  options.validate = false;
  return vulkan::create_vulkan_backend(options);
}

// A device that somebody has named has to be there.
inline bool may_skip(const Error& error) {
  return std::getenv("AC_VULKAN_DEVICE") == nullptr &&
         (error.code == ErrorCode::kNotFound || error.code == ErrorCode::kUnsupported);
}

struct Weight {
  std::vector<std::byte> bytes;
  TensorView view;
};

// Both backends with the same weights, and steps that run on both.
class VulkanTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    n_messages_ = vulkan::n_validation_messages();
    auto made = make_vulkan(GetParam());
    if (!made && may_skip(made.error())) GTEST_SKIP() << made.error().message;
    ASSERT_TRUE(made) << made.error().message;
    device_ = std::move(*made);
    plain_ = make_plain_backend();
  }
  void TearDown() override { EXPECT_EQ(vulkan::n_validation_messages(), n_messages_); }

  // Random weights [n_out, n_in], or a vector where n_in is 0. REQUIRES: the format has an encoder.
  const Weight& random(WeightFormat format, int64_t n_out, int64_t n_in, double scale = 1) {
    const bool is_vector = n_in == 0;
    const auto n = static_cast<size_t>(is_vector ? n_out : n_in);
    const auto rows = static_cast<size_t>(is_vector ? 1 : n_out);
    Weight& weight = weights_.emplace_back();
    const size_t row = cpu::row_bytes(format, n);
    weight.bytes.resize(row * rows);
    std::vector<float> values(n);
    for (size_t r = 0; r < rows; ++r) {
      for (float& x : values) x = static_cast<float>(scale * rng_.normal());
      cpu::codec(format).encode_row(values.data(), weight.bytes.data() + r * row, n);
    }
    weight.view = {.data = weight.bytes.data(),
                   .size_bytes = weight.bytes.size(),
                   .format = format,
                   .n_axes = is_vector ? 1 : 2,
                   .shape = {n_out, is_vector ? 1 : n_in, 1, 1}};
    return weight;
  }
  WeightId load(const Weight& weight) {
    const bool is_vector = weight.view.n_axes == 1;
    const auto id = is_vector ? device_->load_vector(weight.view) : device_->load_matrix(weight.view);
    const auto same = is_vector ? plain_->load_vector(weight.view) : plain_->load_matrix(weight.view);
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    EXPECT_EQ(*id, *same);
    return *id;
  }
  WeightId matrix(WeightFormat format, int64_t n_out, int64_t n_in) {
    return load(random(format, n_out, n_in, 1 / std::sqrt(static_cast<double>(n_in))));
  }
  // Rows that any token picks: random activations.
  WeightId input(int64_t n_cols) { return load(random(WeightFormat::kF32, 97, n_cols)); }

  // Tokens of one slot from a position on.
  void batch(int32_t n, int32_t first = 0, int32_t slot = 0) {
    tokens_.clear();
    positions_.clear();
    slots_.clear();
    add_run(n, first, slot);
  }
  void add_run(int32_t n, int32_t first, int32_t slot) {
    for (int32_t i = 0; i < n; ++i) {
      tokens_.push_back((slot * 7 + (first + i) * 5 + 3) % 97);
      positions_.push_back(first + i);
      slots_.push_back(slot);
    }
  }
  using Verbs = std::function<std::vector<Value>(Backend& backend)>;
  // Records them on both, and compares what they return.
  void compare(const Verbs& verbs, double most_error) {
    const auto run = [&](Backend& backend) {
      backend.begin_step({tokens_, positions_, slots_});
      const std::vector<Value> values = verbs(backend);
      const Status status = backend.end_step();
      EXPECT_TRUE(status) << (status ? "" : status.error().message);
      std::vector<std::vector<float>> made;
      for (const Value value : values) {
        if (!status) break;
        const auto data = backend.read(value);
        made.emplace_back(data.begin(), data.end());
      }
      return made;
    };
    const auto got = run(*device_), expected = run(*plain_);
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      EXPECT_LE(nmse(std::span<const float>(got[i]), std::span<const float>(expected[i])), most_error)
          << "value " << i;
    }
  }

  std::unique_ptr<Backend> device_, plain_;
  std::vector<int32_t> tokens_, positions_, slots_;

 private:
  int64_t n_messages_ = 0;
  Rng rng_{17};
  std::deque<Weight> weights_;
};

inline constexpr double kF32Error = 1e-9;   // sums in another order
inline constexpr double kF16Error = 1e-6;   // what passes through a cache in f16

}  // namespace ac::test
