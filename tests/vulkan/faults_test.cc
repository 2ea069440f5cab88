// A device that fails, wherever it fails: the right tokens all the same, from the CPU, and nothing that is
// left behind (under AddressSanitizer).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cpu/backend_cpu.h"
#include "runtime/engine/session.h"
#include "shaders/backend_vulkan.h"
#include "tests/engine/endless.h"
#include "tests/support/random_model.h"
#include "tests/vulkan/faulty_api.h"

namespace ac::test {
namespace {

using ::testing::HasSubstr;

constexpr int32_t kTokens = 12;

Checkpoint tiny() {
  return random_model({.family = "llama", .seed = 5, .tokenizer = true, .n_layers = 2});
}

Result<std::unique_ptr<Backend>> cpu() { return cpu::create_cpu_backend({.n_threads = 1}); }

class VulkanFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    plan_fault(Fault::kNone);
    if (faulty_api().get == nullptr) GTEST_SKIP() << "no Vulkan loader";
    if (const auto device = make(); !device) GTEST_SKIP() << device.error().message;
    auto engine = Engine::load_on(std::move(*cpu()), tiny(), {.n_slots = 2});
    expected_ = tokens_of(**engine);
    ASSERT_EQ(expected_.size(), 2u);
  }
  void TearDown() override {
    plan_fault(Fault::kNone);
    pretend_discrete({});
  }

  Result<std::unique_ptr<Backend>> make() const {
    vulkan::VulkanOptions options{.device = "llvmpipe", .api = &faulty_api()};
    if (splits_) options.macs_per_submission = 1;
    return vulkan::create_vulkan_backend(options);
  }
  // Of two questions that are answered together.
  static std::vector<std::vector<int32_t>> tokens_of(Engine& engine) {
    const std::vector<std::vector<int32_t>> prompts = {prompt_of(20, 1), prompt_of(3, 2)};
    const std::vector<GenerateOptions> options = {endless(kTokens), endless(kTokens)};
    const auto made = engine.generate_batch(prompts, options);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    std::vector<std::vector<int32_t>> tokens;
    if (made) {
      for (const Generation& each : *made) tokens.push_back(each.tokens);
    }
    return tokens;
  }
  // Whether the fault happened; what is answered is right whether or not.
  bool answers_right() {
    auto device = make();
    if (!device) {
      EXPECT_TRUE(fault_happened()) << device.error().message;
      return true;  // whoever chooses a backend takes the CPU
    }
    auto engine = Engine::load_on(std::move(*device), tiny(), {.n_slots = 2, .fall_back = cpu});
    EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
    if (!engine) return true;
    EXPECT_EQ(tokens_of(**engine), expected_);
    EXPECT_EQ((*engine)->backend_name(), fault_happened() ? "cpu" : "vulkan");
    // And once more, wherever it runs by now.
    EXPECT_EQ(tokens_of(**engine), expected_);
    return fault_happened();
  }

  std::vector<std::vector<int32_t>> expected_;
  bool splits_ = false;  // each product is a submission
};

TEST_F(VulkanFaults, WithoutAnyItIsTheDeviceThatAnswers) { EXPECT_FALSE(answers_right()); }

