#include "models/compress/linear_algebra.h"

#include <cblas.h>
#include <lapacke.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

namespace ac {
namespace {

constexpr int64_t kRowsPerChunk = 64;
// LAPACK counts in 32 bits.
constexpr int64_t kMaxSide = int64_t{1} << 24;

// Our teams run the products; threads of BLAS's own would fight them, and change results with their
// number.
void one_thread_a_call() {
  static std::once_flag once;
  std::call_once(once, [] { openblas_set_num_threads(1); });
}

int32_t chunks_of(int64_t n, int64_t per_chunk) {
  return static_cast<int32_t>((n + per_chunk - 1) / per_chunk);
}

Error no_memory(int64_t n) {
  return fail(ErrorCode::kOutOfMemory, "no memory to decompose a matrix of {} rows", n);
}

// Some LAPACKs go on with numbers that are not numbers.
bool has_sound_diagonal(const Matrix& factor) {
  for (int64_t i = 0; i < factor.n_rows(); ++i) {
    if (!(factor(i, i) > 0) || !std::isfinite(factor(i, i))) return false;
  }
  return true;
}

// Copies the upper half of a row-major square over its lower one.
void mirror_upper(Matrix& m) {
  for (int64_t i = 1; i < m.n_rows(); ++i) {
    for (int64_t j = 0; j < i; ++j) m(i, j) = m(j, i);
  }
}

}  // namespace

Result<Matrix> Matrix::create(int64_t n_rows, int64_t n_cols) {
  AC_CHECK(n_rows >= 0 && n_cols >= 0 && n_rows <= kMaxSide && n_cols <= kMaxSide);
  one_thread_a_call();
  Matrix made;
  made.n_rows_ = n_rows;
  made.n_cols_ = n_cols;
  AC_TRY(made.buffer_, Buffer::allocate(std::max<uint64_t>(
                           8, static_cast<uint64_t>(n_rows) * static_cast<uint64_t>(n_cols) * 8)));
  return made;
}

Result<Matrix> copy_of(const Matrix& matrix) {
  AC_TRY(Matrix copy, Matrix::create(matrix.n_rows(), matrix.n_cols()));
  if (!matrix.empty()) {
    std::memcpy(copy.data(), matrix.data(),
                static_cast<size_t>(matrix.n_rows() * matrix.n_cols()) * sizeof(double));
  }
  return copy;
}

Result<Matrix> transpose_of(const Matrix& matrix) {
  AC_TRY(Matrix made, Matrix::create(matrix.n_cols(), matrix.n_rows()));
  for (int64_t i = 0; i < matrix.n_rows(); ++i) {
    for (int64_t j = 0; j < matrix.n_cols(); ++j) made(j, i) = matrix(i, j);
  }
  return made;
}

Result<Matrix> principal_part(const Matrix& symmetric, std::span<const int32_t> kept) {
  const auto n = static_cast<int64_t>(kept.size());
  AC_TRY(Matrix part, Matrix::create(n, n));
  for (int64_t i = 0; i < n; ++i) {
    const auto from = symmetric.row(kept[static_cast<size_t>(i)]);
    for (int64_t j = 0; j < n; ++j) {
      part(i, j) = from[static_cast<size_t>(kept[static_cast<size_t>(j)])];
    }
  }
  return part;
}

Result<Matrix> columns_of(const Matrix& matrix, std::span<const int32_t> kept) {
  const auto n = static_cast<int64_t>(kept.size());
  AC_TRY(Matrix part, Matrix::create(matrix.n_rows(), n));
  for (int64_t i = 0; i < matrix.n_rows(); ++i) {
    for (int64_t j = 0; j < n; ++j) part(i, j) = matrix(i, kept[static_cast<size_t>(j)]);
  }
  return part;
}

double mean_diagonal(const Matrix& square) {
  double sum = 0;
  for (int64_t i = 0; i < square.n_rows(); ++i) sum += square(i, i);
  return square.n_rows() > 0 ? sum / static_cast<double>(square.n_rows()) : 0;
}

void multiply(const Matrix& a, const Matrix& b, Transposed b_transposed, Matrix& c,
              cpu::ThreadTeam& team, double alpha, double beta) {
  const bool turned = b_transposed == Transposed::kYes;
  const int64_t n = turned ? b.n_rows() : b.n_cols();
  const int64_t k = a.n_cols();
  AC_CHECK((turned ? b.n_cols() : b.n_rows()) == k && c.n_rows() == a.n_rows() && c.n_cols() == n);
  if (a.n_rows() == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t i = 0; i < c.n_rows(); ++i) {
      for (double& value : c.row(i)) value *= beta;
    }
    return;
  }
  team.for_each_chunk(chunks_of(a.n_rows(), kRowsPerChunk), [&](int32_t chunk, int32_t) {
    const int64_t begin = chunk * kRowsPerChunk;
    const int64_t rows = std::min(kRowsPerChunk, a.n_rows() - begin);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, turned ? CblasTrans : CblasNoTrans,
                static_cast<int>(rows), static_cast<int>(n), static_cast<int>(k), alpha,
                a.data() + begin * k, static_cast<int>(k), b.data(), static_cast<int>(b.n_cols()),
                beta, c.data() + begin * n, static_cast<int>(n));
  });
}

Result<Matrix> product(const Matrix& a, const Matrix& b, Transposed b_transposed,
                       cpu::ThreadTeam& team) {
  AC_TRY(Matrix c,
         Matrix::create(a.n_rows(), b_transposed == Transposed::kYes ? b.n_rows() : b.n_cols()));
  multiply(a, b, b_transposed, c, team);
  return c;
}

