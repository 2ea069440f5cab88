#include "tests/support/plain_backend.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "tests/support/plain_weights.h"

namespace ac::test {
namespace {

size_t index(int32_t i) {
  AC_CHECK(i >= 0);
  return static_cast<size_t>(i);
}

class PlainBackend final : public Backend {
 public:
  explicit PlainBackend(std::shared_ptr<bool> fail_next) : fail_next_(std::move(fail_next)) {}

  std::string_view name() const override { return "plain"; }

  Result<WeightId> load_matrix(const TensorView& view) override { return add_weight(view); }
  Status load_residual(WeightId base, const TensorView& view) override {
    Weight& w = weights_[static_cast<size_t>(base)];
    w.alone = w.values;
    w.both = plain_weights(view);
    AC_CHECK(w.both.size() == w.alone.size());
    for (size_t i = 0; i < w.both.size(); ++i) w.both[i] += w.alone[i];
    return {};
  }
  void read_residual(WeightId base, bool reads) override {
    Weight& w = weights_[static_cast<size_t>(base)];
    AC_CHECK(!w.both.empty());
    w.values = reads ? w.both : w.alone;
  }
  Result<WeightId> load_vector(const TensorView& view) override { return add_weight(view); }
  Result<RopeId> load_rope(const RopeTable& table) override {
    ropes_.push_back({{table.inverse_frequencies.begin(), table.inverse_frequencies.end()},
                      table.pairing,
                      static_cast<double>(table.magnitude)});
    return static_cast<RopeId>(ropes_.size() - 1);
  }
  Status create_kv(const KvShape& shape) override {
    kv_ = shape;
    cache_.assign(shape.layers.size() * index(shape.n_slots), {});
    for (size_t i = 0; i < cache_.size(); ++i) {
      const KvShape::Layer& layer = shape.layers[i % shape.layers.size()];
      const size_t n = index(shape.n_context) * index(layer.n_kv_heads * layer.d_head);
      cache_[i].k.assign(n, std::nan(""));
      cache_[i].v.assign(n, std::nan(""));
    }
    return {};
  }
  uint64_t kv_bytes(const KvShape& shape) const override {
    uint64_t values = 0;
    for (const KvShape::Layer& layer : shape.layers) {
      values += 2 * index(layer.n_kv_heads * layer.d_head);
    }
    return values * index(shape.n_slots) * index(shape.n_context) * sizeof(double);
  }
  void copy_kv(int32_t from, int32_t to, int32_t n_positions) override {
    for (size_t layer = 0; layer < kv_.layers.size(); ++layer) {
      const size_t n = index(n_positions) * width(layer);
      std::copy_n(cache(from, layer).k.begin(), n, cache(to, layer).k.begin());
      std::copy_n(cache(from, layer).v.begin(), n, cache(to, layer).v.begin());
    }
  }

  void begin_step(const Batch& batch) override {
    batch_ = batch;
    values_.clear();
    scopes_.clear();
  }
  void begin_scope() override { scopes_.push_back(values_.size()); }
  void end_scope() override {
    AC_CHECK(!scopes_.empty());
    for (size_t i = scopes_.back(); i < values_.size(); ++i) values_[i].alive = false;
    scopes_.pop_back();
  }

