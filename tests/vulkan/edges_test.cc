// What verbs do at their edges: formats that are converted, shapes beyond one dispatch or one binding,
// values that change or are used again after they went into a sum, nothing at all.
#include <cstring>
#include <optional>

#include "cpu/formats/packed.h"
#include "cpu/isa.h"
#include "tests/vulkan/vulkan_fixture.h"

namespace ac::test {
namespace {

// Where transcendental functions count, which devices may round as they like; and a cache in f16.
constexpr double kVerbError = 1e-6;

class VulkanEdges : public VulkanTest {
 protected:
  // A matrix for the device, and for the plain backend the numbers that it should stand for.
  WeightId load_as(const TensorView& view, const Weight& numbers) {
    const auto id = device_->load_matrix(view);
    EXPECT_TRUE(id) << (id ? "" : id.error().message);
    EXPECT_EQ(*id, *plain_->load_matrix(numbers.view));
    return *id;
  }
  // Random numbers [n_out, n_in] of a format that need not have an encoder.
  const Weight& random_bytes(WeightFormat format, int64_t n_out, int64_t n_in) {
    if (cpu::codec(format).encode_row != nullptr) return random(format, n_out, n_in);
    Weight& weight = more_.emplace_back();
    Rng rng(23);
    weight.bytes.resize(cpu::row_bytes(format, static_cast<size_t>(n_in)) * static_cast<size_t>(n_out));
    // With a small half at every even place they decode to something finite, and to what f16 holds.
    for (std::byte& byte : weight.bytes) byte = static_cast<std::byte>(rng.below(64));
    weight.view = {.data = weight.bytes.data(),
                   .size_bytes = weight.bytes.size(),
                   .format = format,
                   .n_axes = 2,
                   .shape = {n_out, n_in, 1, 1}};
    return weight;
  }
  // What the device keeps of it, in f32: rounded to f16 where no shader reads the format.
  const Weight& as_kept(const Weight& weight) {
    const WeightFormat format = weight.view.format;
    const bool is_read = format == WeightFormat::kQ8_0 || format == WeightFormat::kQ4_0 ||
                         weight_format_info(format).block_weights == 1;
    const auto n_in = static_cast<size_t>(weight.view.n_cols());
    const auto n_out = static_cast<size_t>(weight.view.n_rows());
    const size_t row = cpu::row_bytes(format, n_in);
    Weight& kept = more_.emplace_back();
    kept.bytes.resize(n_out * n_in * sizeof(float));
    std::vector<float> values(n_in);
    std::vector<std::byte> halves(2 * n_in);
    for (size_t r = 0; r < n_out; ++r) {
      cpu::codec(format).decode_row(weight.bytes.data() + r * row, values.data(), n_in);
      if (!is_read) {
        cpu::codec(WeightFormat::kF16).encode_row(values.data(), halves.data(), n_in);
        cpu::codec(WeightFormat::kF16).decode_row(halves.data(), values.data(), n_in);
      }
      std::memcpy(kept.bytes.data() + r * n_in * sizeof(float), values.data(), n_in * sizeof(float));
    }
    kept.view = weight.view;
    kept.view.data = kept.bytes.data();
    kept.view.size_bytes = kept.bytes.size();
    kept.view.format = WeightFormat::kF32;
    return kept;
  }
  // Embeds and multiplies, few tokens and many.
  void expect_numbers_of(WeightId w, int32_t n_rows, int64_t n_in) {
    const WeightId in = input(n_in);
    for (const int32_t n_tokens : {1, 12}) {
      batch(n_tokens);
      for (int32_t& token : tokens_) token %= n_rows;
      compare([&](Backend& b) { return std::vector{b.embed(w)}; }, 1e-12);
      compare([&](Backend& b) { return std::vector{b.matmul(b.embed(in), w)}; }, kF32Error);
    }
  }

