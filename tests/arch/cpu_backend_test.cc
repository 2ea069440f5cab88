// Every family on the CPU backend, for the weight formats that models come in, against the
// reference in double precision: prefill, decode and chunks between. Run once for each instruction
// set (AC_FORCE_ISA); an instruction set that this machine lacks is skipped.
//
// Bounds on NMSE: F32 1e-10, F16 1e-6, Q8_0 1e-4. The cache is F32, so that what is compared is the
// arithmetic; the caches that round have bounds of their own.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "cpu/backend_cpu.h"
#include "cpu/isa.h"
#include "tests/support/compare.h"
#include "tests/support/random_model.h"
#include "tests/support/reference_decoder.h"
#include "tests/support/run_model.h"

namespace ac {
namespace {

using test::random_model;
using test::RandomModelOptions;

constexpr int32_t kVocab = 101;

struct Case {
  std::string_view family;
  WeightFormat format;
  double bound;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (std::string_view family : test::random_model_families()) {
    all.push_back({family, WeightFormat::kF32, 1e-10});
    all.push_back({family, WeightFormat::kF16, 1e-6});
    all.push_back({family, WeightFormat::kQ8_0, 1e-4});
  }
  return all;
}

Result<std::unique_ptr<Backend>> make_backend(int n_threads, bool poison_memory = false) {
  cpu::CpuBackendOptions options;
  options.n_threads = n_threads;
  options.poison_memory = poison_memory;
  return cpu::create_cpu_backend(options);
}

class CpuBackend : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    auto backend = make_backend(1);
    if (!backend && backend.error().code == ErrorCode::kUnsupported) {
      GTEST_SKIP() << backend.error().message;
    }
    ASSERT_TRUE(backend.has_value()) << backend.error().message;
  }
  double distance(const Checkpoint& checkpoint, std::span<const int32_t> tokens,
                  std::span<const double> expected, const test::RunOptions& options,
                  int n_threads = 2) {
    auto backend = make_backend(n_threads, true);
    if (!backend) {
      ADD_FAILURE() << backend.error().message;
      return 1;
    }
    const auto actual = test::run_logits(checkpoint, **backend, tokens, options);
    if (!actual) {
      ADD_FAILURE() << actual.error().message;
      return 1;
    }
    return test::nmse<float>(*actual, expected);
  }
};

INSTANTIATE_TEST_SUITE_P(EveryFamily, CpuBackend, testing::ValuesIn(cases()), [](const auto& test) {
  return std::string(test.param.family) + "_" +
         std::string(weight_format_info(test.param.format).name);
});

TEST_P(CpuBackend, AgreesWithTheReference) {
  const std::vector<int32_t> tokens = test::random_tokens(40, kVocab, 3);
  for (const bool everything : {false, true}) {
    const Checkpoint checkpoint = random_model({.family = GetParam().family,
                                                .seed = 11,
                                                .format = GetParam().format,
                                                .per_layer = everything,
                                                .low_rank = everything,
                                                .untied = everything,
                                                .stretched = everything});
    const std::vector<double> expected = test::reference_logits(checkpoint, tokens);
    for (int32_t chunk : {0, 1, 7}) {
      EXPECT_LE(distance(checkpoint, tokens, expected, {.chunk = chunk}), GetParam().bound)
          << "chunk " << chunk << " everything " << everything;
    }
  }
}

// The same bits for any number of threads.
TEST_P(CpuBackend, DoesNotDependOnThreads) {
  const std::vector<int32_t> tokens = test::random_tokens(23, kVocab, 4);
  const Checkpoint checkpoint =
      random_model({.family = GetParam().family, .seed = 12, .format = GetParam().format});
  for (int32_t chunk : {0, 1}) {
    std::vector<float> first;
    for (int n_threads : {1, 2, 3, 4}) {
      auto backend = make_backend(n_threads);
      ASSERT_TRUE(backend.has_value()) << backend.error().message;
      const auto logits = test::run_logits(checkpoint, **backend, tokens, {.chunk = chunk});
      ASSERT_TRUE(logits.has_value()) << logits.error().message;
      if (first.empty()) first = *logits;
      EXPECT_EQ(first, *logits) << n_threads << " threads, chunk " << chunk;
    }
  }
}

TEST(CpuBackendIsa, IsTheForcedOne) {
  const auto isa = cpu::choose_isa();
  if (!isa && isa.error().code == ErrorCode::kUnsupported) GTEST_SKIP() << isa.error().message;
  ASSERT_TRUE(isa.has_value()) << isa.error().message;
  const char* forced = std::getenv("AC_FORCE_ISA");
  if (forced == nullptr) return;
  EXPECT_EQ((*isa)->name, forced);
}

// The caches that round. Weights are F32, so that nothing else does; heads are whole blocks of 32.
// F16 rounds to 2^-11 of a value at most: uniform over that and over the binade, 1.9e-4 of it in
// the root mean square, 3.6e-8 in NMSE for each of keys and values, which softmax over similar
// scores passes on about once; seven layers at most: below 4e-7. Q8_0's step is 1/127 of the
// largest of 32, about 2.1 deviations: 4.8e-3 in the root mean square, 640 times F16 in NMSE.
TEST(CpuBackendCache, RoundsAsItsFormatDoes) {
  const std::vector<int32_t> tokens = test::random_tokens(40, kVocab, 3);
  for (std::string_view family : test::random_model_families()) {
    const Checkpoint checkpoint =
        random_model({.family = family, .seed = 11, .whole_blocks = true});
    const std::vector<double> expected = test::reference_logits(checkpoint, tokens);
    for (const auto& [format, bound] : std::vector<std::pair<KvFormat, double>>{
             {KvFormat::kF32, 1e-10}, {KvFormat::kF16, 4e-7}, {KvFormat::kQ8_0, 2.6e-4}}) {
      for (int32_t chunk : {0, 1, 7}) {
        auto backend = make_backend(2, true);
        if (!backend) GTEST_SKIP() << backend.error().message;
        const auto actual =
            test::run_logits(checkpoint, **backend, tokens, {.chunk = chunk, .kv_format = format});
        ASSERT_TRUE(actual.has_value()) << actual.error().message;
        const double distance = test::nmse<float>(*actual, std::span<const double>(expected));
        EXPECT_LE(distance, bound) << family << " chunk " << chunk;
        // A cache that rounds and leaves no trace is not the one asked for.
        EXPECT_GE(distance, format == KvFormat::kF32 ? 0 : 1e-10) << family << " chunk " << chunk;
      }
    }
  }
}

}  // namespace
}  // namespace ac
