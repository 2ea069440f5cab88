// Every verb on a Vulkan device against double precision, in formats and shapes that end in the middle of
// everything; memory is filled with NaN before each step.
#include "tests/vulkan/vulkan_fixture.h"

namespace ac::test {
namespace {

constexpr WeightFormat kRead[] = {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16,
                                  WeightFormat::kQ8_0, WeightFormat::kQ4_0};

INSTANTIATE_TEST_SUITE_P(Sums, VulkanTest, testing::Bool(), [](const auto& test) {
  return test.param ? "BySubgroups" : "ThroughSharedMemory";
});

TEST_P(VulkanTest, EmbedsInEveryFormat) {
  batch(19);
  for (const WeightFormat format : kRead) {
    SCOPED_TRACE(std::string(weight_format_info(format).name));
    for (const int64_t n_cols : {32, 96, 576}) {
      const WeightId table = load(random(format, 97, n_cols));
      compare([&](Backend& b) { return std::vector{b.embed(table)}; }, 1e-12);
    }
  }
  for (const int64_t n_cols : {1, 7, 67}) {
    for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16}) {
      const WeightId table = load(random(format, 97, n_cols));
      compare([&](Backend& b) { return std::vector{b.embed(table)}; }, 1e-12);
    }
  }
}

TEST_P(VulkanTest, MultipliesInEveryFormatAndShape) {
  for (const WeightFormat format : kRead) {
    const bool has_blocks = format == WeightFormat::kQ8_0 || format == WeightFormat::kQ4_0;
    for (const int64_t n_in : {int64_t{32}, has_blocks ? int64_t{96} : int64_t{67}, int64_t{576}}) {
      const WeightId in = input(n_in);
      for (const int64_t n_out : {1, 7, 151}) {
        SCOPED_TRACE(fmt::format("{} [{}, {}]", weight_format_info(format).name, n_out, n_in));
        const WeightId w = matrix(format, n_out, n_in);
        const WeightId bias = load(random(WeightFormat::kF32, n_out, 0));
        for (const int32_t n_tokens : {1, 2, 3, 8, 9, 33, 70}) {
          batch(n_tokens);
          compare(
              [&](Backend& b) {
                const Value x = b.embed(in);
                return std::vector{b.matmul(x, w), b.matmul(x, w, bias)};
              },
              kF32Error);
        }
      }
    }
  }
}

TEST_P(VulkanTest, MultipliesThinAndLongOnes) {
  for (const WeightFormat format : kRead) {
    const WeightId down = matrix(format, 32, 4096), up = matrix(format, 512, 32);
    const WeightId in = input(4096);
    for (const int32_t n_tokens : {1, 20}) {
      batch(n_tokens);
      compare([&](Backend& b) { return std::vector{b.matmul(b.matmul(b.embed(in), down), up)}; },
              kF32Error);
    }
  }
}

// The same arithmetic by hand: blocks of 32 activations in bytes, whole sums, then scales.
TEST_P(VulkanTest, MultipliesBytes) {
  device_ = std::move(*make_vulkan(GetParam(), true));
  constexpr int64_t kIn = 96, kOut = 75;
  const Weight& table = random(WeightFormat::kF32, 97, kIn);
  const WeightId in = load(table);
  for (const WeightFormat format : {WeightFormat::kQ8_0, WeightFormat::kQ4_0}) {
    const Weight& weight = random(format, kOut, kIn, 0.1);
    const WeightId w = load(weight);
    std::vector<float> values(kIn);
    for (const int32_t n_tokens : {1, 2, 3, 8}) {
      batch(n_tokens);
      std::vector<double> rounded, expected;
      for (const int32_t token : tokens_) {
        const auto* x = reinterpret_cast<const float*>(table.bytes.data()) + token * kIn;
        for (int64_t block = 0; block < kIn; block += 32) {
          float most = 0;
          for (int64_t i = block; i < block + 32; ++i) most = std::max(most, std::fabs(x[i]));
          for (int64_t i = block; i < block + 32; ++i) {
            rounded.push_back(static_cast<double>(most / 127) *
                              std::nearbyint(static_cast<double>(x[i] * (127 / most))));
          }
        }
      }
      for (size_t t = 0; t < tokens_.size(); ++t) {
        for (size_t r = 0; r < kOut; ++r) {
          cpu::codec(format).decode_row(weight.bytes.data() + r * (weight.bytes.size() / kOut),
                                        values.data(), kIn);
          double sum = 0;
          for (size_t i = 0; i < kIn; ++i) sum += rounded[t * kIn + i] * static_cast<double>(values[i]);
          expected.push_back(sum);
        }
      }
      device_->begin_step({tokens_, positions_, slots_});
      const Value y = device_->matmul(device_->embed(in), w);
      ASSERT_TRUE(device_->end_step());
      EXPECT_LE(nmse(device_->read(y), std::span<const double>(expected)), 1e-9) << n_tokens;
    }
  }
}