 private:
  std::deque<Weight> more_;
};

INSTANTIATE_TEST_SUITE_P(Sums, VulkanEdges, testing::Bool(), [](const auto& test) {
  return test.param ? "BySubgroups" : "ThroughSharedMemory";
});

TEST_P(VulkanEdges, SaysWhatItRunsOn) {
  EXPECT_EQ(device_->name(), "vulkan");
  EXPECT_NE(device_->device().find(vulkan_device()), std::string_view::npos) << device_->device();
}

// Rounded to f16 and no more than that: f32 sums of the rounded numbers.
TEST_P(VulkanEdges, ConvertedFormatsAreRoundedOnce) {
  for (const WeightFormatInfo& info : weight_formats()) {
    if (info.group_rows > 1) continue;
    SCOPED_TRACE(std::string(info.name));
    const Weight& weight = random_bytes(info.format, 37, 512);
    expect_numbers_of(load_as(weight.view, as_kept(weight)), 37, 512);
  }
}

// As they lie in a zoo: arranged for the kernels of the CPU, the last group cut.
TEST_P(VulkanEdges, PackedFormatsAreTheirNamesakes) {
  const auto isa = cpu::choose_isa();
  ASSERT_TRUE(isa) << isa.error().message;
  for (const WeightFormatInfo& info : weight_formats()) {
    if (info.group_rows == 1) continue;
    SCOPED_TRACE(std::string(info.name));
    const int64_t n_in = info.block_weights == 256 ? 512 : 96;
    const int64_t shape[] = {37, n_in};
    const WeightFormat format = cpu::unpacked_format(info.format);
    const Weight& weight = random_bytes(format, 37, n_in);
    auto packed = Buffer::allocate(*tensor_bytes(info.format, shape));
    ASSERT_TRUE(packed) << packed.error().message;
    cpu::pack_groups(*(*isa)->matmul, format,
                     {.from = weight.bytes.data(),
                      .to = packed->data(),
                      .n_out = 37,
                      .n_in = static_cast<size_t>(n_in),
                      .group_begin = 0,
                      .group_end = static_cast<size_t>(cpu::packed_groups(37))});
    TensorView view = weight.view;
    view.data = packed->data();
    view.size_bytes = packed->size_bytes();
    view.format = info.format;
    expect_numbers_of(load_as(view, as_kept(weight)), 37, n_in);
  }
}

TEST_P(VulkanEdges, LongRowsByAnyNumberOfTokens) {
  const WeightId in = input(4096);
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16,
                                    WeightFormat::kQ8_0, WeightFormat::kQ4_0}) {
    SCOPED_TRACE(std::string(weight_format_info(format).name));
    const WeightId w = matrix(format, 7, 4096);
    for (const int32_t n_tokens : {1, 2, 3, 8, 9, 33, 70}) {
      batch(n_tokens);
      compare([&](Backend& b) { return std::vector{b.matmul(b.embed(in), w)}; }, kF32Error);
    }
  }
}

TEST_P(VulkanEdges, RanksOfEight) {
  const WeightId in = input(512);
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16}) {
    const WeightId down = matrix(format, 8, 512), up = matrix(format, 512, 8);
    for (const int32_t n_tokens : {1, 3, 20}) {
      batch(n_tokens);
      compare([&](Backend& b) { return std::vector{b.matmul(b.matmul(b.embed(in), down), up)}; }, kF32Error);
    }
  }
}

// Vulkan promises 65535 workgroups in one direction. Real vocabularies have 151936 or 262144 rows.
TEST_P(VulkanEdges, MoreRowsThanOneDispatchHas) {
  constexpr int32_t kRows = 262147;
  const Weight& weight = random(WeightFormat::kQ8_0, kRows, 32);
  const WeightId in = input(32), w = load(weight);
  for (const int32_t n_tokens : {1, 3, 9}) {
    SCOPED_TRACE(fmt::format("{} tokens", n_tokens));
    batch(n_tokens);
    compare([&](Backend& b) { return std::vector{b.matmul(b.embed(in), w)}; }, kF32Error);
  }
  batch(4);
  tokens_ = {kRows - 1, 0, 65536, 131072};
  compare([&](Backend& b) { return std::vector{b.embed(w)}; }, 1e-12);
}

