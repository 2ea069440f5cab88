// Values that are not computed where they are made: norms and gated activations that go into the
// next product, products that are added or gated on the way. Whatever the backend makes of it, each
// value that is read is the one that its verb describes.
#include <cmath>
#include <cstring>

#include "cpu/backend_cpu.h"
#include "tests/cpu/backend_fixture.h"

namespace ac::cpu {
namespace {

class RecipesTest : public BackendTest {};

// Row-major [n_rows, n_cols] in double precision.
struct Rows {
  size_t n_rows = 0, n_cols = 0;
  Doubles data;
  double& at(size_t row, size_t col) { return data[row * n_cols + col]; }
};

Rows rows_of(const TestWeight& table, const TestBatch& batch) {
  const auto n_cols = static_cast<size_t>(table.view.shape[1]);
  Rows x{batch.tokens.size(), n_cols, {}};
  for (int32_t token : batch.tokens) {
    const auto from = table.values.begin() + token * table.view.shape[1];
    x.data.insert(x.data.end(), from, from + table.view.shape[1]);
  }
  return x;
}

Rows norm_of(const Rows& x, double epsilon) {
  Rows y = x;
  for (size_t r = 0; r < x.n_rows; ++r) {
    double sum = 0;
    for (size_t c = 0; c < x.n_cols; ++c) sum += y.at(r, c) * y.at(r, c);
    const double factor = 1 / std::sqrt(sum / static_cast<double>(x.n_cols) + epsilon);
    for (size_t c = 0; c < x.n_cols; ++c) y.at(r, c) *= factor;
  }
  return y;
}

Rows product_of(const Rows& x, const TestWeight& w, const TestWeight* bias) {
  Rows y{x.n_rows, static_cast<size_t>(w.view.shape[0]), {}};
  y.data.resize(y.n_rows * y.n_cols);
  for (size_t r = 0; r < y.n_rows; ++r) {
    for (size_t o = 0; o < y.n_cols; ++o) {
      double sum = bias != nullptr ? bias->values[o] : 0;
      for (size_t c = 0; c < x.n_cols; ++c) {
        sum += x.data[r * x.n_cols + c] * w.values[o * x.n_cols + c];
      }
      y.at(r, o) = sum;
    }
  }
  return y;
}

Rows gated_of(const Rows& gate, const Rows& up, Activation activation) {
  Rows y = gate;
  for (size_t i = 0; i < y.data.size(); ++i) {
    const double g = gate.data[i];
    const double half =
        activation == Activation::kSilu
            ? 1 / (1 + std::exp(-g))
            : 0.5 * (1 + std::tanh(0.7978845608028654 * (g + 0.044715 * g * g * g)));
    y.data[i] = g * half * up.data[i];
  }
  return y;
}

Rows sum_of(Rows x, const Rows& y) {
  for (size_t i = 0; i < x.data.size(); ++i) x.data[i] += y.data[i];
  return x;
}

double nmse(std::span<const float> got, const Rows& expected) {
  EXPECT_EQ(got.size(), expected.data.size());
  double error = 0, size = 0;
  for (size_t i = 0; i < got.size() && i < expected.data.size(); ++i) {
    const double difference = static_cast<double>(got[i]) - expected.data[i];
    error += difference * difference;
    size += expected.data[i] * expected.data[i];
  }
  return error / size;  // a NaN anywhere is a NaN, and no bound holds
}

// bf16 rounds by half a step, 2^-8 at 1 and half of that at 2, uniformly: 2^-16 / 3 * 1/2 = 2.5e-6
// of a factor in the mean square, and a product has two. The smallest samples here, of few outputs,
// scatter by half of it.
constexpr double kProductBound = 1.5 * 2 * 2.5e-6;
// Gating multiplies two products, and the slope of the activation makes twice as much of one; the
// next product adds its own rounding.
constexpr double kGatedBound = 3 * kProductBound;
constexpr double kChainBound = 4 * kProductBound;

struct FeedForward {
  WeightFormat gate_format, up_format;
  bool is_biased;
  Activation activation;
  bool nests_gate = false, nests_up = false;
};

// x += down(activation(gate(n)) * up(n)), n = norm(x), as the decoder writes it; then everything
// else that the step made is read as well, or not.
TEST_F(RecipesTest, FeedForward) {
  constexpr auto kQ8 = WeightFormat::kQ8_0;
  constexpr auto kQ4 = WeightFormat::kQ4_0;
  constexpr auto kF32 = WeightFormat::kF32;
  for (const auto& [gate_format, up_format, is_biased, activation, nests_gate, nests_up] :
       {FeedForward{kQ8, kQ8, false, Activation::kSilu},
        FeedForward{kQ4, kQ4, false, Activation::kGeluTanh},
        FeedForward{kQ8, kQ8, true, Activation::kGeluTanh},
        FeedForward{kQ8, kQ4, false, Activation::kSilu},
        FeedForward{kF32, kQ8, false, Activation::kSilu},
        FeedForward{kF32, kF32, false, Activation::kSilu},
        FeedForward{kQ4, kQ4, false, Activation::kSilu, true, true},
        FeedForward{kQ4, kQ4, false, Activation::kGeluTanh, true, false},
        FeedForward{kQ4, kQ8, true, Activation::kSilu, true, false}}) {
    for (int64_t d_ff : {32, 96, 160, 192}) {
      const int64_t d_model = 96;
      const auto gate_w = random_weight(gate_format, d_ff, d_model, 1, 0.1);
      const auto up_w = random_weight(up_format, d_ff, d_model, 2, 0.1);
      const auto down_w = random_weight(WeightFormat::kQ8_0, d_model, d_ff, 3);
      const auto bias_w = random_vector(d_ff, 4);
      const auto gate_rest = random_weight(gate_format, d_ff, d_model, 6, 0.05);
      const auto up_rest = random_weight(up_format, d_ff, d_model, 7, 0.05);
      const Doubles gate_alone = gate_w->values, up_alone = up_w->values;
      for (int32_t n_tokens : {1, 5, 16, 33, 70}) {
        for (bool reads_all : {false, true}) {
          SCOPED_TRACE(testing::Message()
                       << static_cast<int>(gate_format) << ' ' << static_cast<int>(up_format)
                       << " d_ff " << d_ff << " tokens " << n_tokens << " reads " << reads_all);
          auto backend = make(3);
          const Input in = input(*backend, d_model, 5);
          const WeightId gate_id = load(*backend, *gate_w);
          const WeightId up_id = load(*backend, *up_w);
          gate_w->values = gate_alone;
          up_w->values = up_alone;
          if (nests_gate) nest(*backend, gate_id, *gate_w, *gate_rest);
          if (nests_up) nest(*backend, up_id, *up_w, *up_rest);
          const WeightId down_id = load(*backend, *down_w);
          const WeightId bias_id = is_biased ? load(*backend, *bias_w) : WeightId::kNone;
          const TestBatch batch = one_run(n_tokens);
          backend->begin_step(batch.batch());
          const Value x = backend->embed(in.id);
          // Reading in a scope's end is what a later verb does: a copy of all rows.
          std::vector<int32_t> all(static_cast<size_t>(n_tokens));
          for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
          const Value n = backend->rms_norm(x, WeightId::kNone, 1e-5f);
          const Value gate = backend->matmul(n, gate_id, bias_id);
          const Value up = backend->matmul(n, up_id);
          const Value gated = backend->gated(gate, up, activation);
          const Value down = backend->matmul(gated, down_id);
          std::vector<Value> copies;
          if (reads_all) {
            for (Value value : {n, gate, up, gated, down}) {
              copies.push_back(backend->select_rows(value, all));
            }
          }
          backend->add(x, down);
          run(*backend);

          const Rows x0 = rows_of(*in.table, batch);
          const Rows n_want = norm_of(x0, static_cast<double>(1e-5f));
          const Rows gate_want = product_of(n_want, *gate_w, is_biased ? bias_w.get() : nullptr);
          const Rows up_want = product_of(n_want, *up_w, nullptr);
          const Rows gated_want = gated_of(gate_want, up_want, activation);
          const Rows down_want = product_of(gated_want, *down_w, nullptr);
          EXPECT_LE(nmse(backend->read(x), sum_of(x0, down_want)), kChainBound);
          if (!reads_all) continue;
          EXPECT_LE(nmse(backend->read(copies[0]), n_want), 1e-12);
          EXPECT_LE(nmse(backend->read(copies[1]), gate_want), kProductBound);
          EXPECT_LE(nmse(backend->read(copies[2]), up_want), kProductBound);
          EXPECT_LE(nmse(backend->read(copies[3]), gated_want), kGatedBound);
          EXPECT_LE(nmse(backend->read(copies[4]), down_want), kChainBound);
          // And by themselves, at the end of the step.
          EXPECT_LE(nmse(backend->read(gated), gated_want), kGatedBound);
          EXPECT_LE(nmse(backend->read(down), down_want), kChainBound);
        }
      }
    }
  }
}

// Embeddings, products and added products of two planes; the second read, not read, read again.
TEST_F(RecipesTest, PlanesFromStepToStep) {
  for (int64_t n_out : {40, 50, 113}) {
    for (int32_t n_tokens : {1, 6, 16, 37}) {
      SCOPED_TRACE(testing::Message() << n_out << " outputs, " << n_tokens << " tokens");
      auto table = random_weight(WeightFormat::kQ4_0, 40, 96, 1);
      auto w = random_weight(WeightFormat::kQ4_0, n_out, 96, 2);
      const auto table_rest = random_weight(WeightFormat::kQ4_0, 40, 96, 3, 0.2);
      const auto w_rest = random_weight(WeightFormat::kQ4_0, n_out, 96, 4, 0.2);
      const TestWeight table_alone = *table, w_alone = *w;
      auto backend = make();
      const WeightId table_id = load(*backend, *table), w_id = load(*backend, *w);
      const Input sums = input(*backend, n_out, 5);
      nest(*backend, table_id, *table, *table_rest);
      nest(*backend, w_id, *w, *w_rest);
      const TestBatch batch = one_run(n_tokens);
      for (const bool reads : {true, false, true}) {
        backend->read_residual(table_id, reads);
        backend->read_residual(w_id, reads);
        backend->begin_step(batch.batch());
        const Value x = backend->embed(table_id);
        const Value product = backend->matmul(x, w_id);
        const Value sum = backend->embed(sums.id);
        backend->add(sum, backend->matmul(x, w_id));
        run(*backend);
        const Rows x_want = rows_of(reads ? *table : table_alone, batch);
        const Rows want = product_of(x_want, reads ? *w : w_alone, nullptr);
        EXPECT_LE(nmse(backend->read(x), x_want), 1e-12);
        EXPECT_LE(nmse(backend->read(product), want), kProductBound);
        EXPECT_LE(nmse(backend->read(sum), sum_of(rows_of(*sums.table, batch), want)),
                  kProductBound);
      }
    }
  }
}

TEST_F(RecipesTest, PlanesThatDoNotFit) {
  auto backend = make();
  const auto base = random_weight(WeightFormat::kQ4_0, 40, 96, 1);
  const WeightId id = load(*backend, *base);
  const auto refuse = [&](WeightId of, const TestWeight& residual, ErrorCode code,
                          std::string_view part) {
    const Status status = backend->load_residual(of, residual.view);
    ASSERT_FALSE(status.has_value());
    EXPECT_EQ(status.error().code, code) << status.error().message;
    EXPECT_NE(status.error().message.find(part), std::string::npos) << status.error().message;
  };
  refuse(id, *random_weight(WeightFormat::kQ4_0, 41, 96, 2), ErrorCode::kCorruptFile,
         "[41, 96] in q4_0_r16, expected [40, 96] in q4_0_r16");
  refuse(id, *random_weight(WeightFormat::kQ4_0, 40, 64, 2), ErrorCode::kCorruptFile, "[40, 64]");
  refuse(id, *random_weight(WeightFormat::kQ8_0, 40, 96, 2), ErrorCode::kCorruptFile, "q8_0_r16");
  auto cut = random_weight(WeightFormat::kQ4_0, 40, 96, 2);
  cut->view.size_bytes -= 1;
  refuse(id, *cut, ErrorCode::kCorruptFile, "bytes");
  const auto q8 = random_weight(WeightFormat::kQ8_0, 40, 96, 1);
  refuse(load(*backend, *q8), *q8, ErrorCode::kUnsupported, "expected one in q4_0");
  const auto residual = random_weight(WeightFormat::kQ4_0, 40, 96, 2);
  ASSERT_TRUE(backend->load_residual(id, residual->view).has_value());
  refuse(id, *residual, ErrorCode::kCorruptFile, "second");
}

// Where whole tiles do not fit, a product is added through a corner of its own.
TEST_F(RecipesTest, AddedProductsOfOddShapes) {
  for (int64_t n_out : {1, 15, 17, 32, 50, 113}) {
    for (int32_t n_tokens : {1, 16, 17, 40, 64}) {
      SCOPED_TRACE(testing::Message() << n_out << " outputs, " << n_tokens << " tokens");
      const auto w = random_weight(WeightFormat::kQ8_0, n_out, 64, 1);
      const auto bias = random_vector(n_out, 2);
      auto backend = make();
      const Input in = input(*backend, 64, 3), sums = input(*backend, n_out, 4);
      const WeightId w_id = load(*backend, *w);
      const WeightId bias_id = load(*backend, *bias);
      const TestBatch batch = one_run(n_tokens);
      backend->begin_step(batch.batch());
      const Value x = backend->embed(in.id);
      const Value sum = backend->embed(sums.id), biased_sum = backend->embed(sums.id);
      backend->add(sum, backend->matmul(x, w_id));
      backend->add(biased_sum, backend->matmul(x, w_id, bias_id));
      run(*backend);
      const Rows x0 = rows_of(*in.table, batch);
      const Rows sum0 = rows_of(*sums.table, batch);
      EXPECT_LE(nmse(backend->read(sum), sum_of(sum0, product_of(x0, *w, nullptr))), kProductBound);
      EXPECT_LE(nmse(backend->read(biased_sum), sum_of(sum0, product_of(x0, *w, bias.get()))),
                kProductBound);
    }
  }
}

// A value from outside of a scope that is first needed inside it lives on after it.
TEST_F(RecipesTest, OutliveTheScopeOfTheirFirstUse) {
  const auto w = random_weight(WeightFormat::kQ8_0, 64, 64, 1, 0.1);
  auto backend = make();
  const Input in = input(*backend, 64, 2);
  const WeightId id = load(*backend, *w);
  const TestBatch batch = one_run(40);
  std::vector<int32_t> all(40);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int32_t>(i);
  backend->begin_step(batch.batch());
  const Value x = backend->embed(in.id);
  const Value norm = backend->rms_norm(x, WeightId::kNone, 1e-5f);
  const Value product = backend->matmul(norm, id);
  const Value gated = backend->gated(product, product, Activation::kSilu);
  backend->begin_scope();
  backend->select_rows(gated, all);
  backend->select_rows(norm, all);
  backend->end_scope();
  backend->begin_scope();  // takes the memory of the first scope
  for (int i = 0; i < 4; ++i) backend->scale(backend->select_rows(x, all), 100.0f);
  backend->end_scope();
  run(*backend);
  const Rows norm_want = norm_of(rows_of(*in.table, batch), static_cast<double>(1e-5f));
  const Rows product_want = product_of(norm_want, *w, nullptr);
  EXPECT_LE(nmse(backend->read(norm), norm_want), 1e-12);
  EXPECT_LE(nmse(backend->read(product), product_want), kProductBound);
  EXPECT_LE(nmse(backend->read(gated), gated_of(product_want, product_want, Activation::kSilu)),
            kGatedBound);
}

// What was computed from x before x changed keeps what it was.
TEST_F(RecipesTest, ChangesComeAfterUses) {
  const auto w = random_weight(WeightFormat::kQ8_0, 64, 64, 1, 0.1);
  auto backend = make();
  const Input in = input(*backend, 64, 2);
  const WeightId id = load(*backend, *w);
  const TestBatch batch = one_run(40);
  backend->begin_step(batch.batch());
  const Value x = backend->embed(in.id);
  const Value before = backend->matmul(backend->rms_norm(x, WeightId::kNone, 1e-5f), id);
  const Value doubled = backend->matmul(x, id);
  backend->add(doubled, doubled);
  backend->add(x, before);
  const Value after = backend->matmul(backend->rms_norm(x, WeightId::kNone, 1e-5f), id);
  run(*backend);
  const Rows x0 = rows_of(*in.table, batch);
  const Rows before_want = product_of(norm_of(x0, static_cast<double>(1e-5f)), *w, nullptr);
  const Rows x1 = sum_of(x0, before_want);
  const Rows once = product_of(x0, *w, nullptr);
  EXPECT_LE(nmse(backend->read(before), before_want), kProductBound);
  EXPECT_LE(nmse(backend->read(doubled), sum_of(once, once)), kProductBound);
  EXPECT_LE(nmse(backend->read(x), x1), kProductBound);
  EXPECT_LE(
      nmse(backend->read(after), product_of(norm_of(x1, static_cast<double>(1e-5f)), *w, nullptr)),
      kChainBound);
}

}  // namespace
}  // namespace ac::cpu
