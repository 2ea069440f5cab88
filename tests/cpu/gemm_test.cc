// gemm_bf16 in its four transpositions and odd shapes against a double loop, C accumulated.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cpu/matmul.h"
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

class GemmTest : public IsaTest {};

TEST_F(GemmTest, EveryTranspositionAndShape) {
  if (kernels().gemm_bf16 == nullptr) GTEST_SKIP() << isa_->name << " has no gemm_bf16";
  for (const Shape& shape : {Shape{1, 1, 1},
                             {16, 16, 32},
                             {32, 32, 64},
                             {33, 31, 65},
                             {5, 100, 17},
                             {64, 48, 200},
                             {100, 7, 130}}) {
    const auto [m, n, k] = shape;
    for (bool a_is_transposed : {false, true}) {
      for (bool b_is_transposed : {false, true}) {
        // A gap behind every row, so that strides are seen to be used.
        const size_t a_stride = (a_is_transposed ? m : k) + 3;
        const size_t b_stride = (b_is_transposed ? n : k) + 1;
        const size_t c_stride = n + 2;
        const auto a = random_floats((a_is_transposed ? k : m) * a_stride, 1);
        const auto b = random_floats((b_is_transposed ? k : n) * b_stride, 2);
        const auto before = random_floats(m * c_stride, 3);
        auto c = before;
        Buffer scratch = std::move(*Buffer::allocate(gemm_bf16_scratch_bytes(m, k)));
        for (uint8_t& byte : scratch.as<uint8_t>()) byte = 0xff;  // NaN wherever it is not written
        kernels().gemm_bf16({.a = a.data(),
                             .a_stride = a_stride,
                             .a_is_transposed = a_is_transposed,
                             .b = b.data(),
                             .b_stride = b_stride,
                             .b_is_transposed = b_is_transposed,
                             .c = c.data(),
                             .c_stride = c_stride,
                             .m = m,
                             .n = n,
                             .k = k,
                             .scratch = scratch.data()});
        for (size_t i = 0; i < m; ++i) {
          for (size_t j = 0; j < c_stride; ++j) {
            const float was = before[i * c_stride + j];
            if (j >= n) {
              ASSERT_EQ(c[i * c_stride + j], was) << "wrote between rows";
              continue;
            }
            double exact = static_cast<double>(was);
            double magnitude = std::abs(exact);
            for (size_t l = 0; l < k; ++l) {
              const double x =
                  static_cast<double>(a[a_is_transposed ? l * a_stride + i : i * a_stride + l]);
              const double y =
                  static_cast<double>(b[b_is_transposed ? l * b_stride + j : j * b_stride + l]);
              exact += x * y;
              magnitude += std::abs(x * y);
            }
            // Both factors to 8 significant bits, k additions in f32.
            const double tolerance =
                (2 * 0x1p-8 + 0x1p-16 + static_cast<double>(k + 16) * 0x1p-24) * magnitude;
            ASSERT_NEAR(static_cast<double>(c[i * c_stride + j]), exact, tolerance)
                << m << 'x' << n << 'x' << k << ' ' << a_is_transposed << b_is_transposed << " at "
                << i << ',' << j;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace ac::cpu
