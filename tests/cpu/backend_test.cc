// The CPU backend, verb by verb, against plain loops in double precision; and what must not matter:
// the number of threads, the company of other slots, scopes, poisoned memory.
#include <cmath>
#include <cstring>
#include <functional>

#include "cpu/formats/packed.h"
#include "cpu/kv_cache.h"
#include "tests/cpu/backend_fixture.h"

namespace ac::cpu {
namespace {

TEST_F(BackendTest, NameAndThreadsOutOfRange) {
  EXPECT_EQ(make()->name(), "cpu");
  const auto many = create_cpu_backend({.n_threads = 100000});
  ASSERT_FALSE(many.has_value());
  EXPECT_EQ(many.error().code, ErrorCode::kInvalidArgument);
}

TEST_F(BackendTest, EmbedReadsRowsOfEveryFormat) {
  for (const WeightFormatInfo& info : weight_formats()) {
    SCOPED_TRACE(std::string(info.name));
    const WeightFormat format = unpacked_format(info.format);
    const int64_t n_cols = info.block_weights == 256 ? 512 : 96;  // 96: half a pair when packed
    const auto table = random_weight(format, 37, n_cols, 5);
    auto backend = make();
    TensorView view = table->view;
    Buffer packed;
    if (info.group_rows > 1) {  // as it would lie in a zoo: read in place
      const int64_t shape[2] = {37, n_cols};
      packed = std::move(*Buffer::allocate(*tensor_bytes(info.format, shape)));
      pack_groups(kernels(), format,
                  {.from = view.data,
                   .to = packed.data(),
                   .n_out = 37,
                   .n_in = static_cast<size_t>(n_cols),
                   .group_begin = 0,
                   .group_end = 3});
      view.data = packed.data();
      view.size_bytes = packed.size_bytes();
      view.format = info.format;
    }
    const auto id = backend->load_matrix(view);
    ASSERT_TRUE(id.has_value()) << id.error().message;
    TestBatch batch = one_run(37);
    for (int32_t i = 0; i < 37; ++i) batch.tokens[static_cast<size_t>(i)] = 36 - i;
    backend->begin_step(batch.batch());
    const Value y = backend->embed(*id);
    run(*backend);
    EXPECT_EQ(y.n_rows, 37);
    EXPECT_EQ(y.n_cols, n_cols);
    const auto got = backend->read(y);
    for (size_t i = 0; i < 37; ++i) {
      for (size_t c = 0; c < static_cast<size_t>(n_cols); ++c) {
        ASSERT_EQ(static_cast<double>(got[i * static_cast<size_t>(n_cols) + c]),
                  table->values[(36 - i) * static_cast<size_t>(n_cols) + c]);
      }
    }
  }
}

TEST_F(BackendTest, RmsNorm) {
  for (int64_t n_cols : {1, 7, 64, 100, 577, 1024}) {
    for (int32_t groups : {1, 4}) {
      for (bool weighted : {true, false}) {
        auto backend = make();
        const int64_t total = n_cols * groups;
        const Input in = input(*backend, total, 11);
        const auto weight = random_vector(n_cols, 12);
        const WeightId weight_id = weighted ? load(*backend, *weight) : WeightId::kNone;
        const TestBatch batch = one_run(19);
        backend->begin_step(batch.batch());
        const Value x = backend->embed(in.id);
        const Value y =
            backend->rms_norm(x, weight_id, 1e-3f, groups == 1 ? 0 : static_cast<int32_t>(n_cols));
        run(*backend);
        const auto got = backend->read(y);
        const auto width = static_cast<size_t>(n_cols);
        for (size_t row = 0; row < 19; ++row) {
          for (size_t g = 0; g < static_cast<size_t>(groups); ++g) {
            double sum = 0;
            for (size_t c = 0; c < width; ++c) {
              const double v = in.at(batch, row, g * width + c);
              sum += v * v;
            }
            const double factor =
                1 / std::sqrt(sum / static_cast<double>(width) + static_cast<double>(1e-3f));
            for (size_t c = 0; c < width; ++c) {
              const double expected =
                  in.at(batch, row, g * width + c) * factor * (weighted ? weight->values[c] : 1);
              // A sum of n / 4 terms in one lane at worst, halved by the root; a few roundings.
              const double tolerance =
                  (static_cast<double>(width) / 8 + 8) * kUlp * std::fabs(expected) + 1e-30;
              ASSERT_NEAR(static_cast<double>(
                              got[row * width * static_cast<size_t>(groups) + g * width + c]),
                          expected, tolerance);
            }
          }
        }
      }
    }
  }
}

TEST_F(BackendTest, MatmulInEveryFormatWithBias) {
  for (const WeightFormatInfo& info : weight_formats()) {
    if (info.group_rows > 1) continue;
    SCOPED_TRACE(std::string(info.name));
    const int64_t n_in = info.block_weights == 256 ? 256 : info.block_weights == 32 ? 96 : 67;
    const int64_t n_out = 151;
    const auto w = random_weight(info.format, n_out, n_in, 21);
    const auto bias = random_vector(n_out, 22);
    for (int32_t n_tokens : {1, 2, 33}) {
      for (bool biased : {false, true}) {
        auto backend = make(3);
        const Input in = input(*backend, n_in, 23);
        const WeightId id = load(*backend, *w);
        const WeightId bias_id = biased ? load(*backend, *bias) : WeightId::kNone;
        const TestBatch batch = one_run(n_tokens);
        backend->begin_step(batch.batch());
        const Value x = backend->embed(in.id);
        const Value y = backend->matmul(x, id, bias_id);
        run(*backend);
        const auto got = backend->read(y);
        for (size_t row = 0; row < static_cast<size_t>(n_tokens); ++row) {
          for (size_t o = 0; o < static_cast<size_t>(n_out); ++o) {
            double sum = biased ? bias->values[o] : 0, magnitude = std::fabs(sum);
            for (size_t c = 0; c < static_cast<size_t>(n_in); ++c) {
              const double product =
                  in.at(batch, row, c) * w->values[o * static_cast<size_t>(n_in) + c];
              sum += product;
              magnitude += std::fabs(product);
            }
            // Tiles may round both factors to bf16: 2^-8 of each product at worst. f32 formats and
            // single tokens are held to more by the tests of the kernels themselves.
            const double tolerance = info.format == WeightFormat::kF32
                                         ? static_cast<double>(n_in + 4) * kUlp * magnitude
                                         : 0x1p-8 * magnitude;
            ASSERT_NEAR(static_cast<double>(got[row * static_cast<size_t>(n_out) + o]), sum,
                        tolerance)
                << "token " << row << " of " << n_tokens << ", row " << o;
          }
        }
      }
    }
  }
}

TEST_F(BackendTest, RopeTurnsPairsOfEachHead) {
  for (RopePairing pairing : {RopePairing::kHalves, RopePairing::kInterleaved}) {
    for (size_t d_rot : {2u, 20u, 64u}) {
      const size_t d_head = 64, n_heads = 3;
      auto backend = make();
      const Input in = input(*backend, static_cast<int64_t>(d_head * n_heads), 31);
      std::vector<float> frequencies;
      for (size_t j = 0; j < d_rot / 2; ++j) {
        frequencies.push_back(
            static_cast<float>(std::pow(10000.0, -2.0 * static_cast<double>(j) / 64)));
      }
      const auto rope = backend->load_rope(
          {.inverse_frequencies = frequencies, .pairing = pairing, .magnitude = 1.25f});
      ASSERT_TRUE(rope.has_value());
      TestBatch batch;
      batch.add_run(0, 0, 20);
      batch.add_run(0, 100000, 20);
      backend->begin_step(batch.batch());
      const Value x = backend->embed(in.id);
      backend->rope(x, static_cast<int32_t>(d_head), *rope);
      run(*backend);
      const auto got = backend->read(x);
      for (size_t row = 0; row < batch.tokens.size(); ++row) {
        for (size_t h = 0; h < n_heads; ++h) {
          for (size_t d = 0; d < d_head; ++d) {
            double expected = in.at(batch, row, h * d_head + d);
            double size = std::fabs(expected);
            if (d < d_rot) {
              const bool halves = pairing == RopePairing::kHalves;
              const size_t j = halves ? d % (d_rot / 2) : d / 2;
              const size_t a_at = halves ? j : 2 * j;
              const size_t b_at = halves ? j + d_rot / 2 : 2 * j + 1;
              const double a = in.at(batch, row, h * d_head + a_at);
              const double b = in.at(batch, row, h * d_head + b_at);
              const double angle = batch.positions[row] * static_cast<double>(frequencies[j]);
              expected = d == a_at ? a * std::cos(angle) - b * std::sin(angle)
                                   : a * std::sin(angle) + b * std::cos(angle);
              expected *= 1.25;
              size = 1.25 * (std::fabs(a) + std::fabs(b));
            }
            ASSERT_NEAR(static_cast<double>(got[(row * n_heads + h) * d_head + d]), expected,
                        4 * kUlp * size)
                << "row " << row << " d " << d;
          }
        }
      }
    }
  }
}

TEST_F(BackendTest, ElementwiseVerbs) {
  for (int64_t n_cols : {1, 5, 16, 33, 1000}) {
    auto backend = make(3);
    const Input in_a = input(*backend, n_cols, 41), in_b = input(*backend, n_cols, 42);
    const TestBatch batch = one_run(37);
    backend->begin_step(batch.batch());
    const Value a = backend->embed(in_a.id), b = backend->embed(in_b.id);
    const Value silu = backend->gated(a, b, Activation::kSilu);
    const Value gelu = backend->gated(a, b, Activation::kGeluTanh);
    const Value sum = backend->embed(in_a.id);
    backend->add(sum, b);
    const Value scaled = backend->embed(in_a.id);
    backend->scale(scaled, 11.5f);
    const Value capped = backend->embed(in_a.id);
    backend->scale(capped, 11.5f);
    backend->softcap(capped, 30.0f);
    const int32_t rows[] = {36, 0, 5, 5};
    const Value picked = backend->select_rows(b, rows);
    run(*backend);
    const auto width = static_cast<size_t>(n_cols);
    for (size_t row = 0; row < 37; ++row) {
      for (size_t c = 0; c < width; ++c) {
        const size_t i = row * width + c;
        const double x = in_a.at(batch, row, c), y = in_b.at(batch, row, c);
        const auto near = [&](Value value, double expected, double tolerance) {
          ASSERT_NEAR(static_cast<double>(backend->read(value)[i]), expected, tolerance);
        };
        // e^x is good to 1e-6 of itself, and x / (1 + e) is no worse.
        near(silu, x / (1 + std::exp(-x)) * y, 1e-6 * std::fabs(x * y));
        const double u = std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
        // For x < 0 the true value is as small as e^2u, whose exponent carries an error of its
        // size.
        near(gelu, x / (1 + std::exp(-2 * u)) * y,
             (1e-6 + std::fabs(u) * 8 * kUlp) * std::fabs(x * y));
        near(sum, x + y, kUlp * std::fabs(x + y));
        near(scaled, 11.5 * x, kUlp * std::fabs(11.5 * x));
        near(capped, 30 * std::tanh(11.5 * x / 30), 1e-6 * std::fabs(11.5 * x));
      }
    }
    EXPECT_EQ(picked.n_rows, 4);
    for (size_t r = 0; r < 4; ++r) {
      for (size_t c = 0; c < width; ++c) {
        ASSERT_EQ(static_cast<double>(backend->read(picked)[r * width + c]),
                  in_b.at(batch, static_cast<size_t>(rows[r]), c));
      }
    }
  }
}

// --- a small transformer, to see what must not matter
// ------------------------------------------------

struct TinyModel {
  static constexpr int32_t kKvHeads = 2, kHead = 16, kLayers = 3;
  int32_t d_model = 96, n_heads = 6, d_ff = 160;
  std::vector<std::unique_ptr<TestWeight>> weights;
  std::vector<WeightId> ids;
  RopeId rope = RopeId::kNone;