Result<double> quadratic_loss(const Matrix& a, const Matrix& h, cpu::ThreadTeam& team) {
  AC_TRY(const Matrix ah, product(a, h, Transposed::kNo, team));
  double sum = 0;
  for (int64_t i = 0; i < a.n_rows(); ++i) {
    for (int64_t j = 0; j < a.n_cols(); ++j) sum += ah(i, j) * a(i, j);
  }
  return sum;
}

Result<Cholesky> factorise(const Matrix& h, double damping) {
  const int64_t n = h.n_rows();
  AC_CHECK(h.n_cols() == n && damping >= 0);
  const double mean = mean_diagonal(h);
  // A matrix of nothing but zeros (inputs that are never there) is damped like any other.
  const double unit = mean > 0 && std::isfinite(mean) ? mean : 1;
  AC_TRY(Matrix factor, copy_of(h));
  for (double tried = damping;; tried = std::max(tried * 10, 1e-8)) {
    for (int64_t i = 0; i < n; ++i) factor(i, i) += tried * unit;
    // Row-major upper is column-major lower: factor = L with L L^T, which is U^T U.
    const lapack_int code =
        n == 0 ? 0
               : LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', static_cast<lapack_int>(n),
                                     factor.data(), static_cast<lapack_int>(n));
    AC_CHECK(code >= 0);
    if (code == 0 && has_sound_diagonal(factor)) return Cholesky{std::move(factor), tried};
    if (tried >= kMaxDamping) {
      return fail(ErrorCode::kUnsupported,
                  "second moments of {} inputs are not positive definite, even damped by {}", n,
                  tried);
    }
    std::memcpy(factor.data(), h.data(), static_cast<size_t>(n * n) * sizeof(double));
  }
}

void solve_rows(const Cholesky& cholesky, Matrix& rows, cpu::ThreadTeam& team) {
  const int64_t n = cholesky.factor.n_rows();
  AC_CHECK(rows.n_cols() == n);
  team.for_each_chunk(chunks_of(rows.n_rows(), kRowsPerChunk), [&](int32_t chunk, int32_t) {
    const int64_t begin = chunk * kRowsPerChunk;
    const int64_t count = std::min(kRowsPerChunk, rows.n_rows() - begin);
    // Rows of a row-major matrix are the columns of a column-major one.
    const lapack_int code = LAPACKE_dpotrs_work(
        LAPACK_COL_MAJOR, 'L', static_cast<lapack_int>(n), static_cast<lapack_int>(count),
        cholesky.factor.data(), static_cast<lapack_int>(n), rows.data() + begin * n,
        static_cast<lapack_int>(n));
    AC_CHECK(code == 0);
  });
}

Result<Matrix> inverse_of(const Cholesky& cholesky) {
  AC_TRY(Matrix inverse, copy_of(cholesky.factor));
  const auto n = static_cast<lapack_int>(inverse.n_rows());
  if (n == 0) return inverse;
  const lapack_int code = LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'L', n, inverse.data(), n);
  AC_CHECK(code == 0);  // the factor's diagonal is positive
  mirror_upper(inverse);
  return inverse;
}

Result<Cholesky> factorise_inverse(const Matrix& h, double damping) {
  // An inverse that cannot be factorised again needed more damping in the first place.
  for (double tried = damping;; tried = std::max(tried * 10, 1e-8)) {
    AC_TRY(const Cholesky direct, factorise(h, tried));
    AC_TRY(Matrix inverse, inverse_of(direct));
    const auto n = static_cast<lapack_int>(inverse.n_rows());
    const lapack_int code =
        n == 0 ? 0 : LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', n, inverse.data(), n);
    AC_CHECK(code >= 0);
    if (code == 0 && has_sound_diagonal(inverse)) {
      return Cholesky{std::move(inverse), direct.damping};
    }
    tried = direct.damping;
    if (tried >= kMaxDamping) {
      return fail(ErrorCode::kUnsupported,
                  "the inverse of second moments of {} inputs is not positive definite", n);
    }
  }
}

Result<Eigen> eigen_symmetric(Matrix symmetric) {
  const int64_t n = symmetric.n_rows();
  AC_CHECK(symmetric.n_cols() == n);
  Eigen eigen;
  eigen.values.resize(static_cast<size_t>(n));
  if (n > 0) {
    const lapack_int code =
        LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', static_cast<lapack_int>(n), symmetric.data(),
                       static_cast<lapack_int>(n), eigen.values.data());
    if (code == LAPACK_WORK_MEMORY_ERROR) return no_memory(n);
    if (code != 0) {
      return fail(ErrorCode::kUnsupported, "no eigenvalues of a matrix of {} rows (code {})", n,
                  code);
    }
  }
  eigen.vectors = std::move(symmetric);  // column i of column-major is row i of row-major
  return eigen;
}

void subtract_product_f32(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride,
                          const float* b, int64_t b_stride, float* c, int64_t c_stride) {
  one_thread_a_call();
  if (m == 0 || n == 0 || k == 0) return;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, static_cast<int>(m), static_cast<int>(n),
              static_cast<int>(k), -1.0f, a, static_cast<int>(a_stride), b,
              static_cast<int>(b_stride), 1.0f, c, static_cast<int>(c_stride));
}

void multiply_transposed_f32(int64_t m, int64_t n, int64_t k, const float* a, int64_t a_stride,
                             const float* b, int64_t b_stride, float* c, int64_t c_stride) {
  one_thread_a_call();
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, static_cast<int>(m), static_cast<int>(n),
              static_cast<int>(k), 1.0f, a, static_cast<int>(a_stride), b,
              static_cast<int>(b_stride), 0.0f, c, static_cast<int>(c_stride));
}

}  // namespace ac