  Value embed(WeightId table) override {
    const Weight& w = weight(table);
    const Value out = make(batch_.size(), w.n_in);
    for (size_t t = 0; t < batch_.size(); ++t) {
      AC_CHECK(index(batch_.tokens[t]) < w.n_out);
      std::copy_n(&w.values[index(batch_.tokens[t]) * w.n_in], w.n_in, &row(out, t)[0]);
    }
    return out;
  }
  Value rms_norm(Value x, WeightId id, float epsilon, int32_t group) override {
    const size_t n = group > 0 ? index(group) : index(x.n_cols);
    const Value out = make(index(x.n_rows), index(x.n_cols));
    for (size_t begin = 0; begin < data(x).size(); begin += n) {
      double sum = 0;
      for (size_t i = 0; i < n; ++i) sum += data(x)[begin + i] * data(x)[begin + i];
      const double scale =
          1 / std::sqrt(sum / static_cast<double>(n) + static_cast<double>(epsilon));
      for (size_t i = 0; i < n; ++i) {
        const double by = id == WeightId::kNone ? 1 : weight(id).values[i];
        data(out)[begin + i] = data(x)[begin + i] * scale * by;
      }
    }
    return out;
  }
  Value matmul(Value x, WeightId id, WeightId bias) override {
    const Weight& w = weight(id);
    AC_CHECK(index(x.n_cols) == w.n_in);
    const Value out = make(index(x.n_rows), w.n_out);
    for (size_t r = 0; r < index(x.n_rows); ++r) {
      const double* from = row(x, r).data();
      double* to = row(out, r).data();
      for (size_t o = 0; o < w.n_out; ++o) {
        const double* by = &w.values[o * w.n_in];
        double sum = bias == WeightId::kNone ? 0 : weight(bias).values[o];
        for (size_t i = 0; i < w.n_in; ++i) sum += from[i] * by[i];
        to[o] = sum;
      }
    }
    return out;
  }
  void rope(Value x, int32_t d_head, RopeId id) override {
    AC_CHECK(static_cast<size_t>(id) < ropes_.size());
    const Rope& table = ropes_[static_cast<size_t>(id)];
    const size_t pairs = table.frequencies.size();
    for (size_t t = 0; t < batch_.size(); ++t) {
      for (size_t head = 0; head < index(x.n_cols); head += index(d_head)) {
        for (size_t i = 0; i < pairs; ++i) {
          const double angle = batch_.positions[t] * table.frequencies[i];
          const bool side_by_side = table.pairing == RopePairing::kInterleaved;
          double& a = row(x, t)[head + (side_by_side ? 2 * i : i)];
          double& b = row(x, t)[head + (side_by_side ? 2 * i + 1 : i + pairs)];
          const double turned_a = a * std::cos(angle) - b * std::sin(angle);
          const double turned_b = a * std::sin(angle) + b * std::cos(angle);
          a = turned_a * table.magnitude;
          b = turned_b * table.magnitude;
        }
      }
    }
  }
  void store_kv(int32_t layer, Value k, Value v) override {
    const size_t n = width(index(layer));
    AC_CHECK(index(k.n_cols) == n && index(v.n_cols) == n);
    for (size_t t = 0; t < batch_.size(); ++t) {
      AC_CHECK(batch_.positions[t] < kv_.n_context);
      Cache& to = cache(batch_.slots[t], index(layer));
      std::copy_n(&row(k, t)[0], n, &to.k[index(batch_.positions[t]) * n]);
      std::copy_n(&row(v, t)[0], n, &to.v[index(batch_.positions[t]) * n]);
    }
  }
  Value attend(Value q, const AttendOptions& options) override {
    const size_t layer = index(options.layer);
    const size_t d = index(kv_.layers[layer].d_head);
    const size_t n = width(layer);
    const size_t per_kv = index(options.n_heads) / index(kv_.layers[layer].n_kv_heads);
    const double cap = static_cast<double>(options.softcap);
    const Value out = make(index(q.n_rows), index(q.n_cols));
    for (size_t t = 0; t < batch_.size(); ++t) {
      const Cache& from = cache(batch_.slots[t], layer);
      const size_t end = index(batch_.positions[t]) + 1;
      const size_t window = index(options.window);
      const size_t begin = window > 0 && end > window ? end - window : 0;
      for (size_t h = 0; h < index(options.n_heads); ++h) {
        const size_t at = h / per_kv * d;
        std::vector<double> p;
        for (size_t s = begin; s < end; ++s) {
          double score = 0;
          const double* query = &row(q, t)[h * d];
          const double* key = &from.k[s * n + at];
          for (size_t i = 0; i < d; ++i) score += query[i] * key[i];
          score *= static_cast<double>(options.scale);
          p.push_back(cap > 0 ? cap * std::tanh(score / cap) : score);
        }
        const double top = *std::max_element(p.begin(), p.end());
        double sum = 0;
        for (double& value : p) sum += value = std::exp(value - top);
        double* mixed = &row(out, t)[h * d];
        for (size_t s = begin; s < end; ++s) {
          const double* value = &from.v[s * n + at];
          for (size_t i = 0; i < d; ++i) mixed[i] += p[s - begin] / sum * value[i];
        }
      }
    }
    return out;
  }
  Value gated(Value gate, Value up, Activation activation) override {
    const Value out = make(index(gate.n_rows), index(gate.n_cols));
    for (size_t i = 0; i < data(out).size(); ++i) {
      const double g = data(gate)[i];
      const double inner = std::sqrt(2 / std::numbers::pi) * (g + 0.044715 * g * g * g);
      const double bent = activation == Activation::kSilu ? g / (1 + std::exp(-g))
                                                          : 0.5 * g * (1 + std::tanh(inner));
      data(out)[i] = bent * data(up)[i];
    }
    return out;
  }
  void add(Value x, Value y) override {
    AC_CHECK(data(x).size() == data(y).size());
    for (size_t i = 0; i < data(x).size(); ++i) data(x)[i] += data(y)[i];
  }
  void scale(Value x, float factor) override {
    for (double& value : data(x)) value *= static_cast<double>(factor);
  }
  void softcap(Value x, float cap) override {
    for (double& value : data(x)) {
      value = static_cast<double>(cap) * std::tanh(value / static_cast<double>(cap));
    }
  }
  Value select_rows(Value x, std::span<const int32_t> rows) override {
    const Value out = make(rows.size(), index(x.n_cols));
    for (size_t r = 0; r < rows.size(); ++r) {
      AC_CHECK(rows[r] < x.n_rows);
      std::copy_n(&row(x, index(rows[r]))[0], index(x.n_cols), &row(out, r)[0]);
    }
    return out;
  }
  Status end_step() override {
    AC_CHECK(scopes_.empty());
    if (std::exchange(*fail_next_, false)) return fail(ErrorCode::kIo, "the device was lost");
    return {};
  }
  std::span<const float> read(Value value) override {
    read_.clear();
    for (double v : data(value)) read_.push_back(static_cast<float>(v));
    return read_;
  }

