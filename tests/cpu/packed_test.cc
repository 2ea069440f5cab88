// The packed layout: every weight where cpu/formats/packed.h draws it, padding zero, and packing
// exact.
#include "cpu/formats/packed.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "runtime/core/tensor.h"
#include "tests/cpu/isa_fixture.h"

namespace ac::cpu {
namespace {

constexpr std::array<int64_t, 7> kRows = {1, 15, 16, 17, 32, 33, 100};
constexpr std::array<int64_t, 5> kColumns = {32, 64, 96, 128, 576};

class PackedTest : public IsaTest {
 protected:
  // Random bytes: every pattern of a block is a valid one.
  static std::vector<uint8_t> random_rows(WeightFormat format, int64_t n_out, int64_t n_in) {
    const std::array<int64_t, 2> shape = {n_out, n_in};
    std::vector<uint8_t> bytes(*tensor_bytes(format, shape));
    Rng rng(static_cast<uint64_t>(n_out * 1000 + n_in));
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(rng.next());
    return bytes;
  }

  Buffer pack(WeightFormat format, const std::vector<uint8_t>& rows, int64_t n_out, int64_t n_in) {
    const std::array<int64_t, 2> shape = {n_out, n_in};
    Buffer packed = std::move(*Buffer::allocate(*tensor_bytes(packed_format(format), shape)));
    std::memset(packed.data(), 0xa5, packed.size_bytes());
    const auto groups = static_cast<size_t>(packed_groups(n_out));
    // In two ranges, as two threads would.
    for (const auto& [begin, end] : {std::pair{size_t{0}, groups / 2}, {groups / 2, groups}}) {
      pack_groups(kernels(), format,
                  {.from = rows.data(),
                   .to = packed.data(),
                   .n_out = static_cast<size_t>(n_out),
                   .n_in = static_cast<size_t>(n_in),
                   .group_begin = begin,
                   .group_end = end});
    }
    return packed;
  }
};

TEST_F(PackedTest, Q8WeightsLieWhereTheDrawingSays) {
  for (int64_t n_out : kRows) {
    for (int64_t n_in : kColumns) {
      const auto rows = random_rows(WeightFormat::kQ8_0, n_out, n_in);
      const Buffer packed = pack(WeightFormat::kQ8_0, rows, n_out, n_in);
      const auto* bytes = reinterpret_cast<const uint8_t*>(packed.data());
      const int64_t n_pairs = packed_pairs(n_in);
      ASSERT_EQ(static_cast<int64_t>(packed.size_bytes()),
                packed_groups(n_out) * n_pairs * kPairBytesQ8);
      for (int64_t r = 0; r < packed_groups(n_out) * 16; ++r) {
        for (int64_t c = 0; c < n_pairs * 64; ++c) {
          const uint8_t* pair = bytes + ((r / 16) * n_pairs + c / 64) * kPairBytesQ8;
          const uint8_t* scale = pair + 2 * (16 * (c % 64 / 32) + r % 16);
          const uint8_t quant = pair[64 + 64 * (c % 64 / 4) + 4 * (r % 16) + c % 4];
          const bool exists = r < n_out && c < n_in;
          const uint8_t* block = rows.data() + (r * (n_in / 32) + c / 32) * 34;
          ASSERT_EQ(quant, exists ? block[2 + c % 32] : 0) << r << ' ' << c;
          ASSERT_EQ(scale[0], exists ? block[0] : 0);
          ASSERT_EQ(scale[1], exists ? block[1] : 0);
        }
      }
    }
  }
}

TEST_F(PackedTest, Q4WeightsLieWhereTheDrawingSays) {
  for (int64_t n_out : kRows) {
    for (int64_t n_in : kColumns) {
      const auto rows = random_rows(WeightFormat::kQ4_0, n_out, n_in);
      const Buffer packed = pack(WeightFormat::kQ4_0, rows, n_out, n_in);
      const auto* bytes = reinterpret_cast<const uint8_t*>(packed.data());
      const int64_t n_pairs = packed_pairs(n_in);
      ASSERT_EQ(static_cast<int64_t>(packed.size_bytes()),
                packed_groups(n_out) * n_pairs * kPairBytesQ4);
      for (int64_t r = 0; r < packed_groups(n_out) * 16; ++r) {
        for (int64_t c = 0; c < n_pairs * 64; ++c) {
          const uint8_t* pair = bytes + ((r / 16) * n_pairs + c / 64) * kPairBytesQ4;
          const int64_t k = c % 32;
          const int64_t line = 4 * (c % 64 / 32) + k % 16 / 4;
          const uint8_t both = pair[64 + 64 * line + 4 * (r % 16) + k % 4];
          const int nibble = k < 16 ? both & 15 : both >> 4;
          const bool exists = r < n_out && c < n_in;
          const uint8_t* block = rows.data() + (r * (n_in / 32) + c / 32) * 18;
          const uint8_t stored = exists ? block[2 + k % 16] : 0;
          ASSERT_EQ(nibble, k < 16 ? stored & 15 : stored >> 4) << r << ' ' << c;
        }
      }
    }
  }
}

TEST_F(PackedTest, UnpackingGivesBackEveryByte) {
  for (WeightFormat format : {WeightFormat::kQ8_0, WeightFormat::kQ4_0}) {
    for (int64_t n_out : kRows) {
      for (int64_t n_in : kColumns) {
        const auto rows = random_rows(format, n_out, n_in);
        const Buffer packed = pack(format, rows, n_out, n_in);
        std::vector<uint8_t> back(rows.size(), 0x5a);
        unpack_groups(kernels(), format,
                      {.from = packed.data(),
                       .to = back.data(),
                       .n_out = static_cast<size_t>(n_out),
                       .n_in = static_cast<size_t>(n_in),
                       .group_begin = 0,
                       .group_end = static_cast<size_t>(packed_groups(n_out))});
        ASSERT_EQ(rows, back) << n_out << 'x' << n_in;
      }
    }
  }
}

}  // namespace
}  // namespace ac::cpu
