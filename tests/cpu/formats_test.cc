// Codecs against the definition of each format, weight by weight, and against bytes worked out by
// hand.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "cpu/formats/bf16.h"
#include "cpu/formats/codecs.h"
#include "cpu/formats/f16.h"
#include "runtime/core/rng.h"

namespace ac::cpu {
namespace {

using Bytes = std::vector<uint8_t>;

// --- the definition of a half, from its bits
// ---------------------------------------------------------

double half_value(uint32_t bits) {
  const double sign = (bits >> 15) != 0 ? -1.0 : 1.0;
  const auto exponent = static_cast<int>((bits >> 10) & 31u);
  const auto fraction = static_cast<double>(bits & 1023u);
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  if (exponent == 31) {
    return fraction == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  return sign * std::ldexp(1024.0 + fraction, exponent - 25);
}

TEST(F16Test, EveryHalfDecodesAndEncodesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double expected = half_value(bits);
    const float decoded = f16_to_f32(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(decoded)) << bits;
      ASSERT_TRUE(std::isnan(f16_to_f32(f32_to_f16(decoded)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(decoded), expected) << bits;
    ASSERT_EQ(std::signbit(decoded), bits >> 15 != 0) << bits;
    ASSERT_EQ(f32_to_f16(decoded), half) << bits;
  }
}

TEST(F16Test, RoundsToNearestAndTiesToEven) {
  // Between neighbours a < b: the middle goes to the even one, anything past it to the nearer one.
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float a = f16_to_f32(static_cast<uint16_t>(bits));
    const float b = f16_to_f32(static_cast<uint16_t>(bits + 1));
    const float middle = a + (b - a) / 2;  // exact: a half has 13 bits fewer than a float
    const auto even = static_cast<uint16_t>(bits + (bits & 1u));
    ASSERT_EQ(f32_to_f16(middle), even) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 0.0f)), bits) << bits;
    ASSERT_EQ(f32_to_f16(std::nextafter(middle, 1e9f)), bits + 1) << bits;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000u) << bits;
  }
  EXPECT_EQ(f32_to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(f32_to_f16(1e30f), 0x7c00);
  EXPECT_EQ(f32_to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(f32_to_f16(1e-30f), 0);
}

TEST(BF16Test, EveryValueRoundTripsAndTiesGoToEven) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto value = static_cast<uint16_t>(bits);
    const float decoded = bf16_to_f32(value);
    uint32_t pattern = 0;
    std::memcpy(&pattern, &decoded, 4);
    ASSERT_EQ(pattern, bits << 16);
    if (std::isnan(decoded)) {
      ASSERT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(decoded))));
      continue;
    }
    ASSERT_EQ(f32_to_bf16(decoded), value);
    if ((bits & 0x7f80u) == 0x7f80u) continue;  // infinity has no neighbour to round to
    float tie = 0, above = 0;
    const uint32_t tie_bits = bits << 16 | 0x8000u, above_bits = bits << 16 | 0x8001u;
    std::memcpy(&tie, &tie_bits, 4);
    std::memcpy(&above, &above_bits, 4);
    ASSERT_EQ(f32_to_bf16(tie), bits + (bits & 1u));
    ASSERT_EQ(f32_to_bf16(above), bits + 1);
  }
}

// --- reference decoders: weight i of a block, straight from the definition
// ----------------------------

double half_at(const Bytes& b, size_t at) { return half_value(b[at] | uint32_t{b[at + 1]} << 8); }
int32_t bits_at(const Bytes& b, size_t byte, size_t bit, int n_bits) {
  return static_cast<int32_t>((uint32_t{b[byte]} >> bit) & ((1u << n_bits) - 1u));
}
int32_t nibble(const Bytes& b, size_t first,
               size_t i) {  // 32 weights: low halves, then high halves
  return bits_at(b, first + i % 16, i / 16 * 4, 4);
}
int32_t fifth(const Bytes& b, size_t first, size_t i) {
  return bits_at(b, first + i / 8, i % 8, 1) << 4;
}
double as_signed(uint8_t byte) { return byte < 128 ? byte : byte - 256.0; }