  TinyModel(Backend& backend, WeightFormat format) {
    if (weight_format_info(format).block_weights == 256) d_model = 256, n_heads = 16, d_ff = 256;
    uint64_t seed = 100;
    const auto matrix = [&](int64_t n_out, int64_t n_in) {
      // Products keep the size of their input, as in a trained model.
      weights.push_back(
          random_weight(format, n_out, n_in, ++seed, 1 / std::sqrt(static_cast<double>(n_in))));
      ids.push_back(backend.load_matrix(weights.back()->view).value());
    };
    matrix(40, d_model);
    for (int layer = 0; layer < kLayers; ++layer) {
      matrix(n_heads * kHead, d_model);
      matrix(kKvHeads * kHead, d_model);
      matrix(kKvHeads * kHead, d_model);
      matrix(d_model, n_heads * kHead);
      matrix(d_ff, d_model);
      matrix(d_ff, d_model);
      matrix(d_model, d_ff);
    }
    const float frequencies[8] = {1, 0.5f, 0.2f, 0.1f, 0.05f, 0.02f, 0.01f, 0.005f};
    rope = backend.load_rope({.inverse_frequencies = frequencies}).value();
  }

  static KvShape kv_shape(KvFormat format, int32_t n_slots = 4) {
    return {
        .layers = std::vector<KvShape::Layer>(kLayers, {.n_kv_heads = kKvHeads, .d_head = kHead}),
        .n_slots = n_slots,
        .n_context = 700,
        .format = format};
  }

