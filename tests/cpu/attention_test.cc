// The attention kernels of one instruction set against plain loops in double precision.
#include <cmath>
#include <cstring>
#include <limits>
#include <new>

#include "cpu/formats/f16.h"
#include "cpu/kv_cache.h"
#include "tests/cpu/isa_fixture.h"

namespace ac::cpu {
namespace {

class AttentionTest : public IsaTest {
 protected:
  const SmallKernels& small() const { return *isa_->small; }
};

// Exactly as much as the kernel asks for, so that AddressSanitizer sees one byte more; NaN wherever
// the kernel has not written.
class Scratch {
 public:
  Scratch(const SmallKernels& kernels, size_t n_rows, size_t d_head)
      : n_bytes_(kernels.attend_scratch_bytes(n_rows, d_head)),
        data_(::operator new (n_bytes_, std::align_val_t{64})) {
    std::memset(data_, 0xff, n_bytes_);
  }
  ~Scratch() { ::operator delete (data_, std::align_val_t{64}); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() { return data_; }

 private:
  size_t n_bytes_;
  void* data_;
};

// What the cache holds of a row: the rounding of its format, done by the definition.
std::vector<double> as_cached(const float* x, size_t d_head, KvFormat format) {
  std::vector<double> out(d_head);
  for (size_t begin = 0; begin < d_head; begin += 32) {
    const size_t end = std::min(d_head, begin + 32);
    float largest = 0;
    for (size_t d = begin; d < end; ++d) largest = std::fmax(largest, std::fabs(x[d]));
    const float scale = f16_to_f32(f32_to_f16(largest / 127.0f));
    for (size_t d = begin; d < end; ++d) {
      if (format == KvFormat::kF32) out[d] = static_cast<double>(x[d]);
      if (format == KvFormat::kF16) out[d] = static_cast<double>(f16_to_f32(f32_to_f16(x[d])));
      if (format == KvFormat::kQ8_0) {
        const float code = scale > 0 ? std::round(x[d] * (1.0f / scale)) : 0;
        out[d] = static_cast<double>(std::fmin(std::fmax(code, -127.0f), 127.0f) * scale);
      }
    }
  }
  return out;
}

struct Problem {
  KvFormat format = KvFormat::kF16;
  size_t d_head = 64;
  size_t n_group = 1;
  size_t n_tokens = 1;
  int32_t first_position = 0;
  int32_t window = 0;
  float softcap = 0;
  int32_t keys_per_chunk = 0;  // 0: one chunk
};

// Runs one problem through store_kv, attend and merge; returns the largest error relative to the
// largest value in the cache.
double error_of(const SmallKernels& kernels, const Problem& p) {
  const int32_t n_positions = p.first_position + static_cast<int32_t>(p.n_tokens);
  const KvShape shape{.layers = {{.n_kv_heads = 2, .d_head = static_cast<int32_t>(p.d_head)}},
                      .n_slots = 2,
                      .n_context = n_positions + 5,
                      .format = p.format};
  auto cache = KvCache::create(shape);
  EXPECT_TRUE(cache.has_value());
  const KvHead head = cache->head(0, 1, 1);
  Rng rng(p.d_head * 131 + p.n_group * 17 + p.n_tokens + static_cast<uint64_t>(p.first_position));
  const auto random = [&](size_t n) {
    std::vector<float> x(n);
    for (float& value : x) value = static_cast<float>(rng.normal());
    return x;
  };
  std::vector<std::vector<double>> k, v;
  double largest = 0;
  for (int32_t i = 0; i < n_positions + 5; ++i) {
    const std::vector<float> k_row = random(p.d_head), v_row = random(p.d_head);
    kernels.store_kv(head, k_row.data(), v_row.data(), static_cast<size_t>(i));
    k.push_back(as_cached(k_row.data(), p.d_head, p.format));
    v.push_back(as_cached(v_row.data(), p.d_head, p.format));
    for (double value : v.back()) largest = std::fmax(largest, std::fabs(value));
  }
  // q has room around the group's heads, as it has in a row of all heads.
  const size_t stride = (p.n_group + 3) * p.d_head;
  const std::vector<float> q = random(p.n_tokens * stride);
  std::vector<float> out(p.n_tokens * stride, std::numeric_limits<float>::quiet_NaN());

  const size_t n_rows = p.n_tokens * p.n_group;
  Scratch scratch(kernels, n_rows, p.d_head);
  AttendArgs args;
  args.kv = head;
  args.q = q.data();
  args.q_stride = stride;
  args.n_tokens = p.n_tokens;
  args.n_group = p.n_group;
  args.first_position = p.first_position;
  args.window = p.window;
  args.scale = 1.0f / std::sqrt(static_cast<float>(p.d_head));
  args.softcap = p.softcap;
  args.scratch = scratch.data();
  const int32_t first_key =
      p.window > 0 ? std::max(0, p.first_position + 1 - p.window) / 64 * 64 : 0;
  if (p.keys_per_chunk == 0) {
    args.key_begin = first_key;
    args.key_end = n_positions;
    args.out = out.data();
    args.out_stride = stride;
    kernels.attend(args);
  } else {
    const size_t row_floats = head.d_padded + 2;
    std::vector<float> partial;
    size_t n_chunks = 0;
    for (int32_t begin = first_key; begin < n_positions; begin += p.keys_per_chunk, ++n_chunks) {
      partial.resize((n_chunks + 1) * n_rows * row_floats, 1e30f);
      args.key_begin = begin;
      args.key_end = std::min(n_positions, begin + p.keys_per_chunk);
      args.partial = partial.data() + n_chunks * n_rows * row_floats;
      kernels.attend(args);
    }
    for (size_t row = 0; row < n_rows; ++row) {
      kernels.merge({.partial = partial.data() + row * row_floats,
                     .chunk_stride = n_rows * row_floats,
                     .n_chunks = n_chunks,
                     .d_head = p.d_head,
                     .d_padded = head.d_padded,
                     .out = out.data() + row / p.n_group * stride + row % p.n_group * p.d_head});
    }
  }

  double error = 0;
  for (size_t token = 0; token < p.n_tokens; ++token) {
    const int32_t position = p.first_position + static_cast<int32_t>(token);
    const int32_t begin = p.window > 0 ? std::max(0, position + 1 - p.window) : 0;
    for (size_t g = 0; g < p.n_group + 3; ++g) {
      const float* query = q.data() + token * stride + g * p.d_head;
      const float* got = out.data() + token * stride + g * p.d_head;
      if (g >= p.n_group) {  // belongs to other heads: untouched
        for (size_t d = 0; d < p.d_head; ++d) EXPECT_TRUE(std::isnan(got[d]));
        continue;
      }
      std::vector<double> scores;
      double maximum = -1e300;
      for (int32_t i = begin; i <= position; ++i) {
        double score = 0;
        for (size_t d = 0; d < p.d_head; ++d) {
          score += static_cast<double>(query[d]) * k[static_cast<size_t>(i)][d];
        }
        score *= static_cast<double>(args.scale);
        if (p.softcap > 0) {
          score =
              static_cast<double>(p.softcap) * std::tanh(score / static_cast<double>(p.softcap));
        }
        scores.push_back(score);
        maximum = std::fmax(maximum, score);
      }
      std::vector<double> expected(p.d_head, 0);
      double total = 0;
      for (size_t i = 0; i < scores.size(); ++i) {
        const double weight = std::exp(scores[i] - maximum);
        total += weight;
        for (size_t d = 0; d < p.d_head; ++d) {
          expected[d] += weight * v[static_cast<size_t>(begin) + i][d];
        }
      }
      for (size_t d = 0; d < p.d_head; ++d) {
        const double difference = std::fabs(static_cast<double>(got[d]) - expected[d] / total);
        error = std::isnan(difference) ? std::numeric_limits<double>::infinity()
                                       : std::fmax(error, difference);
      }
    }
  }
  return error / largest;
}

// A score is a sum of d_head products, |q||k| / sqrt(d_head) ~ sqrt(d_head) at most for such data:
// its error e is below d_head * 2^-24 * sqrt(d_head) in the worst order of additions, and the
// result, a mean of values with weights of relative error e, is off by at most 2 e of the largest
// value. Two ulps each for exp, the sums of weights and of values add n_keys * 2^-24 at worst.
double tolerance_of(const Problem& p) {
  const double d = static_cast<double>(p.d_head);
  const double n_keys = static_cast<double>(p.first_position) + static_cast<double>(p.n_tokens);
  return (2 * d * std::sqrt(d) + 2 * n_keys + 16) * 0x1p-24;
}

#define EXPECT_EXACT(problem) EXPECT_LT(error_of(small(), problem), tolerance_of(problem))

TEST_F(AttentionTest, EveryFormatAndHeadSize) {
  for (KvFormat format : {KvFormat::kF32, KvFormat::kF16, KvFormat::kQ8_0}) {
    for (size_t d_head : {1u, 8u, 16u, 20u, 33u, 64u, 80u, 96u, 128u, 256u}) {
      for (size_t n_tokens : {1u, 5u}) {
        const Problem p{.format = format,
                        .d_head = d_head,
                        .n_group = 3,
                        .n_tokens = n_tokens,
                        .first_position = 70};
        SCOPED_TRACE(testing::Message() << "format " << static_cast<int>(format) << " d_head "
                                        << d_head << " tokens " << n_tokens);
        EXPECT_EXACT(p);
      }
    }
  }
}

TEST_F(AttentionTest, EveryNumberOfRows) {
  for (size_t n_group = 1; n_group <= 9; ++n_group) {
    for (size_t n_tokens : {1u, 2u, 7u, 33u}) {
      SCOPED_TRACE(testing::Message() << n_group << " heads, " << n_tokens << " tokens");
      EXPECT_EXACT((Problem{.d_head = 24, .n_group = n_group, .n_tokens = n_tokens}));
    }
  }
}

TEST_F(AttentionTest, EdgesOfTilesAndChunks) {
  for (int32_t position : {0, 1, 14, 15, 16, 17, 62, 63, 64, 65, 127, 128, 255, 256, 700}) {
    for (size_t n_tokens : {1u, 3u, 18u}) {
      for (int32_t chunk : {0, 64, 128}) {
        SCOPED_TRACE(testing::Message() << position << " +" << n_tokens << " chunks " << chunk);
        EXPECT_EXACT((Problem{.d_head = 16,
                              .n_group = 2,
                              .n_tokens = n_tokens,
                              .first_position = position,
                              .keys_per_chunk = chunk}));
      }
    }
  }
}

TEST_F(AttentionTest, SlidingWindow) {
  for (int32_t window : {1, 2, 15, 16, 17, 63, 64, 65, 100, 1000}) {
    for (int32_t position : {0, 30, 64, 200}) {
      for (size_t n_tokens : {1u, 4u, 90u}) {
        for (int32_t chunk : {0, 64}) {
          SCOPED_TRACE(testing::Message() << "window " << window << " at " << position << " +"
                                          << n_tokens << " chunks " << chunk);
          EXPECT_EXACT((Problem{.d_head = 16,
                                .n_group = 2,
                                .n_tokens = n_tokens,
                                .first_position = position,
                                .window = window,
                                .keys_per_chunk = chunk}));
        }
      }
    }
  }
}

TEST_F(AttentionTest, Softcap) {
  for (float cap : {0.5f, 5.0f, 50.0f}) {
    EXPECT_EXACT((
        Problem{.d_head = 64, .n_group = 2, .n_tokens = 10, .first_position = 90, .softcap = cap}));
  }
}

// Scores a hundred apart: all weight on one key, no overflow, no NaN.
TEST_F(AttentionTest, ExtremeScores) {
  const KvShape shape{.layers = {{.n_kv_heads = 1, .d_head = 16}},
                      .n_slots = 1,
                      .n_context = 128,
                      .format = KvFormat::kF16};
  auto cache = KvCache::create(shape);
  ASSERT_TRUE(cache.has_value());
  const KvHead head = cache->head(0, 0, 0);
  for (size_t i = 0; i < 100; ++i) {
    std::vector<float> k(16, i == 37 ? 1000.0f : -1000.0f), v(16, static_cast<float>(i));
    if (i > 90) k.assign(16, 1e30f), v.assign(16, -1e30f);  // beyond halves, and beyond the query
    small().store_kv(head, k.data(), v.data(), i);
  }
  for (size_t n_group : {1u, 40u}) {  // few rows and many may have kernels of their own
    std::vector<float> q(16 * n_group, 10.0f), out(16 * n_group);
    Scratch scratch(small(), n_group, 16);
    AttendArgs args;
    args.kv = head;
    args.q = q.data();
    args.q_stride = 16 * n_group;
    args.n_tokens = 1;
    args.n_group = n_group;
    args.first_position = 90;
    args.key_end = 91;
    args.out = out.data();
    args.out_stride = 16 * n_group;
    args.scratch = scratch.data();
    small().attend(args);
    for (float value : out) EXPECT_EQ(value, 37.0f) << n_group << " heads";
  }
}

// A key after the query must not change a bit, whatever it holds.
TEST_F(AttentionTest, LaterPositionsDoNotMatter) {
  const KvShape shape{.layers = {{.n_kv_heads = 1, .d_head = 32}},
                      .n_slots = 1,
                      .n_context = 64,
                      .format = KvFormat::kF16};
  std::vector<float> results[2];
  for (int variant = 0; variant < 2; ++variant) {
    auto cache = KvCache::create(shape);
    ASSERT_TRUE(cache.has_value());
    const KvHead head = cache->head(0, 0, 0);
    Rng rng(7);
    for (size_t i = 0; i < 40; ++i) {
      std::vector<float> k(32), v(32);
      for (float& x : k) x = static_cast<float>(rng.normal());
      for (float& x : v) x = static_cast<float>(rng.normal());
      if (i >= 20 && variant == 1) k.assign(32, 6e4f), v.assign(32, 6e4f);
      small().store_kv(head, k.data(), v.data(), i);
    }
    std::vector<float> q(40 * 32), out(40 * 32);
    Scratch scratch(small(), 40, 32);
    for (float& x : q) x = static_cast<float>(rng.normal());
    AttendArgs args;
    args.kv = head;
    args.q = q.data();
    args.q_stride = 32;
    args.n_tokens = 40;
    args.n_group = 1;
    args.key_end = 40;
    args.out = out.data();
    args.out_stride = 32;
    args.scratch = scratch.data();
    small().attend(args);
    out.resize(20 * 32);
    results[variant] = out;
  }
  EXPECT_EQ(results[0], results[1]);
}

TEST(KvCacheTest, BytesAreExactAndChecked) {
  KvShape shape{.layers = {{.n_kv_heads = 2, .d_head = 64}, {.n_kv_heads = 1, .d_head = 20}},
                .n_slots = 3,
                .n_context = 100,
                .format = KvFormat::kF16};
  // 128 positions; k: d_head halves, v: d_head rounded to 16.
  const uint64_t expected = 3 * (2 * 128 * (64 + 64) * 2 + 1 * 128 * (20 + 32) * 2);
  EXPECT_EQ(KvCache::bytes(shape), expected);
  shape.format = KvFormat::kQ8_0;  // and two halves for each 32 dimensions
  EXPECT_EQ(KvCache::bytes(shape), 3u * (2 * 128 * (64 + 64 + 2 * 4) + 128 * (20 + 32 + 4)));

  shape.n_context = 1 << 24;
  shape.n_slots = 1 << 20;
  const auto huge = KvCache::create(shape);
  ASSERT_FALSE(huge.has_value());
  EXPECT_EQ(huge.error().code, ErrorCode::kOutOfMemory);
  shape.n_slots = -1;
  const auto negative = KvCache::create(shape);
  ASSERT_FALSE(negative.has_value());
  EXPECT_EQ(negative.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace ac::cpu