// 6-bit scale (or minimum) j of the eight in Q4_K and Q5_K.
double k_scale(const Bytes& b, size_t j) {
  if (j < 4) return bits_at(b, 4 + j, 0, 6);
  return bits_at(b, 8 + j, 0, 4) + 16 * bits_at(b, j, 6, 2);
}
double k_min(const Bytes& b, size_t j) {
  if (j < 4) return bits_at(b, 8 + j, 0, 6);
  return bits_at(b, 8 + j, 4, 4) + 16 * bits_at(b, 4 + j, 6, 2);
}

struct Reference {
  WeightFormat format;
  std::vector<size_t> halves;  // offsets of the halves in a block
  std::function<double(const Bytes&, size_t)> weight;
};

const std::vector<Reference>& references() {
  static const std::vector<Reference> all = {
      {WeightFormat::kF32,
       {},
       [](const Bytes& b, size_t) {
         float value = 0;
         std::memcpy(&value, b.data(), 4);
         return static_cast<double>(value);
       }},
      {WeightFormat::kF16, {0}, [](const Bytes& b, size_t) { return half_at(b, 0); }},
      {WeightFormat::kBF16,
       {},
       [](const Bytes& b, size_t) {
         const uint32_t bits = uint32_t{b[0]} << 16 | uint32_t{b[1]} << 24;
         float value = 0;
         std::memcpy(&value, &bits, 4);
         return static_cast<double>(value);
       }},
      {WeightFormat::kQ8_0,
       {0},
       [](const Bytes& b, size_t i) { return half_at(b, 0) * as_signed(b[2 + i]); }},
      {WeightFormat::kQ4_0,
       {0},
       [](const Bytes& b, size_t i) { return half_at(b, 0) * (nibble(b, 2, i) - 8); }},
      {WeightFormat::kQ4_1,
       {0, 2},
       [](const Bytes& b, size_t i) { return half_at(b, 0) * nibble(b, 4, i) + half_at(b, 2); }},
      {WeightFormat::kQ5_0,
       {0},
       [](const Bytes& b, size_t i) {
         return half_at(b, 0) * ((nibble(b, 6, i) | fifth(b, 2, i)) - 16);
       }},
      {WeightFormat::kQ5_1,
       {0, 2},
       [](const Bytes& b, size_t i) {
         return half_at(b, 0) * (nibble(b, 8, i) | fifth(b, 4, i)) + half_at(b, 2);
       }},
      {WeightFormat::kQ2_K,
       {80, 82},
       [](const Bytes& b, size_t i) {
         const int32_t q = bits_at(b, 16 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
         return half_at(b, 80) * bits_at(b, i / 16, 0, 4) * q -
                half_at(b, 82) * bits_at(b, i / 16, 4, 4);
       }},
      {WeightFormat::kQ3_K,
       {108},
       [](const Bytes& b, size_t i) {
         const size_t k = i / 16;
         const int32_t scale =
             bits_at(b, 96 + k % 8, k / 8 * 4, 4) + 16 * bits_at(b, 104 + k % 4, k / 4 * 2, 2) - 32;
         const int32_t low = bits_at(b, 32 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
         const int32_t high = bits_at(b, i % 32, i / 32, 1);
         return half_at(b, 108) * scale * (low - (high != 0 ? 0 : 4));
       }},
      {WeightFormat::kQ4_K,
       {0, 2},
       [](const Bytes& b, size_t i) {
         const int32_t q = bits_at(b, 16 + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4);
         return half_at(b, 0) * k_scale(b, i / 32) * q - half_at(b, 2) * k_min(b, i / 32);
       }},
      {WeightFormat::kQ5_K,
       {0, 2},
       [](const Bytes& b, size_t i) {
         const int32_t q = bits_at(b, 48 + i / 64 * 32 + i % 32, i % 64 / 32 * 4, 4) +
                           16 * bits_at(b, 16 + i % 32, i / 32, 1);
         return half_at(b, 0) * k_scale(b, i / 32) * q - half_at(b, 2) * k_min(b, i / 32);
       }},
      {WeightFormat::kQ6_K,
       {208},
       [](const Bytes& b, size_t i) {
         const int32_t low = bits_at(b, i / 128 * 64 + i % 64, i % 128 / 64 * 4, 4);
         const int32_t high = bits_at(b, 128 + i / 128 * 32 + i % 32, i % 128 / 32 * 2, 2);
         return half_at(b, 208) * as_signed(b[192 + i / 16]) * (low + 16 * high - 32);
       }},
  };
  return all;
}

std::vector<float> decode(WeightFormat format, const Bytes& bytes, size_t n) {
  std::vector<float> out(n, std::numeric_limits<float>::quiet_NaN());
  codec(format).decode_row(reinterpret_cast<const std::byte*>(bytes.data()), out.data(), n);
  return out;
}

Bytes encode(WeightFormat format, const std::vector<float>& in) {
  Bytes bytes(row_bytes(format, in.size()), 0xcd);
  codec(format).encode_row(in.data(), reinterpret_cast<std::byte*>(bytes.data()), in.size());
  return bytes;
}

TEST(CodecTest, EveryFormatHasARow) {
  for (const WeightFormatInfo& info : weight_formats()) {
    EXPECT_EQ(codec(info.format).format, info.format) << info.name;
    EXPECT_EQ(codec(info.format).decode_row != nullptr, info.group_rows == 1) << info.name;
  }
  size_t n_packed = 0;
  for (const WeightFormatInfo& info : weight_formats()) n_packed += info.group_rows > 1 ? 1 : 0;
  EXPECT_EQ(n_packed, 10u);
  EXPECT_EQ(references().size() + n_packed, weight_formats().size());
}

TEST(CodecTest, RandomBlocksDecodeToTheDefinition) {
  Rng rng(1);
  for (const Reference& reference : references()) {
    const WeightFormatInfo& info = weight_format_info(reference.format);
    SCOPED_TRACE(std::string(info.name));
    for (int round = 0; round < 600; ++round) {
      Bytes block(info.block_bytes);
      // All bytes take all values in turn; the halves are finite.
      for (uint8_t& byte : block) {
        byte = round < 256 ? static_cast<uint8_t>(round) : static_cast<uint8_t>(rng.below(256));
      }
      for (size_t at : reference.halves) block[at + 1] &= 0xbf;  // |d| < 2
      if (info.block_weights == 1 && info.block_bytes == 4) block[3] &= 0xbf;
      if (reference.format == WeightFormat::kBF16) block[1] &= 0xbf;
      const std::vector<float> decoded = decode(reference.format, block, info.block_weights);
      double largest = 0;
      for (size_t i = 0; i < info.block_weights; ++i) {
        largest = std::fmax(largest, std::fabs(reference.weight(block, i)));
      }
      double min_term = 0;  // what cancels in scale * q - minimum
      if (reference.halves.size() == 2)
        min_term = 64 * std::fabs(half_at(block, reference.halves[1]));
      for (size_t i = 0; i < info.block_weights; ++i) {
        // At most three roundings of f32.
        const double tolerance = 3 * 0x1p-24 * (largest + min_term);
        ASSERT_NEAR(static_cast<double>(decoded[i]), reference.weight(block, i), tolerance) << i;
      }
    }
  }
}

TEST(CodecTest, RowsAreBlocksOneAfterTheOther) {
  Rng rng(2);
  for (const Reference& reference : references()) {
    const WeightFormatInfo& info = weight_format_info(reference.format);
    Bytes row(3 * info.block_bytes);
    for (uint8_t& byte : row) byte = static_cast<uint8_t>(rng.below(128)) & 0x3f;
    const std::vector<float> whole = decode(reference.format, row, 3 * info.block_weights);
    for (size_t k = 0; k < 3; ++k) {
      const auto begin = row.begin() + static_cast<ptrdiff_t>(k * info.block_bytes);
      const Bytes block(begin, begin + info.block_bytes);
      const std::vector<float> alone = decode(reference.format, block, info.block_weights);
      for (size_t i = 0; i < info.block_weights; ++i) {
        ASSERT_EQ(whole[k * info.block_weights + i], alone[i]) << info.name;
      }
    }
  }
}

// --- encoders: bytes by hand
// -------------------------------------------------------------------------

TEST(Q8_0Test, BytesByHand) {
  std::vector<float> x(32);
  for (size_t i = 0; i < 32; ++i) x[i] = static_cast<float>(i) - 16;
  // Largest magnitude 16: d = 16 / 127 = 0.1259843 = 2^-3 (1 + 8.06 / 1024), so half 0x3008.
  Bytes expected = {0x08, 0x30};
  // round(x * 127 / 16), 127 / 16 = 7.9375; the fractions of x = 8 (63.5) and -8 go away from zero.
  const int codes[32] = {-127, -119, -111, -103, -95, -87, -79, -71, -64, -56, -48,
                         -40,  -32,  -24,  -16,  -8,  0,   8,   16,  24,  32,  40,
                         48,   56,   64,   71,   79,  87,  95,  103, 111, 119};
  for (int code : codes) expected.push_back(static_cast<uint8_t>(code));
  EXPECT_EQ(encode(WeightFormat::kQ8_0, x), expected);
  EXPECT_EQ(encode(WeightFormat::kQ8_0, std::vector<float>(32, 0.0f)), Bytes(34, 0));
}

TEST(Q4_0Test, BytesByHand) {
  std::vector<float> x(32);
  for (size_t i = 0; i < 32; ++i) x[i] = static_cast<float>(i) - 16;
  // The extreme is -16: d = 2 (half 0x4000), q = floor(x / 2 + 8.5): -16 -> 0, -15 -> 1 (0.5 + ...)
  Bytes expected = {0x00, 0x40};
  for (int i = 0; i < 16; ++i) {
    const int low = (i + 1) / 2;                     // x = i - 16: floor(i / 2 + 0.5)
    const int high = std::min(15, (i + 1) / 2 + 8);  // x = i: floor(i / 2 + 8.5)
    expected.push_back(static_cast<uint8_t>(low | high << 4));
  }
  EXPECT_EQ(encode(WeightFormat::kQ4_0, x), expected);
  // The extreme is positive: d is negative. Of two equal magnitudes the first counts.
  std::vector<float> y(32, 0.0f);
  y[3] = 4.0f;
  y[20] = -4.0f;
  const Bytes bytes = encode(WeightFormat::kQ4_0, y);
  EXPECT_EQ(bytes[0], 0x00);
  EXPECT_EQ(bytes[1], 0xb8);      // -0.5
  EXPECT_EQ(bytes[2 + 3], 0x80);  // code 0 for +4, code 8 for 0
  EXPECT_EQ(bytes[2 + 4], 0xf8);  // -4 / -0.5 + 8.5 = 16.5, held at 15
  EXPECT_EQ(bytes[2 + 0], 0x88);
}

TEST(Q4_1Test, BytesByHand) {
  std::vector<float> x(32);
  for (size_t i = 0; i < 32; ++i) x[i] = -1.0f + 0.5f * static_cast<float>(i % 16);
  // d = 7.5 / 15 = 0.5, m = -1: codes 0..15 twice.
  Bytes expected = {0x00, 0x38, 0x00, 0xbc};
  for (uint8_t i = 0; i < 16; ++i) expected.push_back(static_cast<uint8_t>(i | i << 4));
  EXPECT_EQ(encode(WeightFormat::kQ4_1, x), expected);
}

TEST(Q5_0Test, BytesByHand) {
  std::vector<float> x(32);
  for (size_t i = 0; i < 32; ++i) x[i] = 0.25f * (static_cast<float>(i) - 16);
  // The extreme is -4: d = 0.25, codes 0..31; the upper sixteen have their fifth bit.
  Bytes expected = {0x00, 0x34, 0x00, 0x00, 0xff, 0xff};
  for (uint8_t i = 0; i < 16; ++i) expected.push_back(static_cast<uint8_t>(i | i << 4));
  EXPECT_EQ(encode(WeightFormat::kQ5_0, x), expected);
}

TEST(Q5_1Test, BytesByHand) {
  std::vector<float> x(32);
  for (size_t i = 0; i < 32; ++i) x[i] = 3.0f + 2.0f * static_cast<float>(31 - i);
  // d = 62 / 31 = 2, m = 3, codes 31..0.
  Bytes expected = {0x00, 0x40, 0x00, 0x42, 0xff, 0xff, 0x00, 0x00};
  for (int i = 0; i < 16; ++i) expected.push_back(static_cast<uint8_t>((15 - i) | (15 - i) << 4));
  EXPECT_EQ(encode(WeightFormat::kQ5_1, x), expected);
}

// --- encoders: properties
// ------------------------------------------------------------------------------

std::vector<float> gaussian(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> x(n);
  for (float& value : x) value = static_cast<float>(rng.normal());
  return x;
}

// A block that uses both ends of its code range is what its own decoding encodes to.
TEST(CodecTest, EncodingADecodedBlockChangesNothing) {
  Rng rng(3);
  struct Case {
    WeightFormat format;
    size_t first_quant;
  };
  for (const Case& c :
       {Case{WeightFormat::kQ8_0, 2}, Case{WeightFormat::kQ4_0, 2}, Case{WeightFormat::kQ4_1, 4},
        Case{WeightFormat::kQ5_0, 6}, Case{WeightFormat::kQ5_1, 8}}) {
    const WeightFormatInfo& info = weight_format_info(c.format);
    for (int round = 0; round < 300; ++round) {
      Bytes block(info.block_bytes);
      for (uint8_t& byte : block) byte = static_cast<uint8_t>(rng.below(256));
      block[1] = 0x30;  // d in [0.125, 0.25)
      if (c.format == WeightFormat::kQ8_0) {
        for (size_t i = 2; i < block.size(); ++i) block[i] = block[i] == 0x80 ? 0x81 : block[i];
        block[2 + rng.below(32)] = round % 2 == 0 ? 127 : 0x81;
      } else {
        // Weight 0 is the lowest code, weight 16 the highest.
        block[c.first_quant] = 0xf0;
        const size_t fifths = c.first_quant - 4;
        if (c.format == WeightFormat::kQ5_0 || c.format == WeightFormat::kQ5_1) {
          block[fifths] &= 0xfe;
          block[fifths + 2] |= 0x01;
        }
        if (c.format == WeightFormat::kQ4_1 || c.format == WeightFormat::kQ5_1) block[3] = 0x36;
      }
      const std::vector<float> x = decode(c.format, block, 32);
      ASSERT_EQ(encode(c.format, x), block) << info.name << " round " << round;
    }
  }
}

TEST(CodecTest, RoundTripErrorIsHalfAStep) {
  const std::vector<float> x = gaussian(256 * 40, 4);
  struct Case {
    WeightFormat format;
    int n_codes;
    bool symmetric;
  };
  for (const Case& c : {Case{WeightFormat::kQ8_0, 127, true}, Case{WeightFormat::kQ4_0, 8, true},
                        Case{WeightFormat::kQ5_0, 16, true}, Case{WeightFormat::kQ4_1, 15, false},
                        Case{WeightFormat::kQ5_1, 31, false}}) {
    const std::vector<float> y = decode(c.format, encode(c.format, x), x.size());
    for (size_t block = 0; block < x.size(); block += 32) {
      float low = x[block], high = x[block], largest = 0;
      for (size_t i = block; i < block + 32; ++i) {
        low = std::fmin(low, x[i]);
        high = std::fmax(high, x[i]);
        largest = std::fmax(largest, std::fabs(x[i]));
      }
      const double step =
          (c.symmetric ? static_cast<double>(largest) : static_cast<double>(high - low)) /
          c.n_codes;
      // Half a step, or a whole one at the side that has a code less; and d and m are halves, so
      // a code of n is off by n steps of 2^-11, the minimum by 2^-11 of itself.
      const bool lopsided = c.format == WeightFormat::kQ4_0 || c.format == WeightFormat::kQ5_0;
      const double tolerance = step * (lopsided ? 1.0 : 0.5) + step * c.n_codes * 0x1p-11 +
                               std::fabs(static_cast<double>(low)) * 0x1p-11;
      for (size_t i = block; i < block + 32; ++i) {
        ASSERT_NEAR(static_cast<double>(y[i]), static_cast<double>(x[i]), tolerance)
            << weight_format_info(c.format).name << " weight " << i;
      }
    }
  }
}

double nmse(const std::vector<float>& x, const std::vector<float>& y) {
  double error = 0, energy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    error += difference * difference;
    energy += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  }
  return error / energy;
}

TEST(CodecTest, KQuantsAreAtLeastAsGoodAsPlainRounding) {
  const std::vector<float> x = gaussian(256 * 200, 5);
  const auto error_of = [&](WeightFormat format) {
    return nmse(x, decode(format, encode(format, x), x.size()));
  };
  // Q4_K rounds like Q4_1 (32 weights, a scale and a minimum) with 6-bit scales: a search for the
  // best ones must more than make up for that.
  EXPECT_LT(error_of(WeightFormat::kQ4_K), error_of(WeightFormat::kQ4_1));
  // Uniform rounding of 16 weights to 63 codes over +-largest: step^2 / 12 of error in each.
  double plain = 0, energy = 0;
  for (size_t block = 0; block < x.size(); block += 16) {
    double largest = 0;
    for (size_t i = block; i < block + 16; ++i) {
      largest = std::fmax(largest, std::fabs(static_cast<double>(x[i])));
      energy += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    }
    plain += 16 * (largest / 31) * (largest / 31) / 12;
  }
  EXPECT_LT(error_of(WeightFormat::kQ6_K), plain / energy);
  EXPECT_LT(error_of(WeightFormat::kQ6_K), error_of(WeightFormat::kQ5_1) / 2);
}

TEST(CodecTest, SpecialBlocks) {
  for (const WeightFormatInfo& info : weight_formats()) {
    if (codec(info.format).encode_row == nullptr) continue;
    SCOPED_TRACE(std::string(info.name));
    const size_t n = 256;
    // Zeros stay zeros; a constant row stays nearly constant.
    for (float value : decode(info.format, encode(info.format, std::vector<float>(n, 0)), n)) {
      ASSERT_EQ(value, 0.0f);
    }
    for (float constant : {0.75f, -3.0f, 0.02f}) {
      for (float value :
           decode(info.format, encode(info.format, std::vector<float>(n, constant)), n)) {
        // d or m as a half, 1 / 127 of a step at most besides.
        ASSERT_NEAR(value, constant, std::fabs(constant) * 0.01f + 1e-7f);
      }
    }
    // Not finite: any bytes, but nothing undefined and nothing out of bounds.
    std::vector<float> wild(n, 1.0f);
    wild[0] = std::numeric_limits<float>::quiet_NaN();
    wild[40] = std::numeric_limits<float>::infinity();
    wild[90] = -std::numeric_limits<float>::infinity();
    wild[130] = std::numeric_limits<float>::max();
    wild[170] = std::numeric_limits<float>::denorm_min();
    EXPECT_EQ(encode(info.format, wild).size(), row_bytes(info.format, n));
  }
}

}  // namespace
}  // namespace ac::cpu
