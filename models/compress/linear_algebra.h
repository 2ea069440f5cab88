// Dense algebra in double precision for the compressor: thin wrappers over OpenBLAS and LAPACKE.
//
// Everything here gives the same bits for any number of threads: BLAS's own threads are off, and
// work is split over the team at boundaries that come from shapes alone.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cpu/threads.h"
#include "runtime/core/result.h"
#include "runtime/core/tensor.h"

namespace ac {

// Row-major doubles; move-only.
class Matrix {
 public:
  Matrix() = default;
  // Zeros. Errors: kOutOfMemory.
  static Result<Matrix> create(int64_t n_rows, int64_t n_cols);

  int64_t n_rows() const { return n_rows_; }
  int64_t n_cols() const { return n_cols_; }
  bool empty() const { return n_rows_ == 0; }
  double* data() { return reinterpret_cast<double*>(buffer_.data()); }
  const double* data() const { return reinterpret_cast<const double*>(buffer_.data()); }
  std::span<double> row(int64_t i) { return {data() + i * n_cols_, static_cast<size_t>(n_cols_)}; }
  std::span<const double> row(int64_t i) const {
    return {data() + i * n_cols_, static_cast<size_t>(n_cols_)};
  }
  double& operator()(int64_t i, int64_t j) { return data()[i * n_cols_ + j]; }
  double operator()(int64_t i, int64_t j) const { return data()[i * n_cols_ + j]; }

 private:
  Buffer buffer_;
  int64_t n_rows_ = 0;
  int64_t n_cols_ = 0;
};

Result<Matrix> copy_of(const Matrix& matrix);
Result<Matrix> transpose_of(const Matrix& matrix);
// The rows and columns `kept` of a symmetric matrix.
Result<Matrix> principal_part(const Matrix& symmetric, std::span<const int32_t> kept);
// The columns `kept`.
Result<Matrix> columns_of(const Matrix& matrix, std::span<const int32_t> kept);
double mean_diagonal(const Matrix& square);

// c = alpha * a * b + beta * c, where b is [k, n] or, transposed, [n, k]. REQUIRES: shapes fit; c
// is neither a nor b.
enum class Transposed { kNo, kYes };
void multiply(const Matrix& a, const Matrix& b, Transposed b_transposed, Matrix& c,
              cpu::ThreadTeam& team, double alpha = 1, double beta = 0);
// a * b or a * b^T as a new matrix. Errors: kOutOfMemory.
Result<Matrix> product(const Matrix& a, const Matrix& b, Transposed b_transposed,
                       cpu::ThreadTeam& team);
// trace(a * h * a^T): what a costs as an error of weights whose inputs have second moments h.
Result<double> quadratic_loss(const Matrix& a, const Matrix& h, cpu::ThreadTeam& team);

// The Cholesky factor of h + damping * mean(diag h) * I.
struct Cholesky {
  Matrix factor;       // row-major upper U with U^T U = damped h; below the diagonal is undefined
  double damping = 0;  // what it took
};
// The ladder: `damping`, then ten times as much, up to kMaxDamping. Errors: kOutOfMemory;
// kUnsupported where even that is not positive definite.
inline constexpr double kMaxDamping = 1.0;
Result<Cholesky> factorise(const Matrix& h, double damping);
// Every row of `rows` [m, n] times the inverse of the damped h.
void solve_rows(const Cholesky& cholesky, Matrix& rows, cpu::ThreadTeam& team);
// The inverse of the damped h, both halves.
Result<Matrix> inverse_of(const Cholesky& cholesky);
// Upper U with U^T U = the inverse of the damped h: what error compensation walks along.
Result<Cholesky> factorise_inverse(const Matrix& h, double damping);

// values ascend; row i of `vectors` is the unit eigenvector of values[i].
struct Eigen {
  std::vector<double> values;
  Matrix vectors;
};
// Takes its argument's memory. Errors: kOutOfMemory, kUnsupported (no convergence).
Result<Eigen> eigen_symmetric(Matrix symmetric);

// c [m, n] (stride c_stride) -= a [m, k] * b [k, n], in single precision, on the calling thread.
void subtract_product_f32(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride,
                          const float* b, int64_t b_stride, float* c, int64_t c_stride);
// c [m, n] = a^T b for a [k, m] and b [k, n], likewise.
void multiply_transposed_f32(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride,
                             const float* b, int64_t b_stride, float* c, int64_t c_stride);

}  // namespace ac
