#include "models/compress/linear_algebra.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "tests/compress/algebra.h"

namespace ac {
namespace {

using test::correlated_moments;
using test::largest_difference;
using test::random_matrix;

TEST(LinearAlgebra, ProductsEqualPlainLoops) {
  cpu::ThreadTeam team({.n_threads = 2});
  const Matrix a = random_matrix(131, 37, 1);
  const Matrix b = random_matrix(37, 70, 2);
  const auto b_turned = transpose_of(b);
  const auto made = product(a, b, Transposed::kNo, team);
  const auto turned = product(a, *b_turned, Transposed::kYes, team);
  ASSERT_TRUE(made && turned);
  for (int64_t i = 0; i < a.n_rows(); ++i) {
    for (int64_t j = 0; j < b.n_cols(); ++j) {
      double sum = 0;
      for (int64_t k = 0; k < a.n_cols(); ++k) sum += a(i, k) * b(k, j);
      // 37 terms of about 1 in double.
      EXPECT_NEAR((*made)(i, j), sum, 1e-12);
      EXPECT_NEAR((*turned)(i, j), sum, 1e-12);
    }
  }
}

TEST(LinearAlgebra, TheSameForAnyNumberOfThreads) {
  const Matrix a = random_matrix(200, 90, 1);
  const Matrix b = random_matrix(90, 80, 2);
  std::vector<double> first;
  for (const int n_threads : {1, 2, 3}) {
    cpu::ThreadTeam team({.n_threads = n_threads});
    const auto c = product(a, b, Transposed::kNo, team);
    ASSERT_TRUE(c);
    const std::vector<double> values(c->data(), c->data() + 200 * 80);
    if (first.empty()) first = values;
    EXPECT_EQ(std::memcmp(values.data(), first.data(), values.size() * sizeof(double)), 0);
  }
}

TEST(LinearAlgebra, FactorSolveInverse) {
  cpu::ThreadTeam team({.n_threads = 2});
  const Matrix h = correlated_moments(48, 3);
  const auto factor = factorise(h, 0);
  ASSERT_TRUE(factor) << factor.error().message;
  EXPECT_EQ(factor->damping, 0);
  const Matrix x = random_matrix(100, 48, 4);
  auto solved = product(x, h, Transposed::kNo, team);
  ASSERT_TRUE(solved);
  solve_rows(*factor, *solved, team);
  EXPECT_LT(largest_difference(*solved, x), 1e-8);
  const auto inverse = inverse_of(*factor);
  const auto one = product(h, *inverse, Transposed::kNo, team);
  ASSERT_TRUE(one);
  for (int64_t i = 0; i < 48; ++i) {
    for (int64_t j = 0; j < 48; ++j) EXPECT_NEAR((*one)(i, j), i == j ? 1 : 0, 1e-8);
  }
  // U^T U is the inverse.
  const auto upper = factorise_inverse(h, 0);
  ASSERT_TRUE(upper);
  for (int64_t i = 0; i < 48; ++i) {
    for (int64_t j = 0; j < 48; ++j) {
      double sum = 0;
      for (int64_t k = 0; k <= std::min(i, j); ++k)
        sum += upper->factor(k, i) * upper->factor(k, j);
      EXPECT_NEAR(sum, (*inverse)(i, j), 1e-8);
    }
  }
}

TEST(LinearAlgebra, TheLadderOfDamping) {
  // Rank 1: only damping makes it definite.
  auto h = Matrix::create(8, 8);
  ASSERT_TRUE(h);
  for (int64_t i = 0; i < 64; ++i) h->data()[i] = 1;
  const auto factor = factorise(*h, 0);
  ASSERT_TRUE(factor) << factor.error().message;
  EXPECT_GT(factor->damping, 0);
  EXPECT_LE(factor->damping, 1e-6);
  (*h)(3, 3) = -1e6;
  const auto refused = factorise(*h, 0.01);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
  // Inputs that are never there.
  const auto zeros = Matrix::create(8, 8);
  EXPECT_TRUE(factorise(*zeros, 0.01));
  (*h)(3, 3) = std::numeric_limits<double>::quiet_NaN();
  EXPECT_FALSE(factorise(*h, 0.01));
}

TEST(LinearAlgebra, Eigenvectors) {
  cpu::ThreadTeam team({.n_threads = 1});
  const Matrix h = correlated_moments(33, 5);
  auto copy = copy_of(h);
  const auto eigen = eigen_symmetric(std::move(*copy));
  ASSERT_TRUE(eigen) << eigen.error().message;
  for (size_t k = 0; k < 33; ++k) {
    if (k > 0) {
      EXPECT_LE(eigen->values[k - 1], eigen->values[k]);
    }
    const auto v = eigen->vectors.row(static_cast<int64_t>(k));
    for (int64_t i = 0; i < 33; ++i) {
      double sum = 0;
      for (int64_t j = 0; j < 33; ++j) sum += h(i, j) * v[static_cast<size_t>(j)];
      EXPECT_NEAR(sum, eigen->values[k] * v[static_cast<size_t>(i)], 1e-10);
    }
  }
}

}  // namespace
}  // namespace ac