TEST_P(VulkanEdges, MoreNumbersThanOneDispatchHas) {
  const WeightId narrow = input(4000), wide = input(61000);
  batch(70);
  compare([&](Backend& b) { return std::vector{b.rms_norm(b.embed(narrow), WeightId::kNone, 1e-5f, 4)}; },
          kVerbError);
  std::vector<int32_t> backwards;
  for (int32_t i = 69; i >= 0; --i) backwards.push_back(i);
  compare(
      [&](Backend& b) {
        const Value x = b.embed(wide);
        const Value gated = b.gated(x, x, Activation::kSilu);
        b.scale(x, 3);
        return std::vector{gated, b.select_rows(x, backwards)};
      },
      kVerbError);
}

// e^x overflows, epsilon is all there is, and nothing at all: numbers all the same.
TEST_P(VulkanEdges, ExtremesStayNumbers) {
  const WeightId first = input(100), second = input(100);
  batch(19);
  for (const float size : {1e4f, 100.0f, 1e-6f, 0.0f}) {
    SCOPED_TRACE(size);
    compare(
        [&](Backend& b) {
          const Value x = b.embed(first), up = b.embed(second);
          b.scale(x, size);
          const Value capped = b.embed(first);
          b.scale(capped, size);
          b.softcap(capped, 30);
          return std::vector{b.gated(x, up, Activation::kSilu), b.gated(x, up, Activation::kGeluTanh),
                             b.rms_norm(x, WeightId::kNone, 1e-5f), capped};
        },
        kVerbError);
  }
}

TEST_P(VulkanEdges, NoRowsAreNoWork) {
  const WeightId in = input(96), w = matrix(WeightFormat::kQ8_0, 64, 96);
  batch(3);
  device_->begin_step({tokens_, positions_, slots_});
  const Value x = device_->embed(in);
  const Value none = device_->select_rows(x, {});
  const Value product = device_->matmul(none, w);
  const Value norm = device_->rms_norm(none, WeightId::kNone, 1e-5f);
  const Value left = device_->matmul(x, w);
  const Status status = device_->end_step();
  ASSERT_TRUE(status) << status.error().message;
  for (const Value value : {none, product, norm}) {
    EXPECT_EQ(value.n_rows, 0);
    EXPECT_TRUE(device_->read(value).empty());
  }
  for (const float number : device_->read(left)) ASSERT_TRUE(std::isfinite(number));
}

// The sum is what the product is made from: all of it is read before any of it changes.
TEST_P(VulkanEdges, AddsAProductToItsOwnInput) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kQ8_0}) {
    const WeightId in = input(96), w = matrix(format, 96, 96);
    for (const int32_t n_tokens : {1, 5, 40}) {
      SCOPED_TRACE(fmt::format("{} tokens", n_tokens));
      batch(n_tokens);
      compare(
          [&](Backend& b) {
            const Value x = b.embed(in);
            b.begin_scope();
            b.add(x, b.matmul(x, w));
            b.end_scope();
            return std::vector{x};
          },
          kF32Error);
    }
  }
}

// It was used once, so its input may change; it is what it was when somebody asks again.
TEST_P(VulkanEdges, AddedProductsKeepTheirInput) {
  const WeightId in = input(96), w = matrix(WeightFormat::kQ8_0, 96, 96);
  for (const int32_t n_tokens : {1, 5, 40}) {
    SCOPED_TRACE(fmt::format("{} tokens", n_tokens));
    batch(n_tokens);
    compare(
        [&](Backend& b) {
          const Value sum = b.embed(in), other = b.embed(in), n = b.embed(in);
          b.begin_scope();
          const Value y = b.matmul(n, w);
          b.add(sum, y);
          b.scale(n, 2);
          b.add(other, y);
          b.end_scope();
          return std::vector{sum, other, n};
        },
        kF32Error);
    compare(
        [&](Backend& b) {
          const Value sum = b.embed(in), n = b.embed(in);
          const Value y = b.matmul(n, w);
          b.begin_scope();
          b.add(sum, y);
          b.end_scope();
          b.scale(n, 2);
          return std::vector{sum, y};  // y by itself, at the end of the step
        },
        kF32Error);
  }
}