// What the shaders do not read becomes f16.
TEST_P(VulkanTest, OtherFormatsBecomeHalves) {
  for (const WeightFormat format : {WeightFormat::kQ4_K, WeightFormat::kQ5_0}) {
    if (cpu::codec(format).encode_row == nullptr) continue;
    const WeightId w = matrix(format, 40, 512), in = input(512);
    for (const int32_t n_tokens : {1, 12}) {
      batch(n_tokens);
      compare([&](Backend& b) { return std::vector{b.matmul(b.embed(in), w)}; }, kF16Error);
    }
  }
}

TEST_P(VulkanTest, ReadsBothPlanesOfNestedWeights) {
  const Weight& base = random(WeightFormat::kQ4_0, 75, 96);
  const Weight& rest = random(WeightFormat::kQ4_0, 75, 96, 0.1);
  const WeightId w = load(base), in = input(96);
  for (Backend* backend : {device_.get(), plain_.get()}) {
    ASSERT_TRUE(backend->load_residual(w, rest.view));
  }
  for (const bool reads : {false, true, false}) {
    device_->read_residual(w, reads);
    plain_->read_residual(w, reads);
    for (const int32_t n_tokens : {1, 12}) {
      batch(n_tokens);
      for (int32_t& token : tokens_) token %= 75;
      compare(
          [&](Backend& b) {
            const Value x = b.embed(w);
            b.begin_scope();
            b.add(x, b.embed(w));
            const Value y = b.embed(in);
            const Value z = b.matmul(y, w);
            b.end_scope();
            static_cast<void>(z);
            return std::vector{x, b.matmul(b.embed(in), w)};
          },
          kF32Error);
    }
  }
}

// A product that goes into a sum at once, also where somebody reads the product all the same.
TEST_P(VulkanTest, AddsProducts) {
  const WeightId w = matrix(WeightFormat::kQ8_0, 96, 96), in = input(96);
  const WeightId bias = load(random(WeightFormat::kF32, 96, 0));
  for (const int32_t n_tokens : {1, 5, 40}) {
    batch(n_tokens);
    compare(
        [&](Backend& b) {
          const Value x = b.embed(in), n = b.embed(in);
          const Value outside = b.embed(in);
          b.begin_scope();
          b.add(x, b.matmul(n, w));
          const Value y = b.matmul(n, w, bias);
          b.add(x, y);
          b.add(outside, y);
          b.end_scope();
          const Value z = b.matmul(n, w);
          b.add(x, z);
          b.add(x, x);
          return std::vector{x, outside, z};
        },
        kF32Error);
  }
}

