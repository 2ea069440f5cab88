// Gemm in both kinds, its four transpositions and odd shapes against a double loop; poisoned memory,
// operands put together from parts, and rows of operands.
#include "cpu/gemm.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/core/tensor.h"
#include "tests/cpu/isa_fixture.h"

namespace ac::cpu {
namespace {

struct Shape {
  size_t m;
  size_t n;
  size_t k;
};

std::vector<float> random_floats(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(n);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

// A matrix with a gap behind every row, so that strides are seen to be used; the gap is NaN, so that
// reading it is seen too.
struct Matrix {
  Matrix(size_t rows, size_t columns, bool transposed, uint64_t seed)
      : n_rows(rows), n_columns(columns), is_transposed(transposed) {
    stride = (transposed ? rows : columns) + 3;
    values = random_floats((transposed ? columns : rows) * stride, seed);
    for (size_t i = 0; i < values.size(); ++i) {
      if (i % stride >= stride - 3) values[i] = std::nanf("");
    }
  }
  double at(size_t row, size_t column) const {
    return static_cast<double>(is_transposed ? values[column * stride + row]
                                             : values[row * stride + column]);
  }
  GemmSource source() const { return columns(0, n_columns); }
  GemmSource columns(size_t begin, size_t n) const {
    return {.data = values.data() + (is_transposed ? begin * stride : begin),
            .n_rows = n_rows,
            .n_columns = n,
            .stride = stride,
            .is_transposed = is_transposed};
  }
  size_t n_rows, n_columns, stride = 0;
  bool is_transposed;
  std::vector<float> values;
};

Buffer poisoned(size_t size_bytes) {
  Buffer memory = std::move(*Buffer::allocate(size_bytes + 64));
  std::ranges::fill(memory.as<uint8_t>(), uint8_t{0xff});  // NaN wherever it is not written
  return memory;
}

class GemmTest : public IsaTest {
 protected:
  std::vector<GemmKind> kinds() const {
    std::vector<GemmKind> kinds = {GemmKind::kF32};
    if (Gemm::best_kind(*isa_) == GemmKind::kBf16) kinds.push_back(GemmKind::kBf16);
    return kinds;
  }

  // `c` was `before` and has a gap of 2 behind every row.
  void check(GemmKind kind, const Matrix& a, const Matrix& b, const std::vector<float>& before,
             const std::vector<float>& c, Gemm::Store store) {
    const size_t n = b.n_rows, stride = n + 2, k = a.n_columns;
    // Both factors to 8 significant bits (bf16), and k additions in f32 in any order.
    const double rounding = kind == GemmKind::kBf16 ? 2 * 0x1p-8 + 0x1p-16 : 0;
    for (size_t i = 0; i < a.n_rows; ++i) {
      for (size_t j = 0; j < stride; ++j) {
        const float was = before[i * stride + j];
        if (j >= n) {
          ASSERT_EQ(c[i * stride + j], was) << "wrote between rows";
          continue;
        }
        double exact = store == Gemm::Store::kAdd ? static_cast<double>(was) : 0;
        double magnitude = std::abs(exact);
        for (size_t l = 0; l < k; ++l) {
          exact += a.at(i, l) * b.at(j, l);
          magnitude += std::abs(a.at(i, l) * b.at(j, l));
        }
        const double tolerance = (rounding + static_cast<double>(k + 16) * 0x1p-24) * magnitude;
        ASSERT_NEAR(static_cast<double>(c[i * stride + j]), exact, tolerance)
            << a.n_rows << 'x' << n << 'x' << k << " at " << i << ',' << j;
      }
    }
  }
};

constexpr Shape kShapes[] = {{1, 1, 1},     {16, 16, 32},  {32, 32, 64},  {33, 31, 65},
                             {5, 100, 17},  {64, 48, 200}, {100, 7, 130}, {128, 96, 64},
                             {96, 160, 320}};

TEST_F(GemmTest, EveryTranspositionAndShape) {
  for (const GemmKind kind : kinds()) {
    const Gemm gemm(*isa_, kind);
    for (const auto& [m, n, k] : kShapes) {
      for (const int mode : {0, 1, 2, 3}) {
        const Matrix a(m, k, mode % 2 != 0, 1), b(n, k, mode / 2 != 0, 2);
        Buffer a_memory = poisoned(gemm.packed_bytes(m, k));
        Buffer b_memory = poisoned(gemm.packed_bytes(n, k));
        const GemmOperand left = gemm.a_from(a.source(), a_memory.data());
        const GemmOperand right = gemm.b_from(b.source(), b_memory.data());
        for (const Gemm::Store store : {Gemm::Store::kAssign, Gemm::Store::kAdd}) {
          auto before = random_floats(m * (n + 2), 3);
          if (store == Gemm::Store::kAssign) std::ranges::fill(before, 1e30f);
          auto c = before;
          gemm.multiply(left, right, c.data(), n + 2, store);
          check(kind, a, b, before, c, store);
        }
      }
    }
  }
}

// What the trainer does with the gradient of a matrix: k arrives in ranges, in any order, stored
// transposed; then rows of the product are computed apart.
TEST_F(GemmTest, CollectedOperandsAndRowsOfThem) {
  for (const GemmKind kind : kinds()) {
    const Gemm gemm(*isa_, kind);
    for (const auto& [m, n, k] : {Shape{70, 33, 300}, Shape{64, 64, 128}, Shape{5, 9, 20}}) {
      const Matrix a(m, k, true, 4), b(n, k, true, 5);
      Buffer a_memory = poisoned(gemm.collected_bytes(m, k));
      Buffer b_memory = poisoned(gemm.collected_bytes(n, k));
      const GemmOperand left = gemm.collected(m, k, true, true, a_memory.data());
      const GemmOperand right = gemm.collected(n, k, true, false, b_memory.data());
      std::vector<size_t> begins;
      for (size_t begin = 0; begin < k; begin += 128) begins.push_back(begin);
      std::ranges::reverse(begins);
      for (const size_t begin : begins) {
        const size_t width = std::min<size_t>(128, k - begin);
        gemm.collect_a(left, a.columns(begin, width), begin);
        gemm.collect_b(right, b.columns(begin, width), begin);
      }
      const auto before = random_floats(m * (n + 2), 6);
      auto c = before;
      for (size_t row = 0; row < m; row += 32) {
        const size_t rows = std::min<size_t>(32, m - row);
        gemm.multiply(gemm.rows(left, row, rows), right, c.data() + row * (n + 2), n + 2,
                      Gemm::Store::kAdd);
      }
      check(kind, a, b, before, c, Gemm::Store::kAdd);
      if (kind != GemmKind::kBf16) continue;
      // Split or whole: the same bits.
      auto whole = before;
      gemm.multiply(left, right, whole.data(), n + 2, Gemm::Store::kAdd);
      EXPECT_EQ(whole, c);
    }
  }
}

}  // namespace
}  // namespace ac::cpu
