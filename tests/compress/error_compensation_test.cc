#include "models/compress/error_compensation.h"

#include <cstring>

#include "cpu/formats/codecs.h"
#include "tests/compress/algebra.h"

namespace ac {
namespace {

constexpr WeightFormat kFormats[] = {WeightFormat::kQ8_0, WeightFormat::kQ4_0, WeightFormat::kQ4_K};
constexpr int64_t kRows = 70;  // not whole chunks
constexpr int64_t kCols = 512;

std::vector<float> random_weights(uint64_t seed) {
  Rng rng(seed);
  std::vector<float> w(kRows * kCols);
  for (float& x : w) x = static_cast<float>(rng.normal() * 0.05);
  return w;
}

std::vector<float> decoded(WeightFormat format, const std::vector<std::byte>& blocks) {
  std::vector<float> w(kRows * kCols);
  const size_t row_bytes = cpu::row_bytes(format, kCols);
  for (size_t r = 0; r < kRows; ++r) {
    cpu::codec(format).decode_row(blocks.data() + r * row_bytes, w.data() + r * kCols, kCols);
  }
  return w;
}

// trace(dW H dW^T)
double loss(const std::vector<float>& w, const std::vector<float>& rounded, const Matrix& h) {
  cpu::ThreadTeam team({.n_threads = 1});
  auto e = Matrix::create(kRows, kCols);
  for (size_t i = 0; i < w.size(); ++i) e->data()[i] = double{w[i]} - double{rounded[i]};
  return *quadratic_loss(*e, h, team);
}

std::vector<float> nearest(const std::vector<float>& w, WeightFormat format) {
  std::vector<std::byte> blocks(kRows * cpu::row_bytes(format, kCols));
  for (size_t r = 0; r < kRows; ++r) {
    cpu::codec(format).encode_row(w.data() + r * kCols,
                                  blocks.data() + r * cpu::row_bytes(format, kCols), kCols);
  }
  return decoded(format, blocks);
}

TEST(ErrorCompensation, BlocksDecodeToWhatWasComputedAndLoseLess) {
  const Matrix h = test::correlated_moments(kCols, 1);
  std::vector<double> diagonal;
  for (int64_t i = 0; i < kCols; ++i) diagonal.push_back(h(i, i));
  cpu::ThreadTeam team({.n_threads = 2});
  for (const WeightFormat format : kFormats) {
    SCOPED_TRACE(weight_format_info(format).name);
    const std::vector<float> w = random_weights(2);
    std::vector<std::byte> blocks(kRows * cpu::row_bytes(format, kCols), std::byte{0xaa});
    std::vector<float> searched = w;
    round_by_search(searched, kCols, diagonal, format, blocks.data(), team);
    std::vector<float> read = decoded(format, blocks);
    EXPECT_EQ(std::memcmp(read.data(), searched.data(), read.size() * sizeof(float)), 0);
    std::vector<float> compensated = w;
    std::fill(blocks.begin(), blocks.end(), std::byte{0xaa});
    const auto damping = round_with_compensation(compensated, h, 0.01, format, blocks.data(), team);
    ASSERT_TRUE(damping) << damping.error().message;
    EXPECT_EQ(*damping, 0.01);
    read = decoded(format, blocks);
    EXPECT_EQ(std::memcmp(read.data(), compensated.data(), read.size() * sizeof(float)), 0);
    const double plain = loss(w, nearest(w, format), h);
    EXPECT_LT(loss(w, searched, h), plain);
    // Inputs as correlated as these let most of a column's error be undone.
    EXPECT_LT(loss(w, compensated, h), 0.6 * plain);
  }
}

TEST(ErrorCompensation, TheSameForAnyNumberOfThreads) {
  const Matrix h = test::correlated_moments(kCols, 1);
  for (const WeightFormat format : kFormats) {
    std::vector<std::byte> first;
    for (const int n_threads : {1, 2, 3}) {
      cpu::ThreadTeam team({.n_threads = n_threads});
      std::vector<float> w = random_weights(3);
      std::vector<std::byte> blocks(kRows * cpu::row_bytes(format, kCols));
      ASSERT_TRUE(round_with_compensation(w, h, 0.01, format, blocks.data(), team));
      if (first.empty()) first = blocks;
      EXPECT_EQ(blocks, first) << n_threads;
    }
  }
}

TEST(ErrorCompensation, InputsThatAreNeverThereAndWeightsOfZero) {
  Matrix h = test::correlated_moments(kCols, 1);
  for (int64_t i = 0; i < kCols; ++i) h(5, i) = h(i, 5) = h(40, i) = h(i, 40) = 0;
  cpu::ThreadTeam team({.n_threads = 2});
  for (const WeightFormat format : kFormats) {
    std::vector<float> w = random_weights(4);
    for (size_t i = 0; i < 2 * kCols; ++i) w[i] = 0;
    std::vector<std::byte> blocks(kRows * cpu::row_bytes(format, kCols));
    ASSERT_TRUE(round_with_compensation(w, h, 0.01, format, blocks.data(), team));
    for (size_t i = 0; i < w.size(); ++i) ASSERT_TRUE(std::isfinite(w[i]));
    for (size_t i = 0; i < 2 * kCols; ++i) EXPECT_EQ(w[i], 0.0f);
  }
}

}  // namespace
}  // namespace ac