TEST_P(VulkanTest, PassesOverMemory) {
  for (const int64_t n_cols : {1, 5, 64, 1000}) {
    const WeightId first = input(n_cols), second = input(n_cols);
    const WeightId weight = load(random(WeightFormat::kF32, n_cols, 0));
    for (const int32_t n_tokens : {1, 37}) {
      batch(n_tokens);
      const std::vector<int32_t> rows = {n_tokens - 1, 0, n_tokens / 2};
      compare(
          [&](Backend& b) {
            const Value x = b.embed(first), y = b.embed(second);
            const Value sum = b.embed(first), large = b.embed(first);
            b.add(sum, y);
            b.scale(large, 300);
            const Value gated = b.gated(large, y, Activation::kSilu);
            const Value capped = b.embed(first);
            b.scale(capped, 40);
            b.softcap(capped, 30);
            return std::vector{sum, gated, capped, b.gated(x, y, Activation::kSilu),
                               b.gated(x, y, Activation::kGeluTanh), b.rms_norm(x, weight, 1e-5f),
                               b.rms_norm(x, WeightId::kNone, 1e-3f), b.select_rows(y, rows), x};
          },
          1e-11);
    }
  }
}

TEST_P(VulkanTest, NormsGroups) {
  const WeightId in = input(4 * 48), weight = load(random(WeightFormat::kF32, 48, 0));
  batch(23);
  compare([&](Backend& b) { return std::vector{b.rms_norm(b.embed(in), weight, 1e-6f, 48)}; }, 1e-11);
}

TEST_P(VulkanTest, TurnsHeads) {
  for (const RopePairing pairing : {RopePairing::kHalves, RopePairing::kInterleaved}) {
    for (const size_t n_pairs : {1u, 10u, 32u}) {
      std::vector<float> frequencies;
      for (size_t i = 0; i < n_pairs; ++i) {
        frequencies.push_back(static_cast<float>(std::pow(10000.0, -static_cast<double>(i) / 32)));
      }
      const RopeTable table{.inverse_frequencies = frequencies, .pairing = pairing, .magnitude = 1.25f};
      const RopeId rope = *device_->load_rope(table);
      ASSERT_EQ(*plain_->load_rope(table), rope);
      const WeightId in = input(3 * 64);
      batch(20);
      add_run(5, 100000, 1);
      compare(
          [&](Backend& b) {
            const Value x = b.embed(in);
            b.rope(x, 64, rope);
            return std::vector{x};
          },
          1e-11);
    }
  }
}

struct AttentionCase {
  int32_t n_heads = 6, n_kv_heads = 2, d_head = 32, window = 0;
  float softcap = 0;
};

TEST_P(VulkanTest, Attends) {
  constexpr AttentionCase kCases[] = {{},
                                      {.n_heads = 3, .n_kv_heads = 3, .d_head = 64},
                                      {.window = 5},
                                      {.window = 300, .softcap = 20},
                                      {.n_heads = 4, .n_kv_heads = 1, .d_head = 256},
                                      {.n_heads = 2, .n_kv_heads = 1, .d_head = 6}};
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16}) {
    const double most = format == KvFormat::kF32 ? kF32Error : kF16Error;
    for (const AttentionCase& of : kCases) {
      SCOPED_TRACE(fmt::format("{} heads of {}, window {}", of.n_heads, of.d_head, of.window));
      const KvShape shape{.layers = {{.n_kv_heads = 1, .d_head = 8},
                                     {.n_kv_heads = of.n_kv_heads, .d_head = of.d_head}},
                          .n_slots = 3,
                          .n_context = 700,
                          .format = format};
      ASSERT_TRUE(device_->create_kv(shape));
      ASSERT_TRUE(plain_->create_kv(shape));
      const WeightId q = input(of.n_heads * of.d_head), k = input(of.n_kv_heads * of.d_head);
      const WeightId v = input(of.n_kv_heads * of.d_head);
      const auto step = [&] {
        compare(
            [&](Backend& b) {
              b.store_kv(1, b.embed(k), b.embed(v));
              return std::vector{b.attend(b.embed(q), {.layer = 1,
                                                       .n_heads = of.n_heads,
                                                       .scale = 0.3f,
                                                       .softcap = of.softcap,
                                                       .window = of.window})};
            },
            most);
      };
      batch(1);
      step();
      // Across the borders of chunks, and far enough that a head is several workgroups.
      for (const auto& [first, n] : {std::pair{1, 70}, std::pair{71, 185}, std::pair{256, 1},
                                     std::pair{257, 300}, std::pair{557, 3}, std::pair{560, 1}}) {
        batch(n, first);
        step();
      }
      batch(1, 561);
      add_run(4, 0, 2);
      add_run(1, 0, 1);
      step();
      device_->copy_kv(0, 1, 400);
      plain_->copy_kv(0, 1, 400);
      batch(1, 400, 1);
      step();
    }
  }
}