 private:
  struct Weight {
    size_t n_out = 0;
    size_t n_in = 0;
    std::vector<double> values;
    std::vector<double> alone = {}, both = {};  // of a nested matrix: without and with its residual
  };
  struct Rope {
    std::vector<double> frequencies;
    RopePairing pairing;
    double magnitude;
  };
  struct Cache {
    std::vector<double> k;
    std::vector<double> v;
  };
  struct Slot {
    std::vector<double> values;
    size_t n_cols = 0;
    bool alive = true;
  };

  Result<WeightId> add_weight(const TensorView& view) {
    weights_.push_back({.n_out = static_cast<size_t>(view.n_rows()),
                        .n_in = static_cast<size_t>(view.n_cols()),
                        .values = plain_weights(view)});
    return static_cast<WeightId>(weights_.size() - 1);
  }
  const Weight& weight(WeightId id) const {
    AC_CHECK(static_cast<int32_t>(id) >= 0 && static_cast<size_t>(id) < weights_.size());
    return weights_[static_cast<size_t>(id)];
  }
  Value make(size_t n_rows, size_t n_cols) {
    values_.push_back({std::vector<double>(n_rows * n_cols, 0.0), n_cols, true});
    return {static_cast<int32_t>(values_.size() - 1), static_cast<int32_t>(n_rows),
            static_cast<int32_t>(n_cols)};
  }
  std::vector<double>& data(Value value) {
    Slot& slot = values_[index(value.id)];
    AC_CHECK(slot.alive);
    return slot.values;
  }
  std::span<double> row(Value value, size_t r) {
    const size_t n = values_[index(value.id)].n_cols;
    return std::span(data(value)).subspan(r * n, n);
  }
  size_t width(size_t layer) const {
    return index(kv_.layers[layer].n_kv_heads * kv_.layers[layer].d_head);
  }
  Cache& cache(int32_t slot, size_t layer) {
    AC_CHECK(slot >= 0 && slot < kv_.n_slots);
    return cache_[index(slot) * kv_.layers.size() + layer];
  }

  std::shared_ptr<bool> fail_next_;
  std::vector<Weight> weights_;
  std::vector<Rope> ropes_;
  KvShape kv_;
  std::vector<Cache> cache_;
  Batch batch_;
  std::vector<Slot> values_;
  std::vector<size_t> scopes_;
  std::vector<float> read_;
};

}  // namespace

std::unique_ptr<Backend> make_plain_backend() { return make_failing_backend().backend; }

FailingBackend make_failing_backend() {
  auto fail_next = std::make_shared<bool>(false);
  return {std::make_unique<PlainBackend>(fail_next), fail_next};
}

}  // namespace ac::test