// Products of two planes that go into a sum at once; a residual is not read before it is asked for.
TEST_P(VulkanEdges, AddsProductsOfBothPlanes) {
  const WeightId sums = input(75), in = input(96), w = load(random(WeightFormat::kQ4_0, 75, 96));
  const WeightId bias = load(random(WeightFormat::kF32, 75, 0));
  const Weight& rest = random(WeightFormat::kQ4_0, 75, 96, 0.1);
  for (Backend* backend : {device_.get(), plain_.get()}) ASSERT_TRUE(backend->load_residual(w, rest.view));
  for (const std::optional<bool> reads : {std::optional<bool>(), {true}, {false}, {true}}) {
    for (Backend* backend : {device_.get(), plain_.get()}) {
      if (reads) backend->read_residual(w, *reads);
    }
    for (const int32_t n_tokens : {1, 12}) {
      batch(n_tokens);
      compare(
          [&](Backend& b) {
            const Value sum = b.embed(sums), x = b.embed(in);
            b.begin_scope();
            b.add(sum, b.matmul(x, w, bias));
            b.end_scope();
            return std::vector{sum};
          },
          kF32Error);
    }
  }
  EXPECT_EQ(device_->load_residual(w, random(WeightFormat::kQ8_0, 75, 96).view).error().code,
            ErrorCode::kCorruptFile)
      << "of another format";
}

// Layers of different widths, one pruned away; contexts to their last position, several slots at once, and
// a copy that leaves the rest of its slot alone.
TEST_P(VulkanEdges, CachesToTheirEnds) {
  for (const KvFormat format : {KvFormat::kF32, KvFormat::kF16}) {
    const KvShape shape{.layers = {{.n_kv_heads = 2, .d_head = 32},
                                   {.n_kv_heads = 0, .d_head = 32},
                                   {.n_kv_heads = 1, .d_head = 16}},
                        .n_slots = 3,
                        .n_context = 700,
                        .format = format};
    ASSERT_TRUE(device_->create_kv(shape));
    ASSERT_TRUE(plain_->create_kv(shape));
    EXPECT_GE(device_->kv_bytes(shape), 3u * 700 * 2 * (64 + 16) * (format == KvFormat::kF32 ? 4 : 2));
    const WeightId q0 = input(6 * 32), k0 = input(2 * 32), v0 = input(2 * 32);
    const WeightId q2 = input(4 * 16), k2 = input(16), v2 = input(16);
    const auto step = [&](std::string_view name) {
      SCOPED_TRACE(std::string(name));
      compare(
          [&](Backend& b) {
            b.store_kv(0, b.embed(k0), b.embed(v0));
            b.store_kv(2, b.embed(k2), b.embed(v2));
            const Value a = b.embed(q0), c = b.embed(q2);
            std::vector<Value> made;
            for (const int32_t window : {0, 1, 257}) {
              made.push_back(b.attend(a, {.layer = 0, .n_heads = 6, .scale = 0.3f, .window = window}));
              made.push_back(b.attend(
                  c, {.layer = 2, .n_heads = 4, .scale = 0.3f, .softcap = 2, .window = window}));
            }
            return made;
          },
          kVerbError);
    };
    batch(300);
    step("a prompt");
    batch(50, 0, 1);
    step("another slot");
    device_->copy_kv(0, 1, 40);
    plain_->copy_kv(0, 1, 40);
    batch(1, 50, 1);
    step("40 positions of one slot and 10 of another");
    batch(390, 300);
    step("far into its context");
    batch(8, 690);
    step("few tokens that see many");
    batch(1, 698);
    add_run(3, 51, 1);
    add_run(4, 0, 2);
    step("a long slot, a short one, an empty one");
    batch(1, 699);
    step("the last position");
  }
}