TEST_P(VulkanTest, RefusesWhatItCannot) {
  EXPECT_EQ(device_->create_kv({.layers = {{.n_kv_heads = 1, .d_head = 32}},
                                .n_context = 8,
                                .format = KvFormat::kQ8_0})
                .error()
                .code,
            ErrorCode::kUnsupported);
  EXPECT_EQ(device_->create_kv({.layers = {{.n_kv_heads = 1, .d_head = 33}}, .n_context = 8}).error().code,
            ErrorCode::kUnsupported);
  const Weight& base = random(WeightFormat::kQ4_0, 8, 32);
  const WeightId w = load(base);
  EXPECT_EQ(device_->load_residual(w, random(WeightFormat::kQ4_0, 16, 32).view).error().code,
            ErrorCode::kCorruptFile);
  EXPECT_EQ(device_->load_rope({}).error().code, ErrorCode::kInvalidArgument);
}

// More than one binding may have: it is read in windows of rows.
TEST_P(VulkanTest, ReadsMatricesLargerThanABinding) {
  if (!GetParam()) GTEST_SKIP() << "once is enough";
  constexpr int64_t kRows = 36000, kCols = 4096, kKinds = 11;  // no divisor of a window's rows
  const Weight& few = random(WeightFormat::kQ8_0, kKinds, kCols, 0.02);
  const size_t row = few.bytes.size() / kKinds;
  Weight large;
  large.bytes.resize(row * kRows);
  for (size_t r = 0; r < kRows; ++r) {
    std::copy_n(few.bytes.begin() + static_cast<ptrdiff_t>(r % kKinds * row), row,
                large.bytes.begin() + static_cast<ptrdiff_t>(r * row));
  }
  large.view = few.view;
  large.view.data = large.bytes.data();
  large.view.size_bytes = large.bytes.size();
  large.view.shape[0] = kRows;
  const auto id = device_->load_matrix(large.view);
  ASSERT_TRUE(id) << id.error().message;
  const WeightId in = *device_->load_matrix(random(WeightFormat::kF32, 97, kCols).view);
  const WeightId same = *device_->load_matrix(few.view);
  for (const int32_t n_tokens : {1, 12}) {
    batch(n_tokens);
    device_->begin_step({tokens_, positions_, slots_});
    const Value x = device_->embed(in), y = device_->matmul(x, *id), z = device_->matmul(x, same);
    ASSERT_TRUE(device_->end_step());
    const auto all = device_->read(y), of_kinds = device_->read(z);
    for (size_t t = 0; t < static_cast<size_t>(n_tokens); ++t) {
      for (size_t r = 0; r < kRows; ++r) {
        ASSERT_EQ(all[t * kRows + r], of_kinds[t * kKinds + r % kKinds]) << "row " << r;
      }
    }
  }
  const std::vector<int32_t> tokens = {0, kRows - 1, 32760, 32768};
  const std::vector<int32_t> places = {0, 1, 2, 3}, slots(4, 0);
  device_->begin_step({tokens, places, slots});
  const Value rows = device_->embed(*id);
  ASSERT_TRUE(device_->end_step());
  const auto got = device_->read(rows);
  std::vector<float> expected(kCols);
  for (size_t i = 0; i < tokens.size(); ++i) {
    cpu::codec(WeightFormat::kQ8_0)
        .decode_row(large.bytes.data() + static_cast<size_t>(tokens[i]) * row, expected.data(), kCols);
    for (size_t c = 0; c < kCols; ++c) ASSERT_EQ(got[i * kCols + c], expected[c]);
  }
}

}  // namespace
}  // namespace ac::test
