// The packed layout: every weight where cpu/formats/packed.h draws it, padding zero, and packing
// exact.
#include "cpu/formats/packed.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

#include "cpu/formats/codecs.h"
#include "cpu/formats/f16.h"
#include "runtime/core/tensor.h"
#include "tests/cpu/isa_fixture.h"

namespace ac::cpu {
namespace {

constexpr std::array<int64_t, 7> kRows = {1, 15, 16, 17, 32, 33, 100};
constexpr std::array<int64_t, 5> kColumns = {32, 64, 96, 128, 576};

bool is_k(WeightFormat format) { return weight_format_info(format).block_weights == 256; }

std::vector<int64_t> columns_of(WeightFormat format) {
  return is_k(format) ? std::vector<int64_t>{256, 512, 768}
                      : std::vector<int64_t>{kColumns.begin(), kColumns.end()};
}

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

TEST_F(PackedTest, EveryBlockFormatHasAPackedForm) {
  for (const WeightFormatInfo& info : weight_formats()) {
    const bool is_packed = info.group_rows > 1;
    EXPECT_EQ(unpacked_format(info.format) != info.format, is_packed) << info.name;
    const WeightFormat packed = packed_format(info.format);
    EXPECT_EQ(packed != info.format, !is_packed && info.block_weights > 1) << info.name;
    EXPECT_EQ(packed_format(packed), packed);
    EXPECT_EQ(unpacked_format(packed), unpacked_format(info.format));
    if (packed == info.format) continue;
    EXPECT_EQ(weight_format_info(packed).name, std::string(info.name) + "_r16");
    EXPECT_EQ(weight_format_info(packed).block_weights, info.block_weights);
    EXPECT_LE(weight_format_info(packed).bits_per_weight, info.bits_per_weight * 1.06);
    EXPECT_EQ(weight_format_info(packed).bits_per_weight * info.block_weights,
              8.0 * weight_format_info(packed).block_bytes);
  }
}

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

// One weight of a packed matrix, read as the drawing says.
struct Drawing {
  const uint8_t* bytes;
  WeightFormat format;
  int64_t n_in;

  bool is_k() const { return weight_format_info(format).block_weights == 256; }
  const uint8_t* unit(int64_t r, int64_t c) const {
    const WeightFormatInfo& info = weight_format_info(packed_format(format));
    const int64_t columns = is_k() ? 256 : 64;
    const int64_t n_units = (n_in + columns - 1) / columns;
    const int64_t unit_bytes = columns / info.block_weights * info.block_bytes * 16;
    return bytes + (r / 16 * n_units + c / columns) * unit_bytes;
  }
  static double half(const uint8_t* p, int64_t i) {
    uint16_t bits = 0;
    std::memcpy(&bits, p + 2 * i, 2);
    return static_cast<double>(f16_to_f32(bits));
  }
  static int bits(const uint8_t* line, int64_t row, int64_t i, int64_t first, int n) {
    return line[4 * row + i] >> first & ((1 << n) - 1);
  }