// No two rows that a window could mix up are alike: the scale of the first block is the row's own.
TEST_P(VulkanEdges, RowsOfALargeMatrixAreNotMixedUp) {
  if (!GetParam()) GTEST_SKIP() << "once is enough";
  constexpr size_t kRows = 36000, kCols = 4096, kKinds = 7, kBlocks = kCols / 32, kBlockBytes = 34;
  const WeightId in = input(kCols);
  const Weight& few = random(WeightFormat::kQ8_0, kKinds, kCols);
  constexpr size_t kRowBytes = kBlocks * kBlockBytes;
  Weight large;
  large.bytes.resize(kRowBytes * kRows);
  for (size_t r = 0; r < kRows; ++r) {
    std::byte* const row = large.bytes.data() + r * kRowBytes;
    std::memcpy(row, few.bytes.data() + r % kKinds * kRowBytes, kRowBytes);
    for (size_t b = 0; b < kBlocks; ++b) {
      const auto half = static_cast<uint16_t>(0x2400 + (b == 0 ? r % 1024 : 0));  // 2^-6 (1 + n / 1024)
      std::memcpy(row + b * kBlockBytes, &half, 2);
    }
  }
  large.view = few.view;
  large.view.data = large.bytes.data();
  large.view.size_bytes = large.bytes.size();
  large.view.shape[0] = kRows;
  const auto id = device_->load_matrix(large.view);
  ASSERT_TRUE(id) << id.error().message;

  for (const int32_t n_tokens : {1, 9}) {
    batch(n_tokens);
    device_->begin_step({tokens_, positions_, slots_});
    const Value x = device_->embed(in), y = device_->matmul(x, *id);
    ASSERT_TRUE(device_->end_step());
    const std::vector<float> from(device_->read(x).begin(), device_->read(x).end());
    std::vector<double> expected(static_cast<size_t>(n_tokens) * kRows);
    for (size_t t = 0; t < static_cast<size_t>(n_tokens); ++t) {
      double first[kKinds] = {}, rest[kKinds] = {};
      for (size_t kind = 0; kind < kKinds; ++kind) {
        for (size_t c = 0; c < kCols; ++c) {
          const size_t at = kind * kRowBytes + c / 32 * kBlockBytes + 2 + c % 32;
          const auto quant = static_cast<int8_t>(few.bytes[at]);
          (c < 32 ? first : rest)[kind] += 0x1p-6 * quant * static_cast<double>(from[t * kCols + c]);
        }
      }
      for (size_t r = 0; r < kRows; ++r) {
        const double own = 1 + static_cast<double>(r % 1024) / 1024;
        expected[t * kRows + r] = own * first[r % kKinds] + rest[r % kKinds];
      }
    }
    EXPECT_LE(nmse(device_->read(y), std::span<const double>(expected)), kF32Error) << n_tokens << " tokens";
  }

  // The ends; 128 MiB of blocks, and 128 MiB of quants alone.
  const std::vector<int32_t> rows = {0,     1,     30839, 30840, 30841,         32759,
                                     32760, 32761, 32767, 32768, int32_t{kRows - 1}};
  const std::vector<int32_t> zeros(rows.size(), 0);
  device_->begin_step({rows, zeros, zeros});
  const Value picked = device_->embed(*id);
  ASSERT_TRUE(device_->end_step());
  const auto got = device_->read(picked);
  std::vector<float> expected(kCols);
  for (size_t i = 0; i < rows.size(); ++i) {
    cpu::codec(WeightFormat::kQ8_0)
        .decode_row(large.bytes.data() + static_cast<size_t>(rows[i]) * kRowBytes, expected.data(), kCols);
    for (size_t c = 0; c < kCols; ++c) ASSERT_EQ(got[i * kCols + c], expected[c]) << "row " << rows[i];
  }
}

}  // namespace
}  // namespace ac::test
