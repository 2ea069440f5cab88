// Matrices for tests: random ones, and inputs whose moments are known.
#pragma once

#include <gtest/gtest.h>

#include "models/compress/linear_algebra.h"
#include "runtime/core/rng.h"

namespace ac::test {

inline Matrix random_matrix(int64_t n_rows, int64_t n_cols, uint64_t seed) {
  Rng rng(seed);
  auto made = Matrix::create(n_rows, n_cols);
  AC_CHECK(made.has_value());
  for (int64_t i = 0; i < n_rows * n_cols; ++i) made->data()[i] = rng.normal();
  return std::move(*made);
}

// Second moments of correlated inputs: some directions a hundred times as strong as others.
inline Matrix correlated_moments(int64_t n, uint64_t seed) {
  cpu::ThreadTeam team({.n_threads = 1});
  Matrix x = random_matrix(n, 4 * n, seed);
  for (int64_t i = 0; i < n; ++i) {
    const double scale = i % 7 == 0 ? 3.0 : 0.3;
    for (int64_t j = 0; j < x.n_cols(); ++j) {
      x(i, j) = scale * x(i, j) + (i > 0 ? 0.6 * x(i - 1, j) : 0);
    }
  }
  auto h = product(x, x, Transposed::kYes, team);
  AC_CHECK(h.has_value());
  for (int64_t i = 0; i < n * n; ++i) h->data()[i] /= static_cast<double>(x.n_cols());
  return std::move(*h);
}

inline double largest_difference(const Matrix& a, const Matrix& b) {
  EXPECT_EQ(a.n_rows(), b.n_rows());
  EXPECT_EQ(a.n_cols(), b.n_cols());
  double largest = 0;
  for (int64_t i = 0; i < a.n_rows() * a.n_cols(); ++i) {
    largest = std::max(largest, std::abs(a.data()[i] - b.data()[i]));
  }
  return largest;
}

}  // namespace ac::test
