// Orthogonal directions, and the optimiser that moves along them.
#include "models/train/muon.h"

#include <gtest/gtest.h>

#include <cmath>

#include "cpu/isa.h"
#include "runtime/core/rng.h"

namespace ac {
namespace {

std::vector<float> random_matrix(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

class MuonTest : public testing::TestWithParam<cpu::GemmKind> {
 protected:
  void SetUp() override {
    isa_ = cpu::choose_isa().value();
    if (GetParam() == cpu::GemmKind::kBf16 && cpu::Gemm::best_kind(*isa_) != cpu::GemmKind::kBf16) {
      GTEST_SKIP() << "this machine has no bf16 products";
    }
  }
  cpu::Gemm gemm() const { return {*isa_, GetParam()}; }

  std::vector<float> orthogonal(std::vector<float> x, size_t m, size_t n) const {
    const cpu::Gemm by = gemm();
    std::vector<float> square(m * m), product(m * n);
    const size_t bytes = std::max<size_t>({64, by.packed_bytes(m, n), by.packed_bytes(n, m)});
    Buffer a = Buffer::allocate(bytes).value(), b = Buffer::allocate(bytes).value();
    orthogonalise(by, x, m, n, square, product, a.data(), b.data());
    return x;
  }

  const cpu::Isa* isa_ = nullptr;
};

TEST_P(MuonTest, SingularValuesGoToOneAndVectorsStay) {
  // Singular values 5, 1 and 0.2 along the axes.
  constexpr size_t kM = 3, kN = 5;
  std::vector<float> x(kM * kN, 0.0f);
  x[0 * kN + 2] = 5;
  x[1 * kN + 0] = -1;
  x[2 * kN + 4] = 0.2f;
  const std::vector<float> made = orthogonal(x, kM, kN);
  for (size_t i = 0; i < made.size(); ++i) {
    if (x[i] == 0) {
      EXPECT_NEAR(made[i], 0, 0.02) << i;
    } else {
      EXPECT_GT(made[i] * (x[i] > 0 ? 1 : -1), 0.6f) << i;
      EXPECT_LT(std::abs(made[i]), 1.3f) << i;
    }
  }
}

TEST_P(MuonTest, AnyShapeBecomesNearlyOrthogonal) {
  for (const auto& [m, n] :
       {std::pair<size_t, size_t>{1, 1}, {7, 33}, {32, 32}, {40, 96}, {64, 200}}) {
    const std::vector<float> made = orthogonal(random_matrix(m * n, m), m, n);
    // Rows of a random matrix this wide are far from parallel: no singular value is near nothing,
    // but for the square one.
    double squares = 0;
    for (const float value : made)
      squares += static_cast<double>(value) * static_cast<double>(value);
    EXPECT_GT(squares, 0.4 * static_cast<double>(m)) << m << "x" << n;
    EXPECT_LT(squares, 1.5 * static_cast<double>(m)) << m << "x" << n;
  }
  const std::vector<float> nothing = orthogonal(std::vector<float>(12, 0.0f), 3, 4);
  for (const float value : nothing) EXPECT_EQ(value, 0);
}

TEST_P(MuonTest, TheSameBitsForAnyNumberOfThreads) {
  const std::vector<MuonMatrix> matrices = {{.offset = 0, .n_rows = 40, .n_cols = 24},
                                            {.offset = 960, .n_rows = 8, .n_cols = 64},
                                            {.offset = 1504, .n_rows = 16, .n_cols = 16}};
  constexpr size_t kSize = 1800;
  std::vector<float> first;
  for (const int n_threads : {1, 2, 3}) {
    cpu::ThreadTeam team({.n_threads = n_threads});
    const auto muon = Muon::create(gemm(), {}, matrices, n_threads);
    ASSERT_TRUE(muon) << muon.error().message;
    std::vector<float> parameters = random_matrix(kSize, 1), momentum(kSize, 0.0f);
    const std::vector<float> before = parameters;
    for (uint64_t step = 0; step < 3; ++step) {
      std::vector<float> gradient = random_matrix(kSize, 2 + step);
      (*muon)->step(team, parameters, gradient, momentum, 0.01f, 0.5f);
      EXPECT_EQ(gradient[0], 0);
      EXPECT_NE(gradient[1472], 0) << "between two matrices";
    }
    EXPECT_EQ(parameters[1472], before[1472]);
    EXPECT_NE(parameters[0], before[0]);
    if (first.empty()) first = parameters;
    EXPECT_EQ(parameters, first) << n_threads << " threads";
  }
}

TEST_P(MuonTest, FindsAMatrix) {
  // |W - T|^2 has its minimum at T, and a step is as long as the rate says.
  constexpr size_t kRows = 24, kCols = 16;
  const std::vector<float> target = random_matrix(kRows * kCols, 5);
  std::vector<float> w(kRows * kCols, 0.0f), momentum(w.size(), 0.0f);
  cpu::ThreadTeam team({.n_threads = 1});
  const auto muon = Muon::create(gemm(), {.beta = 0.9f, .weight_decay = 0},
                                 {{.offset = 0, .n_rows = kRows, .n_cols = kCols}}, 1);
  ASSERT_TRUE(muon);
  double error = 0;
  for (int step = 0; step < 400; ++step) {
    std::vector<float> gradient(w.size());
    error = 0;
    for (size_t i = 0; i < w.size(); ++i) {
      gradient[i] = w[i] - target[i];
      error += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
    }
    (*muon)->step(team, w, gradient, momentum, 0.1f * (1 - static_cast<float>(step) / 400), 1);
  }
  EXPECT_LT(error / static_cast<double>(w.size()), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(Kinds, MuonTest,
                         testing::Values(cpu::GemmKind::kF32, cpu::GemmKind::kBf16),
                         [](const auto& kind) {
                           return kind.param == cpu::GemmKind::kF32 ? "f32" : "bf16";
                         });

}  // namespace
}  // namespace ac