  double weight(int64_t r, int64_t c) const {
    const uint8_t* u = unit(r, c);
    const int64_t row = r % 16, block = c % (is_k() ? 256 : 64) / 32;
    const int64_t half_block = c % 32 / 16, quad = c % 32 / 4, i = c % 4;
    switch (format) {
      case WeightFormat::kQ4_1: {
        const uint8_t* lines = u + 128 + 256 * block;
        return half(u + 32 * block, row) * bits(lines + 64 * (quad % 4), row, i, quad / 4 * 4, 4) +
               half(u + 64 + 32 * block, row);
      }
      case WeightFormat::kQ5_0: {
        const uint8_t* lines = u + 64 + 320 * block;
        const int code = bits(lines + 64 * (quad % 4), row, i, quad / 4 * 4, 4) +
                         16 * bits(lines + 256, row, i, quad, 1);
        return half(u + 32 * block, row) * (code - 16);
      }
      case WeightFormat::kQ5_1: {
        const uint8_t* lines = u + 128 + 320 * block;
        const int code = bits(lines + 64 * (quad % 4), row, i, quad / 4 * 4, 4) +
                         16 * bits(lines + 256, row, i, quad, 1);
        return half(u + 32 * block, row) * code + half(u + 64 + 32 * block, row);
      }
      case WeightFormat::kQ4_K:
      case WeightFormat::kQ5_K: {
        const bool five = format == WeightFormat::kQ5_K;
        const uint8_t* lines = u + 320 + (five ? 320 : 256) * block;
        const int code = bits(lines + 64 * (quad % 4), row, i, quad / 4 * 4, 4) +
                         (five ? 16 * bits(lines + 256, row, i, quad, 1) : 0);
        return half(u, row) * u[64 + 16 * block + row] * code +
               half(u + 32, row) * u[192 + 16 * block + row];
      }
      case WeightFormat::kQ6_K: {
        const uint8_t* lines = u + 320 + 384 * block + 192 * half_block;
        const int64_t q = quad % 4;
        const int code = bits(lines + 64 * (q % 2), row, i, q / 2 * 4, 4) +
                         16 * bits(lines + 128, row, i, 2 * q, 2);
        const int s = static_cast<int8_t>(u[64 + 32 * block + 16 * half_block + row]);
        return half(u, row) * s * (code - 32);
      }
      case WeightFormat::kQ3_K: {
        const uint8_t* lines = u + 320 + 192 * block;
        const int code = bits(lines + 64 * half_block, row, i, 2 * (quad % 4), 2) +
                         4 * bits(lines + 128, row, i, quad, 1);
        const int s = static_cast<int8_t>(u[64 + 32 * block + 16 * half_block + row]);
        return half(u, row) * s * (code - 4);
      }
      case WeightFormat::kQ2_K: {
        const uint8_t* lines = u + 320 + 128 * block;
        const int code = bits(lines + 64 * half_block, row, i, 2 * (quad % 4), 2);
        const int s = u[64 + 32 * block + 16 * half_block + row];
        return half(u, row) * (s & 15) * code + half(u + 32, row) * (s >> 4);
      }
      default:
        ADD_FAILURE() << "no drawing";
        return 0;
    }
  }
};

TEST_F(PackedTest, WeightsOfTwoTermsAndKQuantsLieWhereTheDrawingSays) {
  for (const auto& [format, halves] : std::vector<std::pair<WeightFormat, std::vector<size_t>>>{
           {WeightFormat::kQ4_1, {0, 2}},
           {WeightFormat::kQ5_0, {0}},
           {WeightFormat::kQ5_1, {0, 2}},
           {WeightFormat::kQ2_K, {80, 82}},
           {WeightFormat::kQ3_K, {108}},
           {WeightFormat::kQ4_K, {0, 2}},
           {WeightFormat::kQ5_K, {0, 2}},
           {WeightFormat::kQ6_K, {208}}}) {
    const WeightFormatInfo& info = weight_format_info(format);
    SCOPED_TRACE(std::string(info.name));
    for (int64_t n_out : kRows) {
      for (int64_t n_in : columns_of(format)) {
        auto rows = random_rows(format, n_out, n_in);
        for (size_t block = 0; block < rows.size(); block += info.block_bytes) {
          for (size_t at : halves) rows[block + at + 1] &= 0xbf;  // finite
        }
        const Buffer packed = pack(format, rows, n_out, n_in);
        const Drawing drawing = {reinterpret_cast<const uint8_t*>(packed.data()), format, n_in};
        const size_t row_size = row_bytes(format, static_cast<size_t>(n_in));
        std::vector<float> decoded(static_cast<size_t>(n_in));
        const int64_t padded = is_k(format) ? n_in : (n_in + 63) / 64 * 64;
        for (int64_t r = 0; r < packed_groups(n_out) * 16; ++r) {
          if (r < n_out) {
            codec(format).decode_row(
                reinterpret_cast<const std::byte*>(rows.data()) + static_cast<size_t>(r) * row_size,
                decoded.data(), decoded.size());
          }
          for (int64_t c = 0; c < padded; ++c) {
            const bool exists = r < n_out && c < n_in;
            // Both terms are exact in f32, so their sum is rounded once wherever it is made.
            const auto drawn = static_cast<float>(drawing.weight(r, c));
            ASSERT_EQ(drawn, exists ? decoded[static_cast<size_t>(c)] : 0.0f) << r << ' ' << c;
          }
        }
      }
    }
  }
}

TEST_F(PackedTest, UnpackingGivesBackEveryByte) {
  for (const WeightFormatInfo& info : weight_formats()) {
    const WeightFormat format = info.format;
    if (packed_format(format) == format) continue;
    SCOPED_TRACE(std::string(info.name));
    for (int64_t n_out : kRows) {
      for (int64_t n_in : columns_of(format)) {
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
