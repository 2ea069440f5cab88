#include "models/train/muon.h"

#include <algorithm>
#include <cmath>

#include "runtime/core/check.h"

namespace ac {
namespace {

constexpr int kIterations = 5;
// Jordan's coefficients: fast for small singular values; the largest end between 0.7 and 1.2.
constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;
constexpr float kStepLength = 0.2f;

float length_of(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += static_cast<double>(value) * static_cast<double>(value);
  return static_cast<float>(std::sqrt(sum));
}

Result<Buffer> floats(size_t n) { return Buffer::allocate(n * sizeof(float)); }

}  // namespace

void orthogonalise(const cpu::Gemm& gemm, std::span<float> x, size_t m, size_t n,
                   std::span<float> square, std::span<float> product, std::byte* packed_a,
                   std::byte* packed_b) {
  AC_CHECK(m <= n && x.size() == m * n && square.size() >= m * m && product.size() >= m * n);
  using Store = cpu::Gemm::Store;
  const float length = length_of(x);
  if (!(length > 0)) return;
  for (float& value : x) value /= length;
  const std::span<float> a = square.first(m * m), b = product.first(m * m);
  const cpu::GemmSource rows{.data = x.data(), .n_rows = m, .n_columns = n, .stride = n};
  const cpu::GemmSource columns{
      .data = x.data(), .n_rows = n, .n_columns = m, .stride = n, .is_transposed = true};
  for (int k = 0; k < kIterations; ++k) {
    // A = X X^T;  B = b A + c A A;  X <- a X + B X
    gemm.multiply(gemm.a_from(rows, packed_a), gemm.b_from(rows, packed_b), a.data(), m,
                  Store::kAssign);
    const cpu::GemmSource of_a{.data = a.data(), .n_rows = m, .n_columns = m, .stride = m};
    gemm.multiply(gemm.a_from(of_a, packed_a), gemm.b_from(of_a, packed_b), b.data(), m,
                  Store::kAssign);
    for (size_t i = 0; i < m * m; ++i) a[i] = kB * a[i] + kC * b[i];
    gemm.multiply(gemm.a_from(of_a, packed_a), gemm.b_from(columns, packed_b), product.data(), n,
                  Store::kAssign);
    for (size_t i = 0; i < m * n; ++i) x[i] = kA * x[i] + product[i];
  }
}

Result<std::unique_ptr<Muon>> Muon::create(const cpu::Gemm& gemm, const MuonOptions& options,
                                           std::vector<MuonMatrix> matrices, int n_threads) {
  std::stable_sort(matrices.begin(), matrices.end(), [](const auto& a, const auto& b) {
    return a.n_rows * a.n_cols > b.n_rows * b.n_cols;
  });
  std::unique_ptr<Muon> made(new Muon(gemm, options, std::move(matrices)));
  size_t most = 0, side = 0, packed = 0;
  for (const MuonMatrix& matrix : made->matrices_) {
    const auto [m, n] =
        std::minmax({static_cast<size_t>(matrix.n_rows), static_cast<size_t>(matrix.n_cols)});
    most = std::max(most, m * n);
    side = std::max(side, m);
    packed = std::max({packed, gemm.packed_bytes(m, n), gemm.packed_bytes(n, m)});
  }
  for (int thread = 0; thread < n_threads; ++thread) {
    Scratch scratch;
    AC_TRY(scratch.x, floats(most));
    AC_TRY(scratch.square, floats(side * side));
    AC_TRY(scratch.product, floats(most));
    AC_TRY(scratch.packed_a, Buffer::allocate(std::max<size_t>(packed, 64)));
    AC_TRY(scratch.packed_b, Buffer::allocate(std::max<size_t>(packed, 64)));
    made->scratch_.push_back(std::move(scratch));
  }
  return made;
}

void Muon::move(const MuonMatrix& matrix, Scratch& scratch, std::span<float> parameters,
                std::span<float> gradient, std::span<float> momentum, float learning_rate,
                float gradient_scale) const {
  const auto rows = static_cast<size_t>(matrix.n_rows), cols = static_cast<size_t>(matrix.n_cols);
  const size_t size = rows * cols;
  float* const w = &parameters[matrix.offset];
  float* const g = &gradient[matrix.offset];
  float* const mean = &momentum[matrix.offset];
  const std::span<float> x = scratch.x.as<float>().first(size);
  // The short side first.
  const bool turned = rows > cols;
  const float beta = options_.beta;
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < cols; ++j) {
      const size_t at = i * cols + j;
      const float slope = g[at] * gradient_scale;
      mean[at] += (1 - beta) * (slope - mean[at]);
      x[turned ? j * rows + i : at] = mean[at] + (1 - beta) * (slope - mean[at]);
      g[at] = 0;
    }
  }
  orthogonalise(gemm_, x, std::min(rows, cols), std::max(rows, cols), scratch.square.as<float>(),
                scratch.product.as<float>(), scratch.packed_a.data(), scratch.packed_b.data());
  const float length =
      learning_rate * kStepLength * std::sqrt(static_cast<float>(std::max(rows, cols)));
  const float shrink = 1 - learning_rate * options_.weight_decay;
  for (size_t i = 0; i < rows; ++i) {
    for (size_t j = 0; j < cols; ++j) {
      const size_t at = i * cols + j;
      w[at] = shrink * w[at] - length * x[turned ? j * rows + i : at];
    }
  }
}

void Muon::step(cpu::ThreadTeam& team, std::span<float> parameters, std::span<float> gradient,
                std::span<float> momentum, float learning_rate, float gradient_scale) {
  AC_CHECK(static_cast<size_t>(team.n_threads()) <= scratch_.size());
  team.for_each_chunk(static_cast<int32_t>(matrices_.size()), [&](int32_t i, int32_t worker) {
    move(matrices_[static_cast<size_t>(i)], scratch_[static_cast<size_t>(worker)], parameters,
         gradient, momentum, learning_rate, gradient_scale);
  });
}

}  // namespace ac