TEST_F(VulkanFaults, NoDriverAndNoDeviceAreSaid) {
  plan_fault(Fault::kNoDriver);
  EXPECT_EQ(make().error().code, ErrorCode::kNotFound);
  plan_fault(Fault::kNoDevice, 0, true);
  const auto none = make();
  EXPECT_EQ(none.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(none.error().message, HasSubstr("there is none"));
  plan_fault(Fault::kNone);
  const auto other = vulkan::create_vulkan_backend({.device = "no such device"});
  EXPECT_THAT(other.error().message, HasSubstr("'no such device'; there is"));
}

TEST_F(VulkanFaults, WhereverMemoryEnds) {
  int at = 0;
  while (plan_fault(Fault::kNoMemory, at), answers_right()) ++at;
  EXPECT_GE(at, 4) << "weights, cache, activations, state, results";
}

TEST_F(VulkanFaults, WhicheverPipelineIsRefused) {
  int at = 0;
  while (plan_fault(Fault::kBadPipeline, at), answers_right()) ++at;
  EXPECT_GE(at, 8);
}

TEST_F(VulkanFaults, WheneverTheDeviceIsLost) {
  for (const Fault fault : {Fault::kLostAtSubmit, Fault::kLostAtWait}) {
    int at = 0;
    while (plan_fault(fault, at, true), answers_right()) ++at;
    EXPECT_GE(at, kTokens);
  }
}

// A step may be several submissions, and any of them fail.
TEST_F(VulkanFaults, WheneverTheDeviceIsLostInTheMiddleOfAStep) {
  const auto submissions = [&] {
    plan_fault(Fault::kLostAtSubmit, 1 << 20);
    EXPECT_FALSE(answers_right());
    return fault_calls();
  };
  const int whole = submissions();
  splits_ = true;
  const int split = submissions();
  EXPECT_GE(split, 10 * whole) << "each product of two layers on its own";
  for (int at = 0; at < split; at += 7) {
    plan_fault(Fault::kLostAtSubmit, at, true);
    EXPECT_TRUE(answers_right()) << at;
  }
}

TEST_F(VulkanFaults, WhatDoesNotFitIntoADeviceIsNotPutThere) {
  const auto backend_with = [&](const PretendedMemory& memory) {
    pretend_discrete(memory);
    plan_fault(Fault::kNoMemory, 1 << 20);
    auto engine = Engine::load_on(std::move(*make()), tiny(), {.n_slots = 2, .fall_back = cpu});
    EXPECT_TRUE(engine) << (engine ? "" : engine.error().message);
    if (!engine) return std::string("none");
    EXPECT_EQ(tokens_of(**engine), expected_);
    const std::string name((*engine)->backend_name());
    EXPECT_EQ(fault_calls() > 0, name == "vulkan") << "nothing is taken where it is too much";
    return name;
  };
  constexpr uint64_t kPlenty = 1u << 30, kLittle = 40'000;
  EXPECT_EQ(backend_with({.size = kPlenty}), "vulkan");
  EXPECT_EQ(backend_with({.size = kLittle}), "cpu");
  EXPECT_EQ(backend_with({.size = kPlenty, .budget = kPlenty, .used = kLittle}), "vulkan");
  EXPECT_EQ(backend_with({.size = kPlenty, .budget = kLittle}), "cpu");
  EXPECT_EQ(backend_with({.size = kPlenty, .budget = kPlenty, .used = kPlenty - kLittle}), "cpu");
  EXPECT_EQ(backend_with({.size = kPlenty, .budget = kPlenty, .used = 2 * kPlenty}), "cpu");

  // Without another backend it is said.
  auto engine = Engine::load_on(std::move(*make()), tiny(), {.n_slots = 2});
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, ErrorCode::kOutOfMemory);
  EXPECT_THAT(engine.error().message, HasSubstr("0.0 MiB may be used"));
}

TEST_F(VulkanFaults, WithoutAnotherBackendItIsAnError) {
  plan_fault(Fault::kLostAtSubmit, 3, true);
  auto engine = Engine::load_on(std::move(*make()), tiny(), {});
  ASSERT_TRUE(engine);
  const auto made = (*engine)->generate(prompt_of(5, 1), endless(kTokens));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kIo);
  EXPECT_THAT(made.error().message, HasSubstr("lost"));
  EXPECT_FALSE((*engine)->generate(prompt_of(5, 1), endless(kTokens))) << "nor later";
}

TEST_F(VulkanFaults, VectorsOfTextsAreMadeElsewhereToo) {
  auto reference = Engine::load_on(std::move(*cpu()), tiny(), {});
  const auto expected = (*reference)->embed(prompt_of(40, 3));
  ASSERT_TRUE(expected);
  plan_fault(Fault::kLostAtSubmit, 1, true);
  auto engine = Engine::load_on(std::move(*make()), tiny(), {.prefill_chunk = 16, .fall_back = cpu});
  ASSERT_TRUE(engine);
  const auto got = (*engine)->embed(prompt_of(40, 3));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(fault_happened());
  for (size_t i = 0; i < got->size(); ++i) EXPECT_NEAR((*got)[i], (*expected)[i], 1e-5);
}

}  // namespace
}  // namespace ac::test
