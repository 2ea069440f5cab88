// Every format x number of tokens x odd shape, on the instruction set that runs, against a plain
// loop in double precision; and the same bits for any split of the work.
#include "cpu/matmul.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "cpu/formats/codecs.h"
#include "cpu/formats/packed.h"
#include "tests/cpu/isa_fixture.h"

namespace ac::cpu {
namespace {

struct Weights {
  std::vector<std::byte> rows;  // row-major, in the GGUF format
  std::vector<float> decoded;   // [n_out, n_in], the numbers that they mean
  std::vector<float> offsets;   // what these numbers are where all codes are 0; see offsets_of
  Buffer packed;
  Matrix matrix;
};

std::vector<float> random_floats(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

// Any bytes, with halves of moderate size: for formats that have no encoder.
void random_row(WeightFormat format, Rng& rng, std::byte* row, size_t n_bytes) {
  const WeightFormatInfo& info = weight_format_info(format);
  for (size_t i = 0; i < n_bytes; ++i) row[i] = static_cast<std::byte>(rng.below(256));
  for (size_t block = 0; block < n_bytes; block += info.block_bytes) {
    std::byte* halves = row + block;
    if (format == WeightFormat::kQ2_K) halves += 80;
    if (format == WeightFormat::kQ3_K) halves += 108;
    halves[1] = std::byte{0x24};  // 1/64 and up to a quarter more
    if (format != WeightFormat::kQ3_K) halves[3] = std::byte{0x28};
  }
}

// A weight is a product and, in some formats, an offset: the row with all codes cleared.
void offsets_of(WeightFormat format, std::span<const std::byte> row, float* out, size_t n_in) {
  size_t begin = 0;
  size_t end = weight_format_info(format).block_bytes;
  if (format == WeightFormat::kQ4_1 || format == WeightFormat::kQ5_1) {
    begin = 4;
  } else if (format == WeightFormat::kQ4_K || format == WeightFormat::kQ5_K) {
    begin = 16;
  } else if (format == WeightFormat::kQ2_K) {
    begin = 16;
    end = 80;
  } else {
    std::fill(out, out + n_in, 0.0f);
    return;
  }
  std::vector<std::byte> cleared(row.begin(), row.end());
  for (size_t i = 0; i < cleared.size(); i += weight_format_info(format).block_bytes) {
    std::fill(cleared.data() + i + begin, cleared.data() + i + end, std::byte{0});
  }
  codec(format).decode_row(cleared.data(), out, n_in);
}

Weights make_weights(const MatmulKernels& kernels, WeightFormat format, size_t n_out, size_t n_in,
                     uint64_t seed = 0) {
  const WeightFormat in_file = unpacked_format(format);
  const Codec& rows_codec = codec(in_file);
  Weights w;
  const size_t bytes = row_bytes(in_file, n_in);
  w.rows.resize(bytes * n_out);
  w.decoded.resize(n_out * n_in);
  w.offsets.resize(n_out * n_in);
  const std::vector<float> values = random_floats(n_out * n_in, 7 * n_out + n_in + seed);
  Rng rng(n_out + n_in);
  for (size_t row = 0; row < n_out; ++row) {
    std::byte* to = w.rows.data() + row * bytes;
    if (rows_codec.encode_row != nullptr) {
      rows_codec.encode_row(values.data() + row * n_in, to, n_in);
    } else {
      random_row(in_file, rng, to, bytes);
    }
    rows_codec.decode_row(to, w.decoded.data() + row * n_in, n_in);
    offsets_of(in_file, {to, bytes}, w.offsets.data() + row * n_in, n_in);
  }
  w.matrix = {
      .format = format, .n_out = n_out, .n_in = n_in, .data = w.rows.data(), .row_bytes = bytes};
  if (format != in_file) {
    const std::array<int64_t, 2> shape = {static_cast<int64_t>(n_out), static_cast<int64_t>(n_in)};
    w.packed = std::move(*Buffer::allocate(*tensor_bytes(format, shape)));
    pack_groups(kernels, in_file,
                {.from = w.rows.data(),
                 .to = w.packed.data(),
                 .n_out = n_out,
                 .n_in = n_in,
                 .group_begin = 0,
                 .group_end = static_cast<size_t>(packed_groups(shape[0]))});
    w.matrix.data = w.packed.data();
  }
  return w;
}

// Runs with `n_workers` workers' worth of ranges, in an order that real workers might take.
std::vector<float> run(const MatmulKernels& kernels, const Matrix& matrix,
                       const std::vector<float>& x, size_t n_tokens, const float* bias,
                       size_t n_workers, size_t y_stride) {
  const MatmulPlan plan = plan_matmul(kernels, matrix, n_tokens);
  EXPECT_EQ(plan.row_step % 16, 0u);
  Buffer activations = std::move(*Buffer::allocate(plan.activation_bytes + 64));
  Buffer scratch = std::move(*Buffer::allocate(plan.scratch_bytes + 64));
  std::memset(activations.data(), 0xff, activations.size_bytes());
  std::memset(scratch.data(), 0xff, scratch.size_bytes());
  const size_t token_steps = (n_tokens + plan.token_step - 1) / plan.token_step;
  for (size_t worker = n_workers; worker-- > 0;) {
    const size_t begin = token_steps * worker / n_workers * plan.token_step;
    const size_t end = token_steps * (worker + 1) / n_workers * plan.token_step;
    prepare_activations(plan, x.data(), matrix.n_in, begin, std::min(end, n_tokens),
                        activations.data());
  }
  const void* input = plan.prepare == nullptr ? static_cast<const void*>(x.data())
                                              : static_cast<const void*>(activations.data());
  std::vector<float> y(n_tokens * y_stride, std::numeric_limits<float>::quiet_NaN());
  const size_t row_steps = (matrix.n_out + 15) / 16;
  for (size_t worker = n_workers; worker-- > 0;) {
    const size_t begin = row_steps * worker / n_workers * 16;
    const size_t end = std::min(row_steps * (worker + 1) / n_workers * 16, matrix.n_out);
    if (begin >= end) continue;
    run_matmul(plan, matrix, input, begin, end, {.y = y.data(), .y_stride = y_stride, .bias = bias},
               scratch.data());
  }
  return y;
}

// What the rounding of an output depends on.
struct Magnitudes {
  double products = 0;     // sum |w x|
  double terms = 0;        // the same, a weight of two terms counted with both of them
  double block_error = 0;  // what activations in 16 bits cost
};

// What an output may differ from the exact one.
double tolerance(ActivationLayout layout, const Magnitudes& magnitudes, size_t n_in) {
  // f32 sums: each of at most n_in + 16 additions and the products round to 2^-24 of a partial sum,
  // which is at most `terms`: kernels add up the terms of weights separately.
  const double rounding = (static_cast<double>(n_in) + 16) * 0x1p-24 * magnitudes.terms;
  switch (layout) {
    case ActivationLayout::kRows:
      return rounding;
    case ActivationLayout::kBlocks:
      return rounding + magnitudes.block_error;
    // Both factors are rounded to 8 significant bits, by at most 2^-8 of themselves.
    case ActivationLayout::kBf16Tiles:
      return rounding + (2 * 0x1p-8 + 0x1p-16) * magnitudes.products;
  }
  return 0;
}

void check(const std::vector<float>& y, const Weights& w, const std::vector<float>& x,
           size_t n_tokens, const float* bias, size_t y_stride, ActivationLayout layout) {
  const size_t n_in = w.matrix.n_in;
  for (size_t t = 0; t < n_tokens; ++t) {
    for (size_t row = 0; row < y_stride; ++row) {
      const float got = y[t * y_stride + row];
      if (row >= w.matrix.n_out) {
        ASSERT_TRUE(std::isnan(got)) << "written past the end of token " << t;
        continue;
      }
      double exact = bias != nullptr ? static_cast<double>(bias[row]) : 0.0;
      Magnitudes magnitudes = {.products = std::abs(exact), .terms = std::abs(exact)};
      for (size_t begin = 0; begin < n_in; begin += 32) {
        double largest = 0;
        double weights = 0;
        for (size_t k = begin; k < std::min(begin + 32, n_in); ++k) {
          const double a = static_cast<double>(x[t * n_in + k]);
          const double b = static_cast<double>(w.decoded[row * n_in + k]);
          const double offset = static_cast<double>(w.offsets[row * n_in + k]);
          exact += a * b;
          magnitudes.products += std::abs(a * b);
          magnitudes.terms += std::abs(a * (b - offset)) + std::abs(a * offset);
          largest = std::max(largest, std::abs(a));
          weights += std::abs(b);
        }
        // Half a step of 1/32512 of the block's largest, and what f32 adds to it.
        magnitudes.block_error += weights * largest / 32512.0 * 0.51;
      }
      ASSERT_NEAR(static_cast<double>(got), exact, tolerance(layout, magnitudes, n_in))
          << "token " << t << " row " << row;
    }
  }
}

class MatmulTest : public IsaTest {};

constexpr std::array<size_t, 5> kOutputs = {1, 15, 16, 17, 100};
constexpr std::array<size_t, 9> kTokens = {1, 2, 3, 4, 7, 16, 17, 33, 70};

void check_products(const MatmulKernels& kernels, const Weights& w) {
  const size_t n_out = w.matrix.n_out;
  const size_t n_in = w.matrix.n_in;
  const std::vector<float> bias = random_floats(n_out, 3);
  for (size_t n_tokens : kTokens) {
    const std::vector<float> x = random_floats(n_tokens * n_in, n_tokens);
    const ActivationLayout layout = plan_matmul(kernels, w.matrix, n_tokens).activation_layout;
    SCOPED_TRACE(testing::Message() << weight_format_info(w.matrix.format).name << ' ' << n_out
                                    << 'x' << n_in << ", " << n_tokens << " tokens");
    const size_t stride = n_out + n_tokens % 3;  // with and without a gap between tokens
    const auto y = run(kernels, w.matrix, x, n_tokens, nullptr, 1, stride);
    check(y, w, x, n_tokens, nullptr, stride, layout);
    const auto biased = run(kernels, w.matrix, x, n_tokens, bias.data(), 1, stride);
    check(biased, w, x, n_tokens, bias.data(), stride, layout);
    if (testing::Test::HasFatalFailure()) return;
    for (size_t n_workers : {size_t{2}, size_t{3}, size_t{7}}) {
      const auto split = run(kernels, w.matrix, x, n_tokens, bias.data(), n_workers, stride);
      ASSERT_EQ(std::memcmp(biased.data(), split.data(), y.size() * sizeof(float)), 0)
          << n_workers << " workers";
    }
  }
}

void check_format(const MatmulKernels& kernels, WeightFormat format,
                  std::initializer_list<size_t> widths) {
  for (size_t n_in : widths) {
    for (size_t n_out : kOutputs) {
      check_products(kernels, make_weights(kernels, format, n_out, n_in));
      if (testing::Test::HasFatalFailure()) return;
    }
  }
}

// Two planes as one set of weights, whose terms they are.
Weights add_planes(Weights base, const Weights& residual) {
  for (size_t i = 0; i < base.decoded.size(); ++i) {
    base.offsets[i] = residual.decoded[i];
    base.decoded[i] += residual.decoded[i];
  }
  base.matrix.residual = residual.matrix.data;
  return base;
}

// What reading the residual changes must be the residual and nothing else, so the two planes have
// scales of their own and neither is small beside the other.
TEST_F(MatmulTest, Nested) {
  for (size_t n_in : {size_t{32}, size_t{64}, size_t{96}, size_t{576}}) {
    for (size_t n_out : kOutputs) {
      Weights base = make_weights(kernels(), WeightFormat::kQ4_0_R16, n_out, n_in);
      const std::vector<float> x = random_floats(3 * n_in, 5);
      const auto alone = run(kernels(), base.matrix, x, 3, nullptr, 1, n_out);
      const Weights residual = make_weights(kernels(), WeightFormat::kQ4_0_R16, n_out, n_in, 1);
      Weights both = add_planes(std::move(base), residual);
      check_products(kernels(), both);
      if (HasFatalFailure()) return;
      // Without it, the base again, bit for bit.
      both.matrix.residual = nullptr;
      EXPECT_EQ(run(kernels(), both.matrix, x, 3, nullptr, 1, n_out), alone);
    }
  }
}

TEST_F(MatmulTest, Q8Packed) {
  check_format(kernels(), WeightFormat::kQ8_0_R16, {32, 64, 96, 576});
}
TEST_F(MatmulTest, Q6_KPacked) { check_format(kernels(), WeightFormat::kQ6_K_R16, {256, 768}); }
TEST_F(MatmulTest, Q5_KPacked) { check_format(kernels(), WeightFormat::kQ5_K_R16, {256, 768}); }
TEST_F(MatmulTest, Q5_1Packed) {
  check_format(kernels(), WeightFormat::kQ5_1_R16, {32, 64, 96, 576});
}
TEST_F(MatmulTest, Q5_0Packed) {
  check_format(kernels(), WeightFormat::kQ5_0_R16, {32, 64, 96, 576});
}
TEST_F(MatmulTest, Q4_KPacked) { check_format(kernels(), WeightFormat::kQ4_K_R16, {256, 768}); }
TEST_F(MatmulTest, Q4_1Packed) {
  check_format(kernels(), WeightFormat::kQ4_1_R16, {32, 64, 96, 576});
}
TEST_F(MatmulTest, Q4Packed) {
  check_format(kernels(), WeightFormat::kQ4_0_R16, {32, 64, 96, 576});
}
TEST_F(MatmulTest, Q3_KPacked) { check_format(kernels(), WeightFormat::kQ3_K_R16, {256, 768}); }
TEST_F(MatmulTest, Q2_KPacked) { check_format(kernels(), WeightFormat::kQ2_K_R16, {256, 768}); }
TEST_F(MatmulTest, F32) { check_format(kernels(), WeightFormat::kF32, {1, 5, 32, 96, 172, 576}); }
TEST_F(MatmulTest, F16) { check_format(kernels(), WeightFormat::kF16, {1, 5, 32, 96, 172, 576}); }
TEST_F(MatmulTest, Bf16) { check_format(kernels(), WeightFormat::kBF16, {1, 5, 32, 96, 172, 576}); }

TEST_F(MatmulTest, ExtremeActivations) {
  // Zeros, tiny, large and one-sided blocks: the bias of unsigned weights must cancel exactly.
  const size_t n_in = 256;
  for (const WeightFormatInfo& info : weight_formats()) {
    if (info.group_rows == 1) continue;
    SCOPED_TRACE(std::string(info.name));
    const WeightFormat format = info.format;
    const Weights w = make_weights(kernels(), format, 33, n_in);
    for (size_t n_tokens : {size_t{1}, size_t{5}, size_t{40}}) {
      std::vector<float> x(n_tokens * n_in, 0.0f);
      for (size_t t = 0; t < n_tokens; ++t) {
        float* row = x.data() + t * n_in;
        for (size_t k = 32; k < 64; ++k) row[k] = 1e4f;
        for (size_t k = 64; k < 96; ++k) row[k] = -1e4f;
        for (size_t k = 96; k < 128; ++k) row[k] = 1e-35f;
        row[130 + t] = 3.0f;
      }
      const ActivationLayout layout = plan_matmul(kernels(), w.matrix, n_tokens).activation_layout;
      check(run(kernels(), w.matrix, x, n_tokens, nullptr, 1, 33), w, x, n_tokens, nullptr, 33,
            layout);
    }
  }
}

}  // namespace
}  // namespace ac::cpu