  std::vector<float> run(Backend& backend, const TestBatch& batch, int32_t window = 0) const {
    backend.begin_step(batch.batch());
    const Value x = backend.embed(ids[0]);
    for (int32_t layer = 0; layer < kLayers; ++layer) {
      const WeightId* w = ids.data() + 1 + layer * 7;
      backend.begin_scope();
      Value n = backend.rms_norm(x, WeightId::kNone, 1e-5f);
      const Value q = backend.matmul(n, w[0]), k = backend.matmul(n, w[1]);
      const Value v = backend.matmul(n, w[2]);
      backend.rope(k, kHead, rope);
      backend.store_kv(layer, k, v);
      backend.rope(q, kHead, rope);
      const Value a =
          backend.attend(q, {.layer = layer, .n_heads = n_heads, .scale = 0.25f, .window = window});
      backend.add(x, backend.matmul(a, w[3]));
      backend.end_scope();
      backend.begin_scope();
      n = backend.rms_norm(x, WeightId::kNone, 1e-5f);
      const Value gate = backend.matmul(n, w[4]), up = backend.matmul(n, w[5]);
      backend.add(x, backend.matmul(backend.gated(gate, up, Activation::kSilu), w[6]));
      backend.end_scope();
    }
    const Value logits = backend.matmul(backend.rms_norm(x, WeightId::kNone, 1e-5f), ids[0]);
    EXPECT_TRUE(backend.end_step().has_value());
    const auto data = backend.read(logits);
    return {data.begin(), data.end()};
  }
};

std::vector<float> row_of(const std::vector<float>& logits, size_t row) {
  return {logits.begin() + static_cast<ptrdiff_t>(row * 40),
          logits.begin() + static_cast<ptrdiff_t>(row * 40 + 40)};
}

double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  double error = 0, energy = 0;
  EXPECT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    error += difference * difference;
    energy += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return std::sqrt(error / energy);
}

TEST_F(BackendTest, SameBitsForAnyNumberOfThreads) {
  for (WeightFormat format :
       {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kQ8_0, WeightFormat::kQ4_0,
        WeightFormat::kQ5_0, WeightFormat::kQ4_K, WeightFormat::kQ6_K}) {
    std::vector<std::vector<float>> first;
    for (int n_threads : {1, 2, 3, 4, 7}) {
      auto backend = make(n_threads);
      const TinyModel model(*backend, format);
      ASSERT_TRUE(backend->create_kv(TinyModel::kv_shape(KvFormat::kF16)).has_value());
      std::vector<std::vector<float>> results;
      TestBatch prompt = one_run(300);
      results.push_back(model.run(*backend, prompt));
      TestBatch mixed;  // a decoding slot, a prefill far into its context, another decoding slot
      mixed.add_run(0, 300, 1);
      mixed.add_run(2, 0, 50);
      results.push_back(model.run(*backend, mixed));
      TestBatch step;
      step.add_run(2, 50, 1);
      step.add_run(0, 301, 1);
      results.push_back(model.run(*backend, step));
      if (first.empty()) first = results;
      for (size_t i = 0; i < results.size(); ++i) {
        ASSERT_EQ(
            std::memcmp(results[i].data(), first[i].data(), results[i].size() * sizeof(float)), 0)
            << n_threads << " threads, step " << i;
        for (float value : results[i]) ASSERT_TRUE(std::isfinite(value));
      }
    }
  }
}

TEST_F(BackendTest, SlotsInOneBatchEqualSeparateRuns) {
  for (KvFormat kv : {KvFormat::kF32, KvFormat::kF16, KvFormat::kQ8_0}) {
    auto backend = make();
    const TinyModel model(*backend, WeightFormat::kF32);
    ASSERT_TRUE(backend->create_kv(TinyModel::kv_shape(kv)).has_value());
    TestBatch together;
    together.add_run(3, 0, 40);
    together.add_run(1, 0, 1);
    together.add_run(0, 0, 17);
    const std::vector<float> all = model.run(*backend, together);

    ASSERT_TRUE(backend->create_kv(TinyModel::kv_shape(kv)).has_value());
    size_t row = 0;
    for (const auto& [slot, n] :
         std::vector<std::pair<int32_t, int32_t>>{{3, 40}, {1, 1}, {0, 17}}) {
      TestBatch alone;
      alone.add_run(slot, 0, n);
      const std::vector<float> result = model.run(*backend, alone);
      for (size_t i = 0; i < static_cast<size_t>(n); ++i, ++row) {
        // Different kernels for few and many tokens: equal but for the order of sums of some
        // hundred f32 products in three layers. A cache of fewer bits rounds k and v that differ in
        // their last bit to different codes now and then: 2^-11 or 1/127 of an element.
        ASSERT_LT(relative_error(row_of(all, row), row_of(result, i)), kv == KvFormat::kF32 ? 3e-6
                                                                       : kv == KvFormat::kF16
                                                                           ? 5e-4
                                                                           : 8e-3);
      }
    }
  }
}

TEST_F(BackendTest, TokenByTokenEqualsPrefill) {
  for (int32_t window : {0, 20}) {
    auto backend = make();
    const TinyModel model(*backend, WeightFormat::kF32);
    ASSERT_TRUE(backend->create_kv(TinyModel::kv_shape(KvFormat::kF32)).has_value());
    const TestBatch prompt = one_run(330);
    const std::vector<float> all = model.run(*backend, prompt, window);
    ASSERT_TRUE(backend->create_kv(TinyModel::kv_shape(KvFormat::kF32)).has_value());
    for (int32_t i = 0; i < 330; ++i) {
      TestBatch one;
      one.add_run(0, i, 1);
      one.tokens[0] = prompt.tokens[static_cast<size_t>(i)];
      const std::vector<float> result = model.run(*backend, one, window);
      ASSERT_LT(relative_error(result, row_of(all, static_cast<size_t>(i))), 3e-6) << i;
    }
  }
}

TEST_F(BackendTest, CopiedSlotContinuesAlike) {
  for (KvFormat kv : {KvFormat::kF16, KvFormat::kQ8_0}) {
    auto backend = make();
    const TinyModel model(*backend, WeightFormat::kQ8_0);
    ASSERT_TRUE(backend->create_kv(TinyModel::kv_shape(kv)).has_value());
    model.run(*backend, one_run(50));
    backend->copy_kv(0, 3, 37);
    TestBatch a, b;
    a.add_run(0, 37, 1);
    b.add_run(3, 37, 1);
    b.tokens = a.tokens;
    const std::vector<float> first = model.run(*backend, a);
    EXPECT_EQ(model.run(*backend, b), first);
  }
}

// Memory of a closed scope is used again while its readers are still to run.
TEST_F(BackendTest, ScopesReuseMemoryWithoutMixingValues) {
  auto backend = make(3);
  const Input in = input(*backend, 700, 51);
  const TestBatch batch = one_run(30);
  backend->begin_step(batch.batch());
  const Value total = backend->embed(in.id);
  for (int i = 1; i <= 20; ++i) {
    backend->begin_scope();
    const Value x = backend->embed(in.id);
    backend->scale(x, static_cast<float>(i));
    backend->begin_scope();
    const Value y = backend->embed(in.id);
    backend->scale(y, static_cast<float>(-i) / 2);
    backend->add(x, y);
    backend->end_scope();
    backend->add(total, x);
    backend->end_scope();
  }
  run(*backend);
  const auto got = backend->read(total);
  for (size_t row = 0; row < 30; ++row) {
    for (size_t c = 0; c < 700; ++c) {
      const double expected = in.at(batch, row, c) * (1 + 0.5 * 210);
      ASSERT_NEAR(static_cast<double>(got[row * 700 + c]), expected,
                  60 * kUlp * std::fabs(expected));
    }
  }
}

// A product of x, then of x changed in place: nothing prepared from the old x may be used.
TEST_F(BackendTest, PreparedActivationsFollowTheirValue) {
  for (WeightFormat format : {WeightFormat::kQ8_0, WeightFormat::kQ4_0, WeightFormat::kQ4_1,
                              WeightFormat::kQ4_K, WeightFormat::kQ6_K, WeightFormat::kF16}) {
    for (int32_t n_tokens : {1, 40}) {
      auto backend = make();
      const int64_t n_in = weight_format_info(format).block_weights == 256 ? 256 : 96;
      const Input in = input(*backend, n_in, 61);
      const auto w = random_weight(format, 64, n_in, 62);
      const WeightId id = load(*backend, *w);
      const TestBatch batch = one_run(n_tokens);
      backend->begin_step(batch.batch());
      const Value x = backend->embed(in.id);
      const Value before = backend->matmul(x, id);
      backend->scale(x, 4.0f);  // a power of two: the product scales exactly
      const Value after = backend->matmul(x, id);
      run(*backend);
      const std::vector<float> a = copy(*backend, before), b = copy(*backend, after);
      for (size_t i = 0; i < a.size(); ++i) ASSERT_EQ(4.0f * a[i], b[i]);
    }
  }
}

TEST_F(BackendTest, RefusesWhatItCannotHold) {
  auto backend = make();
  auto w = random_weight(WeightFormat::kQ8_0, 16, 64, 1);
  w->view.size_bytes -= 1;
  EXPECT_EQ(backend->load_matrix(w->view).error().code, ErrorCode::kCorruptFile);
  EXPECT_EQ(backend->load_rope({}).error().code, ErrorCode::kInvalidArgument);
  KvShape shape = TinyModel::kv_shape(KvFormat::kF16, 1 << 20);
  shape.n_context = 1 << 24;
  EXPECT_EQ(backend->create_kv(shape).error().code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(backend->kv_bytes(TinyModel::kv_shape(KvFormat::kF16, 2)),
            3u * 2 * 2 * 704 * (16 + 16) * 2);
}

// What is promised before loading is what loading takes: formats of blocks are copied into their
// packed form, whose K-quants are a little wider, and all else is used in place.
TEST_F(BackendTest, CopiedBytesAreThoseOfThePackedForm) {
  auto backend = make();
  for (const WeightFormatInfo& info : weight_formats()) {
    if (info.group_rows > 1) continue;
    SCOPED_TRACE(std::string(info.name));
    const auto w = random_weight(info.format, 37, 512, 3);
    const double bits = info.block_weights == 1              ? 0
                        : info.format == WeightFormat::kQ6_K ? 6.625
                        : info.format == WeightFormat::kQ5_K ? 5.625
                        : info.format == WeightFormat::kQ4_K ? 4.625
                        : info.format == WeightFormat::kQ3_K ? 3.625
                                                             : info.bits_per_weight;
    EXPECT_EQ(static_cast<double>(backend->matrix_copy_bytes(w->view)), 48 * 512 * bits / 8);
  }
}

TEST_F(BackendTest, CopiedSourcesAreGivenBack) {
  std::vector<std::span<const std::byte>> dropped;
  auto backend =
      create_cpu_backend({.n_threads = 2, .drop_pages = [&](std::span<const std::byte> range) {
                            dropped.push_back(range);
                          }});
  ASSERT_TRUE(backend.has_value());
  const auto q8 = random_weight(WeightFormat::kQ8_0, 64, 64, 1);
  const auto f16 = random_weight(WeightFormat::kF16, 64, 64, 2);
  ASSERT_TRUE((*backend)->load_matrix(q8->view).has_value());
  ASSERT_TRUE((*backend)->load_matrix(f16->view).has_value());
  ASSERT_EQ(dropped.size(), 1u);  // the F16 matrix is read where it lies
  EXPECT_EQ(dropped[0].data(), q8->view.data);
  EXPECT_EQ(dropped[0].size(), q8->view.size_bytes);
}

}  // namespace
}  // namespace ac::cpu
